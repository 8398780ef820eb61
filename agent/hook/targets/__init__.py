"""Finds the functions that a monitor names, and puts its probe there."""
