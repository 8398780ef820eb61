"""The daemon threads that deliver and sweep in a host process. What they do there is in `send` and `spool`."""
