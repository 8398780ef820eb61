"""Delivery in a process of its own: one courier for each spool, started by whoever captures and finds none."""
