"""The age of envelopes on a machine whose clock may be set.

A clock that leaps a year ahead must not make every envelope a year old. The time since boot can be trusted: each sweep
records both clocks in a file of the spool, and when the time of day has advanced further than the time since boot, a
new era begins. An era maps the time of day to elapsed time.
"""

import os
import time
from typing import Callable

from ...base import clocks
from ...base.interrupts import ours
from ...base.records import Record
from . import files

_TOLERANCE = 120.0  # seconds that the two clocks may drift apart between two sweeps
_UNSEEN = 86400.0  # seconds before a boot that count at most: a machine that was off looks like a wrong clock
_MOST_ERAS = 50


class Era(Record):
    """Seconds since the epoch by the time of day; elapsed time is that minus `offset`."""

    offset: float
    start: float
    end: float


class Ages:
    def __init__(self, eras: list[Era]) -> None:
        self._eras = eras

    def of(self, stamp: float) -> float:
        """Return the elapsed seconds since the clock showed `stamp`; in doubt, fewer."""
        first, last = self._eras[0], self._eras[-1]
        lived = [stamp - era.offset for era in self._eras if era.start <= stamp <= era.end]
        if not lived:  # before the first sweep, or between two
            lived = [era.end - era.offset for era in self._eras if era.end < stamp] or [first.start - first.offset]
        return last.end - last.offset - max(lived)


class SweptMark:
    """The file with the time of the last sweep and the eras of the clock."""

    def __init__(self, path: str, clock: Callable[[], float], uptime: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._uptime = uptime

    def age(self) -> "float | None":
        """Return the seconds since the last sweep, even if the clock was set back; None if there was none."""
        try:
            return abs(self._clock() - os.stat(self._path).st_mtime)
        except ours(OSError):
            return None

    def ages(self) -> Ages:
        """Return the ages of the clock's stamps, without a record."""
        return Ages(self._eras(self._clock(), self._uptime()))

    def set(self, max_age: float) -> Ages:
        """Record a sweep now. Return the ages of the clock's stamps. Never raises."""
        now, uptime = self._clock(), self._uptime()
        eras = self._eras(now, uptime)
        ages = Ages(eras)
        eras = [era for era in eras[:-1] if ages.of(era.end) <= max_age][-_MOST_ERAS:] + eras[-1:]
        lines = [f"{now!r} {uptime!r}\n", *(f"{era.offset!r} {era.start!r} {era.end!r}\n" for era in eras)]
        try:
            files.replace(self._path, "".join(lines).encode("ascii"))
            os.utime(self._path, (now, now))
        except ours(OSError):
            pass  # a full disk: then every sweep is due, and compares with the last one that was recorded
        return ages

    def _eras(self, now: float, uptime: float) -> list[Era]:
        try:
            head, *rows = (files.read_own(self._path) or b"").decode("ascii").splitlines()
            before, uptime_before = map(float, head.split())
            eras = [Era(*map(float, row.split())) for row in rows]
            last = eras.pop()
            if any(each - each != 0 for each in (before, uptime_before, *last)):  # infinite, or no number
                raise ValueError
        except ours(OSError, ValueError, TypeError, IndexError, files.UnreadableError):
            return [Era(0.0, now, now)]
        shown = now - before
        lived = uptime - uptime_before if uptime >= uptime_before else uptime + _UNSEEN
        # Another machine of a shared folder may have been up for longer: no more time has elapsed than the clock shows.
        leap = shown - min(lived, max(shown, 0.0))
        if abs(leap) <= _TOLERANCE:
            return [*eras, last._replace(end=now)]
        # When the leap happened is unknown: each era is as long as it can have been.
        return [*eras, last._replace(end=now - leap), Era(last.offset + leap, before + leap, now)]


def uptime() -> float:
    """Return the seconds since boot, including those of sleep where the system counts them."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return clocks.monotonic()
