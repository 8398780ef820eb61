"""Decides which calls are worth a report, and makes the event."""
