"""Expressions of the configuration: compiled, the functions that they may call, and why one failed."""
