"""Celery: tasks, attempts, queues, workers and check-ins."""
