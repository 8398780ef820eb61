"""What there is to monitor in a project, proposed from its source."""
