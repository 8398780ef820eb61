"""Turns a call worth reporting into a scrubbed event."""
