"""Handles the agent's internal errors, and writes its lines to stderr.

Nothing of ours raises into the host, so every entry from the host into the agent ends in `swallow`, in a clause
`except ours(Exception)`: `interrupts` decides which exceptions are ours to handle. `swallow` counts the error, keeps
its text, writes one stderr line for each distinct text, and in the agent's own tests (AGENT_TESTING=1) raises the error
again.
"""

import os
import sys

from . import clocks
from .interrupts import ours
from .places import is_on

#: With AGENT_TESTING=1 internal errors are raised instead of swallowed.
TESTING = os.environ.get("AGENT_TESTING") == "1"

#: With AGENT_DEBUG=1 each step of the start is explained on stderr. Check it before the text is made.
DEBUG = is_on("AGENT_DEBUG")

_began = clocks.perf_counter()

#: "where: what" of the internal errors so far, with how often each happened.
internal_errors: "dict[str, int]" = {}

_MOST_DISTINCT = 50


def write_line(line: str) -> None:
    """Write one short line to stderr. A closed or missing stderr is no error."""
    try:
        stream = sys.stderr
        if stream is not None:
            # The text of a host's error may hold terminal escapes.
            text = line if line.isprintable() else "".join([each if each.isprintable() else "?" for each in line])
            stream.write("agent: " + text + "\n")
    except ours(Exception):
        pass


def step(what: str) -> None:
    """Write one line for AGENT_DEBUG: milliseconds since the agent's start, and what is being done."""
    write_line("+%.1f ms %s" % ((clocks.perf_counter() - _began) * 1000, what))


def swallow(where: str) -> None:
    """Count and report the exception being handled, without raising it. For `except ours(Exception)` blocks only.

    `where` names the agent's step, as in "internal error while WHERE".
    """
    if TESTING:
        raise
    try:
        kind, error, _ = sys.exc_info()
        text = where + ": " + (kind.__name__ if kind else "?") + ": " + str(error)
        first = text not in internal_errors
        if first and len(internal_errors) >= _MOST_DISTINCT:
            return
        internal_errors[text] = internal_errors.get(text, 0) + 1
        if first and kind is not RecursionError:  # the host has used up its stack: no error of ours
            write_line("internal error while " + text + " (the host is not affected)")
    except ours(Exception):
        pass
