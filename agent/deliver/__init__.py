"""Keeps envelopes on disk and brings them to Sentry."""
