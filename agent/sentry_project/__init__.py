"""What monitors.yaml implies for Sentry: dashboards, alerts, owners; compared with what is there, and set up."""
