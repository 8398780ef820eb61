"""The ERP of Norrland Furniture: orders, stock, production and quality in one place."""

from .celery import app as celery_app

__all__ = ["celery_app"]
