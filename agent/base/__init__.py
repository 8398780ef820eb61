"""The ground floor: types, errors, places on disk, and what every other room may use."""

#: Of the agent; the one place that knows it.
__version__ = "0.1.0"
