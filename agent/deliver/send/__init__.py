"""Delivers a spool, one process at a time."""
