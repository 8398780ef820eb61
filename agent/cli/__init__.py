"""The command line, `python -m agent …`: each command is one file."""
