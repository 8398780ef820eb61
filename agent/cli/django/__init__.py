"""What Django takes for an application with management commands; nothing else imports it."""
