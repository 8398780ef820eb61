"""How full a spool is, without a listing.

The length of the file `unswept` is the fill level, in thousandths of the bounds. A sweep sets it. A process that writes
appends to it beforehand: one byte pays for all envelopes that fit into a thousandth, so that most of them cost nothing.
The next sweep corrects what is inexact; it is due after a fraction of the maximum age at the latest.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ...base.interrupts import ours
from . import files

if TYPE_CHECKING:
    from .age import SweptMark
    from .layout import Maximum, Room

_WHOLE = 1000
_SWEEPS_IN_AN_AGE = 50


class FillLevel:
    """The view of one process: a forked child begins with its own."""

    def __init__(self, directory: str, mark: SweptMark, maximum: Maximum) -> None:
        self._path = os.path.join(directory, "unswept")
        self._mark = mark
        self._max_files = max(maximum.files, 1)
        self._max_size = max(maximum.size, 1)
        self._max_age = maximum.age
        self._paid = 0.0  # thousandths that are paid and not used
        self._full = False
        self.over = False  # whether the bounds may be exceeded since the last sweep

    def add(self, size: int) -> bool:
        """Add an envelope of so many bytes. Return whether a sweep is due. Never raises."""
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
            return True  # a sweep fails for the same reason, and reports it

    def _is_long_ago(self) -> bool:
        since = self._mark.age()
        if since is None:
            self._mark.set(self._max_age)  # a new spool, with nothing to sweep
            return False
        return since >= self._max_age / _SWEEPS_IN_AN_AGE

    def is_full(self) -> bool:
        """As far as all processes together know."""
        try:
            return os.stat(self._path).st_size > _WHOLE
        except ours(OSError):
            return False

    def measured(self, room: Room) -> None:
        """Set the fill level after a sweep that left so much room. Raises OSError."""
        left = max(min(room.files / self._max_files, room.size / self._max_size), 0.0)
        self._paid = 0.0
        self._full = left == 0.0
        self.over = False
        files.replace(self._path, b"." * (_WHOLE - int(left * _WHOLE)))
