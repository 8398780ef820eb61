"""The one place that decides what becomes of an internal error.

Nothing of ours raises into the host, so every entry from the host into the agent ends in `swallow`, in a clause
`except ours(Exception)`: `interrupts` decides which exceptions are ours to deal with. It counts the error, keeps its
text for `status`, writes one stderr line for each distinct place, and in the agent's own tests (AGENT_TESTING=1) raises
it again, so that no mistake hides behind the host's good behaviour.
"""

import os
import sys
import time

from .interrupts import ours
from .places import is_on

#: With AGENT_TESTING=1 internal errors are raised instead of swallowed.
LOUD = os.environ.get("AGENT_TESTING") == "1"

#: With AGENT_DEBUG=1 each step of the start is explained on stderr. Ask before the text is made.
DEBUG = is_on("AGENT_DEBUG")

_began = time.perf_counter()

#: "where: what" of the internal errors so far, with how often each happened.
internal_errors: "dict[str, int]" = {}

_MOST_DISTINCT = 50


def say(line: str) -> None:
    """Write one short line to stderr; a closed or missing stderr is nobody's problem."""
    try:
        stream = sys.stderr
        if stream is not None:
            # What the host's errors say of themselves may hold what a terminal obeys.
            text = line if line.isprintable() else "".join([each if each.isprintable() else "?" for each in line])
            stream.write("agent: " + text + "\n")
    except ours(Exception):
        pass


def step(what: str) -> None:
    """For AGENT_DEBUG: what is being done, and how long after the agent's start."""
    say("+%.1f ms %s" % ((time.perf_counter() - _began) * 1000, what))


def swallow(where: str) -> None:
    """Deal with the exception being handled: call from an `except ours(Exception)` block only.

    `where` names the agent's step in words.
    """
    if LOUD:
        raise
    try:
        kind, error, _ = sys.exc_info()
        text = where + ": " + (kind.__name__ if kind else "?") + ": " + str(error)
        first = text not in internal_errors
        if first and len(internal_errors) >= _MOST_DISTINCT:
            return
        internal_errors[text] = internal_errors.get(text, 0) + 1
        if first and kind is not RecursionError:  # the host is at the end of its stack: no fault of ours
            say("internal error while " + text + " (the host is not affected)")
    except ours(Exception):
        pass
