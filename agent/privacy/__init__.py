"""Masks what must not leave the process."""
