"""OpenMetrics: the figures of every operation, and of the agent itself, for Prometheus and what reads its formats."""
