"""Traces: what ran inside a request, task or command, kept where it was sampled, slow or failed."""
