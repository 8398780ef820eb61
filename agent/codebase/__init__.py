"""A static reader of installed code: finds what a target names without importing anything."""
