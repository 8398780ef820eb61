"""Shortens the interpreter's switch interval while an event is written, so that the thread gets the GIL back quickly.

Each system call lets other threads run, and a thread that computes keeps the GIL for five milliseconds. Writing an
event takes four calls: beside busy threads a call of the host would wait 20 ms and more for microseconds of work. The
host's own setting is restored, and nothing is changed where it has no other thread.
"""

from __future__ import annotations

import sys
from _thread import _count as other_threads

from ...base.postponed import around_forks

_SHORT = 50  # microseconds
_usual = 5000  # the host's setting when it was last shortened, in microseconds


def begin() -> bool:
    """Return whether this call has shortened the interval; then `end` must be called. Never raises."""
    global _usual
    if not other_threads():
        return False
    interval = _interval()
    if interval <= _SHORT:
        return False  # another thread has shortened it and will end it, or the host has set it so
    _usual = interval
    sys.setswitchinterval(_SHORT / 1e6)
    return True


def end() -> None:
    """Restore the host's setting, unless somebody else has changed it meanwhile."""
    if _interval() == _SHORT:
        sys.setswitchinterval((_usual + 0.5) / 1e6)  # Python rounds it down to whole microseconds


def _interval() -> int:
    return round(sys.getswitchinterval() * 1e6)


# A child that another thread forks in between has no thread that would restore it.
around_forks(after_in_child=end)
