"""Commands that set Sentry up from monitors.yaml: `sentry plan`, `apply` and `export`."""
