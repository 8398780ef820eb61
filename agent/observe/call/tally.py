"""Counts of calls by duration, for `sentry.metrics`.

For each call, a monitored function adds one to a count, in its own bytecode and without a lock: the interpreter
switches threads at calls and loops only, and there is none between reading the count and writing it. (CPython 3.9
switches between any two instructions; there, a function in C adds.) Counts only grow. A reader remembers what it has
read, and so loses no call.

Each count is that of one bucket of durations. The bounds of the buckets grow by the square root of two: the bucket of a
duration is the bit length of its square, in units of 100 ns. So a quantile is known to within a fifth, whatever the
duration, and no list of bounds is searched.
"""

from __future__ import annotations

import sys
import time
from _collections import _count_elements  # type: ignore[import-not-found]
from typing import TYPE_CHECKING, Any

from ...base.model import Measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...base.model import MonitorData

_UNIT = 1e-7  # seconds; shorter durations are not distinguished
#: (duration in seconds)² × SCALE is the square of the duration in units.
SCALE = 1e14
BUCKETS = 128  # up to 2**63 units, 29,000 years: a duration out of bounds would be an error in the host's call
_FAILED = BUCKETS  # the index of the count of failures, behind those of the durations

_UNKNOWN = float("-inf")

#: Is `counts[index] += 1` one step for other threads?
ONE_STEP = sys.version_info >= (3, 10)

#: `bits(whole(duration² × SCALE))` is the bucket of a duration.
bits: Callable[[int], int] = int.bit_length
whole: Callable[[float], int] = float.__trunc__
#: `add(dictionary, items)`: one more of each item, in one step everywhere.
add: Callable[[Any, Any], None] = _count_elements


#: No call of any duration; never changed.
_NONE = [0] * (BUCKETS + 1)


class Tally:
    """The counts of one operation under one monitor. All of its functions add to `counts`."""

    __slots__ = ("_tallies", "counts", "monitor", "noted", "operation", "read", "since")

    def __init__(self, tallies: Tallies, monitor: MonitorData, operation: str) -> None:
        self._tallies = tallies
        self.monitor = monitor
        self.operation = operation
        self.counts: Any = [0] * (BUCKETS + 1) if ONE_STEP else {}
        self.since = self.read = self.noted = _NONE

    def ended(self, duration: float, *, failed: bool) -> None:
        """Count a call that the code in the function does not count: most often one that raised."""
        # Minus infinity where a full stack had no room to read the clock when the call began.
        self._add(bits(whole(duration * duration * SCALE)) if duration > _UNKNOWN else 0)
        if failed:
            self._add(_FAILED)
        self._tallies.look()

    def _add(self, index: int) -> None:
        if ONE_STEP:
            self.counts[index] += 1
        else:
            add(self.counts, (index,))

    def now(self) -> list[int]:
        """A copy of the counts, made in one step."""
        if ONE_STEP:
            return self.counts[:]  # type: ignore[no-any-return]
        counts = self.counts.copy()
        return [counts.get(index, 0) for index in range(BUCKETS + 1)]


class Tallies:
    """All tallies of this process. `due[0]` is the time after which a call that ends calls `look`.

    `look` calls `flush`, at most once in `interval` seconds, and `note`, which returns the seconds until it is to be
    called again. `clock` is that of the probes.
    """

    def __init__(
        self,
        flush: Callable[[], None],
        *,
        note: Callable[[], float] | None = None,
        interval: float = 60.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._flush = flush
        self._note = note
        self._interval = interval
        self._clock = clock
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._measured: dict[str, Measured] = {}
        self._flush_at = clock() + interval
        self.due = [self._flush_at if note is None else 0.0]

    def of(self, monitor: MonitorData, operation: str) -> Tally:
        key = (monitor["name"], operation)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies.setdefault(key, Tally(self, monitor, operation))
        return tally

    def look(self) -> None:
        """Called from the host's calls: call `flush` or `note` if it is time."""
        now = self._clock()
        if now > self._flush_at:
            self._flush_at = self.due[0] = now + self._interval
            self._flush()
        elif now > self.due[0]:
            self.due[0] = self._flush_at  # meanwhile, in other threads
            if self._note is not None:
                self.due[0] = min(self._flush_at, now + self._note())

    def changes(self) -> Iterator[tuple[Tally, Measured]]:
        """What was counted since the last call of this method. One thread at a time."""
        for tally in list(self._tallies.values()):
            now = tally.now()
            if now != tally.read:
                yield tally, measure(_difference(now, tally.read))
                tally.read = now

    def by_monitor(self) -> dict[str, Measured]:
        """What this process has counted, by the names of the monitors. Only what has changed is computed again."""
        changed: dict[str, list[list[int]]] = {}
        for tally in list(self._tallies.values()):
            now = tally.now()
            if now != tally.noted:
                tally.noted = now
                changed[tally.monitor["name"]] = []
        for tally in list(self._tallies.values()) if changed else ():
            if tally.monitor["name"] in changed and tally.noted != tally.since:
                changed[tally.monitor["name"]].append(_difference(tally.noted, tally.since))
        for name, parts in changed.items():
            if parts:
                self._measured[name] = measure([sum(numbers) for numbers in zip(*parts)])
        return dict(self._measured)

    def after_fork(self) -> None:
        """In a forked child: the parent reports what it counted itself."""
        for tally in self._tallies.values():
            tally.since = tally.read = tally.noted = tally.now()
        self._measured = {}
        self._flush_at = self._clock() + self._interval
        self.due[0] = self._flush_at if self._note is None else 0.0


def _difference(now: Sequence[int], before: Sequence[int]) -> list[int]:
    return [one - other for one, other in zip(now, before)]


def measure(counts: Sequence[int]) -> Measured:
    durations = counts[:BUCKETS]
    calls = sum(durations)
    if not calls:
        return Measured(0, counts[_FAILED], None, None, None, None)
    longest = max(index for index, number in enumerate(durations) if number)
    p50, p95, p99 = (_quantile(durations, calls, share) for share in (0.5, 0.95, 0.99))
    return Measured(calls, counts[_FAILED], p50, p95, p99, _bound(longest))


def _bound(index: float) -> float:
    """The upper bound of a bucket, in seconds."""
    return _UNIT * 2.0 ** (index / 2)  # type: ignore[no-any-return]


def _quantile(durations: Sequence[int], calls: int, share: float) -> float:
    """The middle of the bucket that contains it."""
    left = share * calls
    for index, number in enumerate(durations):
        left -= number
        if left <= 0:
            return _bound(index - 0.5)
    return _bound(BUCKETS)
