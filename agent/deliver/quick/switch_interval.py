"""Comes back soon from a system call while other threads are busy.

Each system call lets other threads of the process run, and Python gives a thread that computes five milliseconds before
it takes the interpreter back. To write an event takes four calls: beside busy threads a host's call would wait twenty
milliseconds and more for microseconds of work. Here Python is asked to take it back sooner, for as long as the calls
last. What the host has set for itself is put back, and nothing is touched where it has no other thread.
"""

from __future__ import annotations

import sys
from _thread import _count

from ...base.postponed import around_forks

_SOON = 50  # microseconds
_usual = 5000  # what it was when it was last shortened, in microseconds


def begin() -> bool:
    """Whether the interval is short now because of this call, which then has to be ended. Raises nothing."""
    global _usual
    if not _count():
        return False
    interval = _interval()
    if interval <= _SOON:
        return False  # another thread is at it, and ends it; or the host wants it so
    _usual = interval
    sys.setswitchinterval(_SOON / 1e6)
    return True


def end() -> None:
    """Put it back, unless somebody else has set it meanwhile."""
    if _interval() == _SOON:
        sys.setswitchinterval((_usual + 0.5) / 1e6)  # it is cut down to whole microseconds


def _interval() -> int:
    return round(sys.getswitchinterval() * 1e6)


# A child that another thread forks in between has no thread that would put it back.
around_forks(after_in_child=end)
