"""Support for frameworks and libraries beyond monitors: Django, Celery, logging, coverage.py."""
