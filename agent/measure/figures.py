"""Figures of the ERP's operations over all processes of a host: what `status`, `top`, `report` and `metrics` read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import layout

if TYPE_CHECKING:
    from collections.abc import Sequence

_NOTHING = (0,) * layout.INTEGERS
_NOBODY = bytes(layout.REGISTERS)


class Key(NamedTuple):
    """What is counted by itself."""

    module: str
    operation: str
    monitor: str
    kind: str
    release: str


class Counts:
    """The numbers of one key over some time. Immutable; `a + b` is both, `a - b` what came since."""

    __slots__ = ("_integers", "_registers")

    def __init__(self, integers: Sequence[int] = _NOTHING, registers: bytes = _NOBODY) -> None:
        self._integers = integers
        self._registers = registers

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Counts):
            return NotImplemented
        return tuple(self._integers) == tuple(other._integers) and self._registers == other._registers

    def __hash__(self) -> int:
        return hash((tuple(self._integers), self._registers))

    def __add__(self, other: Counts) -> Counts:
        numbers = [one + more for one, more in zip(self._integers, other._integers)]
        for index in layout.GREATEST:
            numbers[index] = max(self._integers[index], other._integers[index])
        return Counts(numbers, bytes(map(max, self._registers, other._registers)))

    def __sub__(self, earlier: Counts) -> Counts:
        """Longest, last failure and users cannot be taken apart: they are those of the later numbers."""
        numbers = [one - less for one, less in zip(self._integers, earlier._integers)]
        for index in layout.GREATEST:
            numbers[index] = self._integers[index]
        return Counts(numbers, self._registers)

    def __bool__(self) -> bool:
        return any(self._integers)

    @property
    def buckets(self) -> Sequence[int]:
        """Calls by duration: see `layout.bound`."""
        return self._integers[: layout.BUCKETS]

    @property
    def untimed(self) -> int:
        return self._integers[layout.UNTIMED]

    @property
    def calls(self) -> int:
        return sum(self.buckets) + self.untimed

    @property
    def by_severity(self) -> dict[str, int]:
        failures = self._integers[layout.FAILURES : layout.FAILURES + len(layout.SEVERITIES)]
        return {severity: number for severity, number in zip(layout.SEVERITIES, failures) if number}

    @property
    def failures(self) -> int:
        return sum(self.by_severity.values())

    @property
    def expected(self) -> int:
        return self._integers[layout.EXPECTED]

    @property
    def slow(self) -> int:
        return self._integers[layout.SLOW]

    @property
    def rules(self) -> int:
        return self._integers[layout.RULES]

    @property
    def held(self) -> dict[str, int]:
        """What was worth a report that limits held back: rate, sample, other → number."""
        held = zip(("rate", "sample", "other"), self._integers[layout.HELD_RATE : layout.HELD_OTHER + 1])
        return {reason: number for reason, number in held if number}

    @property
    def reported(self) -> int:
        return self._integers[layout.REPORTED]

    @property
    def total(self) -> float:
        """Seconds."""
        return self._integers[layout.TOTAL] / 1e9

    @property
    def longest(self) -> float | None:
        """Seconds; None where no call has a duration."""
        return self._integers[layout.LONGEST] / 1e9 if any(self.buckets) else None

    @property
    def last_failure(self) -> float | None:
        """Seconds since the epoch."""
        return self._integers[layout.LAST_FAILURE] / 1e3 or None

    def quantile(self, share: float) -> float | None:
        """Return the duration in seconds that a share of the calls did not exceed; None where none has a duration."""
        buckets = self.buckets
        left = share * sum(buckets)
        longest = self.longest
        if longest is None:
            return None
        for bucket, number in enumerate(buckets):
            if number and left <= number:
                # Within the bucket as if its calls were spread evenly over it, on a logarithmic scale.
                return min(layout.bound(bucket - 1 + left / number), longest)
            left -= number
        return longest
