"""Counts of calls, by how long they took: what `sentry.metrics` is made of.

A monitored function adds one to a number for each call, in its own bytecode, without a lock: a thread comes to its turn
at calls and loops only, and between reading the number and writing it there are none. (CPython 3.9 changes threads
between any two instructions; there, a function in C adds.) Numbers only grow. Whoever reads them remembers what it has
read, so that no call is lost to a reader.

The numbers stand for durations whose bounds grow by the square root of two: the bit length of (duration in units of
100 ns) squared. So a quantile is known to within a fifth, whatever the duration, and no list of bounds is searched.
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

_UNIT = 1e-7  # seconds; what is shorter is not told apart
#: (duration in seconds)² × SCALE is the square of the duration in units.
SCALE = 1e14
BUCKETS = 128  # up to 2**63 units, 29,000 years: a duration out of bounds would be an error in the host's call
_FAILED = BUCKETS  # the number behind those of the durations

_UNKNOWN = float("-inf")

#: Are reading and writing an item one step to other threads?
ONE_STEP = sys.version_info >= (3, 10)

#: Of a duration squared, made an integer: its bucket.
bits: Callable[[int], int] = int.bit_length
whole: Callable[[float], int] = float.__trunc__
#: `add(dictionary, items)`: one more of each item, in one step everywhere.
add: Callable[[Any, Any], None] = _count_elements


#: No call of any duration; never changed.
_NONE = [0] * (BUCKETS + 1)


class Tally:
    """What is counted of one operation under one monitor, by all of its functions. `counts` is what those add to."""

    __slots__ = ("_tallies", "counts", "monitor", "noted", "operation", "read", "since")

    def __init__(self, tallies: Tallies, monitor: MonitorData, operation: str) -> None:
        self._tallies = tallies
        self.monitor = monitor
        self.operation = operation
        self.counts: Any = [0] * (BUCKETS + 1) if ONE_STEP else {}
        self.since = self.read = self.noted = _NONE

    def ended(self, duration: float, *, failed: bool) -> None:
        """A call that was seen to end by something else than the code in the function: it raised, as a rule."""
        # Infinitely less than nothing, where a full stack had no room to read the clock when the call began.
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
        """A copy of the numbers, made in one step."""
        if ONE_STEP:
            return self.counts[:]  # type: ignore[no-any-return]
        counts = self.counts.copy()
        return [counts.get(index, 0) for index in range(BUCKETS + 1)]


class Tallies:
    """All tallies of this process. `due` holds the time at which the next call that ends has `look` called.

    `flush` is called then, at most once in `interval` seconds, and `note`, which returns in how many it is to be called
    again; `clock` is that of the probes.
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
        """Called from the host's calls: is it time to tell what was counted?"""
        now = self._clock()
        if now > self._flush_at:
            self._flush_at = self.due[0] = now + self._interval
            self._flush()
        elif now > self.due[0]:
            self.due[0] = self._flush_at  # meanwhile, in other threads
            if self._note is not None:
                self.due[0] = min(self._flush_at, now + self._note())

    def taken(self) -> Iterator[tuple[Tally, Measured]]:
        """What was counted since this was asked last. One thread at a time."""
        for tally in list(self._tallies.values()):
            now = tally.now()
            if now != tally.read:
                yield tally, measure([one - before for one, before in zip(now, tally.read)])
                tally.read = now

    def by_monitor(self) -> dict[str, Measured]:
        """What this process has counted, by the monitors' names. What has not changed is not reckoned again."""
        changed: dict[str, list[list[int]]] = {}
        for tally in list(self._tallies.values()):
            now = tally.now()
            if now != tally.noted:
                tally.noted = now
                changed[tally.monitor["name"]] = []
        for tally in list(self._tallies.values()) if changed else ():
            if tally.monitor["name"] in changed and tally.noted != tally.since:
                here = [one - before for one, before in zip(tally.noted, tally.since)]
                changed[tally.monitor["name"]].append(here)
        for name, parts in changed.items():
            if parts:
                self._measured[name] = measure([sum(numbers) for numbers in zip(*parts)])
        return dict(self._measured)

    def after_fork(self) -> None:
        """In a forked child: what the parent counted is the parent's to tell."""
        for tally in self._tallies.values():
            tally.since = tally.read = tally.noted = tally.now()
        self._measured = {}
        self._flush_at = self._clock() + self._interval
        self.due[0] = self._flush_at if self._note is None else 0.0


def measure(counts: Sequence[int]) -> Measured:
    durations = counts[:BUCKETS]
    calls = sum(durations)
    if not calls:
        return Measured(0, counts[_FAILED], None, None, None, None)
    longest = max(index for index, number in enumerate(durations) if number)
    p50, p95, p99 = (_quantile(durations, calls, share) for share in (0.5, 0.95, 0.99))
    return Measured(calls, counts[_FAILED], p50, p95, p99, _bound(longest))


def _bound(index: float) -> float:
    """Seconds below which the durations of a bucket lie."""
    return _UNIT * 2.0 ** (index / 2)  # type: ignore[no-any-return]


def _quantile(durations: Sequence[int], calls: int, share: float) -> float:
    """The middle of the bucket in which it lies."""
    left = share * calls
    for index, number in enumerate(durations):
        left -= number
        if left <= 0:
            return _bound(index - 0.5)
    return _bound(BUCKETS)
