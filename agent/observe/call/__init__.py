"""One monitored function: its terms, counters, limits and expressions."""
