"""Notices imports, finds targets, and changes their code."""
