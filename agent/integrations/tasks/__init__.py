"""Background tasks: RQ, Dramatiq, Huey, django-q2, APScheduler, and what Celery has in common with them."""
