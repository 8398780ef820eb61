"""Events that were delivered and stay on this machine for a while, and how all local events are read."""
