"""All that runs when a Python process starts, from sitecustomize.py to the engine."""
