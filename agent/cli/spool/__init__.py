"""`python -m agent spool …`."""
