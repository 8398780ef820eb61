"""The folder of envelopes that wait."""
