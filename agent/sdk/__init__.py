"""All that uses the Sentry SDK."""
