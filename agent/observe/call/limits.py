"""Rate limits and sampling: each monitor has one `Limiter`, which is called before an event is built.

It has two token buckets: one of the monitor, and a smaller one for each key (each kind of failure), so that 100,000
equal failures make a handful of events and leave room for the others. The first of each key always passes: for it, the
monitor's bucket may go into debt, as deep as it is high. Of a burst that the rate drops, the 1,000th, 10,000th … passes
all the same, with the number of those dropped before: no other event would report how large the burst was.
"""

from __future__ import annotations

import os
from _thread import RLock
from typing import TYPE_CHECKING

from ...base.clocks import monotonic
from ...base.postponed import around_forks

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

#: Events that one key may send at once; then as many as its monitor's rate allows.
HANDFUL = 5

#: After so many suppressed in a row, one passes and reports the number; then after ten times as many, and so on.
FIRST_MILESTONE = 1_000

#: In place of a number: suppressed by the rate, or by `sample`.
OVER_RATE, LEFT_OUT = -1, -2

_MOST_KEYS = 500

# Re-entrant: a finaliser or a signal handler may get here while its own thread is inside.
lock = RLock()


def _renew() -> None:
    global lock
    lock = RLock()


around_forks(after_in_child=_renew)


class Bucket:
    """The tokens of one key."""

    __slots__ = ("burst", "given_back", "milestone", "ready", "suppressed", "tokens", "updated")

    def __init__(self, tokens: float, now: float) -> None:
        self.tokens = tokens
        self.updated = now
        self.ready = 0.0  # before this, there is no token for certain
        self.suppressed = 0
        self.given_back = False  # the next one passes in place of one that was given back
        self.burst = 0  # how many the rate suppressed since the last calm time
        self.milestone = FIRST_MILESTONE

    def is_empty(self, now: float) -> bool:
        """Is there no token for certain, and no milestone either?"""
        return now < self.ready and self.burst + 1 < self.milestone


def _random() -> float:
    return int.from_bytes(os.urandom(4), "big") / 2**32


class Limiter:
    """`rate` is (events, per seconds), None for no limit; `sample` the share that is kept of what repeats itself."""

    __slots__ = ("_buckets", "_capacity", "_each", "_random", "_refill", "_sample", "_tokens",
                 "_updated", "clock")  # fmt: skip

    def __init__(
        self,
        rate: tuple[float, float] | None,
        sample: float = 1.0,
        clock: Callable[[], float] = monotonic,
        random: Callable[[], float] = _random,
        handful: int = HANDFUL,
    ) -> None:
        self._capacity = float(rate[0]) if rate else 0.0
        self._refill = rate[0] / rate[1] if rate and rate[1] > 0 else 0.0
        self._each = max(1.0, min(float(handful), self._capacity))
        self._sample = sample
        self.clock = clock
        self._random = random
        self._buckets: dict[Hashable, Bucket] = {}
        self._tokens = self._capacity
        self._updated = clock()

    def admit(self, key: Hashable) -> int | None:
        """Return None to suppress. Otherwise how many of this key were suppressed since the last that passed."""
        suppressed = self.decide(key)
        return suppressed if suppressed >= 0 else None

    def decide(self, key: Hashable) -> int:
        """As `admit`, but OVER_RATE or LEFT_OUT to suppress."""
        with lock:
            bucket = self._buckets.get(key)
            if bucket is None:
                return self._first(key)
            if self._sample < 1 and not bucket.given_back and self._random() >= self._sample:
                bucket.suppressed += 1
                return LEFT_OUT
            if self._capacity:
                now = self.clock()
                if bucket.is_empty(now):
                    bucket.burst += 1  # one of many: it costs next to nothing
                    bucket.suppressed += 1
                    return OVER_RATE
                elapsed = now - bucket.updated
                if elapsed > 0:
                    bucket.tokens = min(self._each, bucket.tokens + elapsed * self._refill)
                    bucket.updated = now
                if bucket.tokens < 1 or not self._take(now, 1.0):
                    bucket.burst += 1
                    if bucket.burst < bucket.milestone:
                        self._wait(bucket)
                        bucket.suppressed += 1
                        return OVER_RATE
                    bucket.milestone *= 10
                    self._tokens -= 1
                else:
                    if bucket.tokens >= self._each:  # the burst is over
                        bucket.burst, bucket.milestone = 0, FIRST_MILESTONE
                    bucket.tokens -= 1
                self._wait(bucket)
            suppressed, bucket.suppressed, bucket.given_back = bucket.suppressed, 0, False
            return suppressed

    def dropping(self, key: Hashable) -> Bucket | None:
        """The bucket of a key of which nothing passes for a while; None where each one is decided by chance."""
        bucket = self._buckets.get(key)
        return bucket if bucket is not None and self._sample >= 1 and bucket.ready else None

    def give_back(self, key: Hashable, suppressed: int) -> None:
        """What `key` was admitted for is not sent after all, nor how many were suppressed before that."""
        with lock:
            bucket = self._buckets.get(key)
            if bucket is None:
                return
            bucket.suppressed += suppressed
            bucket.given_back = True
            if self._capacity:
                self._tokens = min(self._capacity, self._tokens + 1)
                bucket.tokens = min(self._each, bucket.tokens + 1)
                self._wait(bucket)

    def _wait(self, bucket: Bucket) -> None:
        """Compute until when a look at the clock suffices."""
        missing = 1.0 - bucket.tokens
        if missing > 0:
            bucket.ready = bucket.updated + (missing / self._refill if self._refill else float("inf"))
        else:
            bucket.ready = 0.0

    def _first(self, key: Hashable) -> int:
        now = self.clock()
        if self._capacity and not self._take(now, 1.0 - self._capacity):
            return OVER_RATE
        if len(self._buckets) >= _MOST_KEYS:
            self._drop_oldest()
        bucket = self._buckets[key] = Bucket(self._each - 1, now)
        if self._capacity:
            self._wait(bucket)
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

    def _drop_oldest(self) -> None:
        """Drop the half of the keys that was used longest ago."""
        kept = sorted(self._buckets.items(), key=lambda item: item[1].updated)[_MOST_KEYS // 2 :]
        self._buckets = dict(kept)


class Escalation:
    """Passes once where something expected comes more often than `rate`, and again only after a calm period."""

    __slots__ = ("_clock", "_windows", "rate")

    def __init__(self, events: float, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self.rate = (events, seconds)
        self._clock = clock
        self._windows: dict[Hashable, tuple[float, int, bool]] = {}  # began, how many, has one passed

    def passes(self, key: Hashable) -> bool:
        with lock:
            now = self._clock()
            began, number, passed = self._windows.get(key, (now, 0, False))
            if now - began >= self.rate[1]:
                passed = passed and number > self.rate[0] and now - began < 2 * self.rate[1]
                began, number = now, 0
            number += 1
            passes = number > self.rate[0] and not passed
            if len(self._windows) >= _MOST_KEYS and key not in self._windows:  # the half that began first is dropped
                self._windows = dict(sorted(self._windows.items(), key=lambda each: each[1][0])[_MOST_KEYS // 2 :])
            self._windows[key] = (began, number, passed or passes)
            return passes
