"""Notices that a module has been imported, or a program defined."""
