"""One request to Sentry."""
