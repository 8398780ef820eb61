"""All that knows the Sentry SDK."""
