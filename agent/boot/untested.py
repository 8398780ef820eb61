"""What is different in a Python that the agent was not tested with: later than 3.14, or free-threaded."""

import sys

#: Counting takes no lock: without the interpreter's own, calls would be lost. Nothing is injected there either.
FREE_THREADED = "t" in getattr(sys, "abiflags", "")

#: Whether the agent was tested with this Python.
UNTESTED = FREE_THREADED or sys.version_info >= (3, 15)


def note() -> str:
    version = "%d.%d" % sys.version_info[:2] + " (free-threaded)" * FREE_THREADED
    rest = "; calls are not counted" if FREE_THREADED else ""
    return f"Python {version} was not tested with this release: functions are monitored with trampolines{rest}"
