"""Counts of every monitored operation: what a process counts, the files that others read, and their history."""
