"""State of one process that writes to a spool, which a forked child must not inherit."""

from __future__ import annotations

import os
from _thread import allocate_lock
from itertools import count
from typing import TYPE_CHECKING

from .names import make_name

if TYPE_CHECKING:
    from ...base.model import Envelope
    from .fill_level import FillLevel
    from .memory import Memory

_SET_BACK = 60 * 10**9  # nanoseconds that a clock may be set back without effect on the order of events


class WritingProcess:
    def __init__(self, pid: int, memory: Memory, fill_level: FillLevel) -> None:
        self.pid = pid
        self.memory = memory
        self.fill_level = fill_level
        self.sweeping = allocate_lock()  # both locks are never waited for
        self.writing_from_memory = allocate_lock()
        self.writes = 0
        self._token = os.urandom(3).hex()  # two containers may share a folder and have the same pid
        self._numbers = count()
        self._last_stamp = 0
        self._second = self._in_second = 0

    def name(self, envelope: Envelope, now: float, *, slow: bool, trying: bool) -> str:
        """The name of a new envelope: names of one process are in order of capture."""
        stamp = int(now * 1e9)
        if self._last_stamp - _SET_BACK <= stamp <= self._last_stamp:
            # A small correction of the clock must not reorder the events of a process. One that was set back by much is
            # accepted, since stamps also determine the age.
            stamp = self._last_stamp + 1
        self._last_stamp = stamp
        token = f"{self._token}{next(self._numbers):06d}"
        return make_name(stamp, envelope.category, envelope.event_id, token, slow=slow, trying=trying)

    def is_too_much(self, now: float, most: float) -> bool:
        """Have `most` envelopes been written in this second already? If not, this one is one of them."""
        if self._second != int(now):
            self._second, self._in_second = int(now), 0
        if self._in_second >= most:
            return True
        self._in_second += 1
        return False
