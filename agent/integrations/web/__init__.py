"""Any WSGI or ASGI application: its requests, found where servers call it."""
