"""A Django application with the command `manage.py sentry_test`; only Django imports it."""
