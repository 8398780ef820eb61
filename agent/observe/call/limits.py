"""What keeps a burst from becoming a flood: one `Limiter` for each monitor, asked before an event is built.

Two token buckets: one of the monitor, and a smaller one for each key (each kind of failure), so that 100,000 equal
failures give a handful of events and leave room for the others. The first of each key always passes: for it the
monitor's bucket may go into debt, as deep as it is high. In a burst that the rate stops, the 1,000th, 10,000th … passes
all the same, with the number of those before it: a burst that ends at once would otherwise never be told in full.
"""

from __future__ import annotations

import os
from _thread import RLock
from time import monotonic
from typing import TYPE_CHECKING

from ...base.postponed import around_forks

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

#: Events that one key may send at once; then as many as its monitor's rate allows.
HANDFUL = 5

#: So many suppressed in a row are worth an event that says so, then ten times as many, and so on.
FIRST_MILESTONE = 1_000

_MOST_KEYS = 500

# Re-entrant: a finaliser or a signal handler may get here while its own thread is inside.
_lock = RLock()


def _renew() -> None:
    global _lock
    _lock = RLock()


around_forks(after_in_child=_renew)


class _Seen:
    __slots__ = ("burst", "milestone", "ready", "suppressed", "tokens", "updated")

    def __init__(self, tokens: float, now: float) -> None:
        self.tokens = tokens
        self.updated = now
        self.ready = 0.0  # before this, there is no token for certain
        self.suppressed = 0
        self.burst = 0  # how many the rate stopped since it was last calm
        self.milestone = FIRST_MILESTONE


def _always_zero() -> float:
    return 0.0


class Limiter:
    """`rate` is (events, per seconds), None for no limit; `sample` the share that is kept of what repeats itself."""

    __slots__ = ("_capacity", "_clock", "_each", "_random", "_refill", "_sample", "_seen", "_tokens", "_updated",
                 "by_rate", "by_sample")  # fmt: skip

    def __init__(
        self,
        rate: tuple[float, float] | None,
        sample: float = 1.0,
        clock: Callable[[], float] = monotonic,
        random: Callable[[], float] | None = None,
    ) -> None:
        self._capacity = float(rate[0]) if rate else 0.0
        self._refill = rate[0] / rate[1] if rate and rate[1] > 0 else 0.0
        self._each = max(1.0, min(float(HANDFUL), self._capacity))
        self._sample = sample
        self._clock = clock
        if random is None and sample < 1:
            random = _random
        self._random = random or _always_zero
        self._seen: dict[Hashable, _Seen] = {}
        self._tokens = self._capacity
        self._updated = clock()
        #: How many were suppressed so far, for `status`.
        self.by_rate = 0
        self.by_sample = 0

    def admit(self, key: Hashable) -> int | None:
        """None: suppressed, and counted. Otherwise how many of this key were suppressed since the last that passed."""
        with _lock:
            seen = self._seen.get(key)
            if seen is None:
                return self._first(key)
            if self._sample < 1 and self._random() >= self._sample:
                self.by_sample += 1
                seen.suppressed += 1
                return None
            if self._capacity:
                now = self._clock()
                if now < seen.ready and seen.burst + 1 < seen.milestone:
                    seen.burst += 1  # one of many: what is worth nothing shall cost nothing
                    seen.suppressed += 1
                    self.by_rate += 1
                    return None
                elapsed = now - seen.updated
                if elapsed > 0:
                    seen.tokens = min(self._each, seen.tokens + elapsed * self._refill)
                    seen.updated = now
                if seen.tokens < 1 or not self._take(now, 1.0):
                    seen.burst += 1
                    if seen.burst < seen.milestone:
                        self._wait(seen)
                        self.by_rate += 1
                        seen.suppressed += 1
                        return None
                    seen.milestone *= 10
                    self._tokens -= 1
                else:
                    if seen.tokens >= self._each:  # it has been calm
                        seen.burst, seen.milestone = 0, FIRST_MILESTONE
                    seen.tokens -= 1
                self._wait(seen)
            suppressed, seen.suppressed = seen.suppressed, 0
            return suppressed

    def _wait(self, seen: _Seen) -> None:
        """Until when a look at the clock suffices."""
        missing = 1.0 - seen.tokens
        if missing > 0:
            seen.ready = seen.updated + (missing / self._refill if self._refill else float("inf"))
        else:
            seen.ready = 0.0

    def _first(self, key: Hashable) -> int | None:
        now = self._clock()
        if self._capacity and not self._take(now, 1.0 - self._capacity):
            self.by_rate += 1
            return None
        if len(self._seen) >= _MOST_KEYS:
            self._forget()
        seen = self._seen[key] = _Seen(self._each - 1, now)
        if self._capacity:
            self._wait(seen)
        return 0

    def _take(self, now: float, least: float) -> bool:
        elapsed = now - self._updated
        if elapsed > 0:
            self._tokens = min(self._capacity, self._tokens + elapsed * self._refill)
            self._updated = now
        if self._tokens < least:
            return False
        self._tokens -= 1
        return True

    def _forget(self) -> None:
        """Drop the half of the keys that was heard of longest ago; what they suppressed stays counted in the totals."""
        kept = sorted(self._seen.items(), key=lambda item: item[1].updated)[_MOST_KEYS // 2 :]
        self._seen = dict(kept)


class Escalation:
    """Tells when what is expected comes more often than `rate`: once, and again only after it was calm for a while."""

    __slots__ = ("_clock", "_windows", "rate")

    def __init__(self, events: float, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self.rate = (events, seconds)
        self._clock = clock
        self._windows: dict[Hashable, tuple[float, int, bool]] = {}  # when it began, how many, was it told

    def passes(self, key: Hashable) -> bool:
        with _lock:
            now = self._clock()
            began, number, told = self._windows.get(key, (now, 0, False))
            if now - began >= self.rate[1]:
                told = told and number > self.rate[0] and now - began < 2 * self.rate[1]
                began, number = now, 0
            number += 1
            tells = number > self.rate[0] and not told
            if len(self._windows) >= _MOST_KEYS and key not in self._windows:
                self._windows.clear()
            self._windows[key] = (began, number, told or tells)
            return tells


def _random() -> float:
    return int.from_bytes(os.urandom(4), "big") / 2**32
