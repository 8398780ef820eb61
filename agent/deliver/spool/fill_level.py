"""How full a spool is, known without a look at it: for processes that start no thread for less.

The file `unswept` is as long as the spool is full, in thousandths of its bounds. Whoever sweeps sets its length. Who
writes makes it longer, beforehand: one byte pays for all envelopes that fit into a thousandth, so that most of them
cost nothing. What is gained too little is found by the next sweep, which is due at the latest after a fraction of the
age that envelopes may reach.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ...base.interrupts import ours
from . import files

if TYPE_CHECKING:
    from .age import SweptMark
    from .bounds import Room

_WHOLE = 1000
_SWEEPS_IN_AN_AGE = 50


class FillLevel:
    """That of one process: a forked child begins with its own."""

    def __init__(self, directory: str, mark: SweptMark, *, max_files: int, max_size: int, max_age: float) -> None:
        self._path = os.path.join(directory, "unswept")
        self._mark = mark
        self._max_files = max(max_files, 1)
        self._max_size = max(max_size, 1)
        self._max_age = max_age
        self._paid = 0.0  # thousandths that are not used up
        self._full = False
        self.over = False  # is there more than there may be, perhaps, since the last sweep?

    def add(self, size: int) -> bool:
        """An envelope of so many bytes was written: whether a sweep is due. Raises nothing."""
        self._paid -= _WHOLE * max(1 / self._max_files, size / self._max_size)
        if self._full:
            self.over = True
        if self._paid >= 0:
            return self.over
        more = int(-self._paid) + 1
        self._paid += more
        try:
            if files.append(self._path, b"." * more) > _WHOLE:
                self._full = self.over = True
            return self.over or self._is_long_ago()
        except ours(OSError):
            return True  # a sweep meets the same trouble, and says so

    def _is_long_ago(self) -> bool:
        since = self._mark.age()
        if since is None:
            self._mark.set(self._max_age)  # a new spool: there is nothing in it to sweep
            return False
        return since >= self._max_age / _SWEEPS_IN_AN_AGE

    def measured(self, room: Room) -> None:
        """By a sweep, which left so much room. Raises OSError."""
        left = max(min(room.files / self._max_files, room.size / self._max_size), 0.0)
        self._paid = 0.0
        self._full = left == 0.0
        self.over = False
        files.replace(self._path, b"." * (_WHOLE - int(left * _WHOLE)))
