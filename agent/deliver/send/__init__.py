"""Delivers a spool: what is sent next, and what the response means. Independent of the thread or process it runs in."""
