"""Commands that change running processes without the configuration file."""
