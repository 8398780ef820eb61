"""Django: requests, failures, settings, release health and a command."""
