"""Envelopes: from the event to the disk, and from the disk to Sentry."""
