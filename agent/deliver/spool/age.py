"""How old envelopes are, on a machine whose clock may be set.

A clock that leaps a year ahead must not make everything in the spool a year old. What can be trusted is the time since
the machine booted: each sweep notes both clocks in a file of the folder, and where the clock of the day went further
than the other one, a new era of it begins. An era maps the clock of the day to time that was lived through.
"""

import os
import time
from typing import Callable, NamedTuple

from ...base.interrupts import ours
from . import files

_TOLERANCE = 120.0  # seconds that the two clocks may drift apart between two sweeps
_UNSEEN = 86400.0  # seconds before a boot that count at most: nobody can tell a machine that was off from a wrong clock
_MOST_ERAS = 50


class Era(NamedTuple):
    """Seconds since the epoch as the clock showed them; lived time is the clock's minus `offset`."""

    offset: float
    start: float
    end: float


class Ages:
    def __init__(self, eras: list[Era]) -> None:
        self._eras = eras

    def of(self, stamp: float) -> float:
        """Lived seconds since the clock showed `stamp`; in doubt the fewer."""
        first, last = self._eras[0], self._eras[-1]
        lived = [stamp - era.offset for era in self._eras if era.start <= stamp <= era.end]
        if not lived:  # before the first sweep, or between two
            lived = [era.end - era.offset for era in self._eras if era.end < stamp] or [first.start - first.offset]
        return last.end - last.offset - max(lived)


class SweptMark:
    """The file that says when the folder was last swept, and what is known of the clock."""

    def __init__(self, path: str, clock: Callable[[], float], uptime: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._uptime = uptime

    def age(self) -> "float | None":
        """Seconds since the last sweep, whichever way the clock went; None where there was none."""
        try:
            return abs(self._clock() - os.stat(self._path).st_mtime)
        except ours(OSError):
            return None

    def set(self, max_age: float) -> Ages:
        """Note that a sweep is done now, and answer what the clock's stamps mean. Raises nothing."""
        now, uptime = self._clock(), self._uptime()
        eras = self._eras(now, uptime)
        ages = Ages(eras)
        eras = [era for era in eras[:-1] if ages.of(era.end) <= max_age][-_MOST_ERAS:] + eras[-1:]
        lines = [f"{now!r} {uptime!r}\n", *(f"{era.offset!r} {era.start!r} {era.end!r}\n" for era in eras)]
        try:
            files.replace(self._path, "".join(lines).encode("ascii"))
            os.utime(self._path, (now, now))
        except ours(OSError):
            pass  # a full disk: then every sweep is due, and compares with the last one that was noted
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
        # Another machine of a shared folder may have been up for longer: no more was lived than the clock shows.
        leap = shown - min(lived, max(shown, 0.0))
        if abs(leap) <= _TOLERANCE:
            return [*eras, last._replace(end=now)]
        # When the leap happened is not known: each era reaches as far as it can have lasted.
        return [*eras, last._replace(end=now - leap), Era(last.offset + leap, before + leap, now)]


def uptime() -> float:
    """Seconds since the machine booted, those in which it slept included where the system can tell."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
