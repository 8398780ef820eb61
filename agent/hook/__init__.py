"""Instrumentation: finds modules as they are imported, resolves targets in them, and patches functions in place."""
