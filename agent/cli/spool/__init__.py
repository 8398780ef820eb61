"""`python -m agent spool …`: the envelopes that wait for delivery."""
