"""The numbers of one operation over some time, and how they are added.

The 64-bit numbers of a row are one integer of Python's here, so that two rows are added in one step. That is what
makes it cheap to read the files of hundreds of processes. No number reaches 2**63: the highest bit of each is free, and
shows in a subtraction whether a number has become less.
"""

from __future__ import annotations

import sys
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from . import layout, users

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NUMBERS = Struct(f"={layout.INTEGERS}Q")
_LONGEST, _LAST_FAILURE = [Struct(f"={index * 8}xQ").unpack_from for index in layout.GREATEST]
_ORDER: str = sys.byteorder
_HIGHEST = 1 << 63
_ALL = 2**64 - 1


def _packed(numbers: Iterable[int]) -> int:
    return int.from_bytes(_NUMBERS.pack(*numbers), _ORDER)  # type: ignore[arg-type]


#: The highest bit of each number; all bits of those that are added up; the highest bit of each register.
_SIGNS = _packed([_HIGHEST] * layout.INTEGERS)
_SUMS = _packed([0 if index in layout.GREATEST else _ALL for index in range(layout.INTEGERS)])
_BUCKETS = _packed([_ALL if index < layout.BUCKETS else 0 for index in range(layout.INTEGERS)])
_FAILED = _packed([_ALL if 0 <= index - layout.FAILURES < 5 else 0 for index in range(layout.INTEGERS)])
#: Where buckets end, in nanoseconds. The last one has no end; and no bucket, -1, ends before anything.
_ENDS = [*[int(layout.bound(bucket) * 1e9) for bucket in range(layout.BUCKETS - 1)], _HIGHEST, 0]
_NOBODY = bytes(layout.REGISTERS)
_REGISTER_SIGNS = int.from_bytes(b"\x80" * layout.REGISTERS, "little")

_FAILURES = slice(layout.FAILURES, layout.FAILURES + len(layout.SEVERITIES))


class DamagedError(ValueError):
    """A row contains what no process has counted."""


class Key(NamedTuple):
    """What is counted by itself."""

    module: str
    operation: str
    monitor: str
    kind: str
    release: str


class Counts:
    """The numbers of one key over some time. Immutable; `a + b` is both, `a - b` what came since `b`."""

    __slots__ = ("_last_failure", "_longest", "_registers", "_sums", "_unpacked")

    def __init__(self, integers: Sequence[int] = (), registers: bytes = b"") -> None:
        """`integers` and `registers` as in a row of `layout`."""
        self._unpacked: tuple[int, ...] | None = None
        self._longest = integers[layout.LONGEST] if integers else 0
        self._last_failure = integers[layout.LAST_FAILURE] if integers else 0
        self._sums = _packed(integers) & _SUMS if integers else 0
        self._registers = int.from_bytes(registers, "little")

    @classmethod
    def _of(cls, sums: int, longest: int, last_failure: int, registers: int) -> Counts:
        self = cls.__new__(cls)
        self._unpacked = None
        self._sums, self._longest, self._last_failure, self._registers = sums, longest, last_failure, registers
        return self

    @classmethod
    def of_row(cls, row: bytes | memoryview) -> Counts:
        """Raises DamagedError."""
        sums = int.from_bytes(row[: layout.INTEGERS * 8], _ORDER)  # type: ignore[arg-type]
        users_ = row[layout.INTEGERS * 8 :]
        registers = int.from_bytes(users_, "little") if users_ != _NOBODY else 0
        if sums & _SIGNS or registers & _REGISTER_SIGNS:
            raise DamagedError
        return cls._of(sums & _SUMS, _LONGEST(row)[0], _LAST_FAILURE(row)[0], registers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counts) and self._all() == other._all()

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return f"<Counts calls={self.calls} failures={self.failures} longest={self.longest}>"

    def _all(self) -> tuple[int, int, int, int]:
        return self._sums, self._longest, self._last_failure, self._registers

    def __add__(self, other: Counts) -> Counts:
        return Counts._of(
            self._sums + other._sums,
            self._longest if self._longest > other._longest else other._longest,  # noqa: FURB136  (quicker than max)
            self._last_failure if self._last_failure > other._last_failure else other._last_failure,  # noqa: FURB136
            _greater(self._registers, other._registers) if other._registers else self._registers,
        )

    def __sub__(self, earlier: Counts) -> Counts:
        """What cannot be taken apart is nearly so: see the comments.

        A number that has become less has not been counted since.
        """
        difference = (self._sums | _SIGNS) - earlier._sums
        if difference & _SIGNS == _SIGNS:
            difference ^= _SIGNS
        else:
            pairs = zip(self.integers, earlier.integers)
            difference = _packed([max(number - before, 0) for number, before in pairs]) & _SUMS
        longest = self._longest
        if longest <= earlier._longest:  # the longest since then is not known, but its bucket is
            longest = min(longest, _ENDS[_highest(difference & _BUCKETS)])
        failed = self._last_failure != earlier._last_failure or self._registers != earlier._registers
        if failed or difference & _FAILED:  # also users who were affected before: see `users`
            return Counts._of(difference, longest, self._last_failure, self._registers)
        return Counts._of(difference, longest, 0, 0)

    def __bool__(self) -> bool:
        return bool(self._sums or self._last_failure or self._longest or self._registers)

    @property
    def integers(self) -> tuple[int, ...]:
        """As in a row of `layout`."""
        if self._unpacked is None:
            numbers = list(_NUMBERS.unpack(self._sums.to_bytes(layout.INTEGERS * 8, _ORDER)))  # type: ignore[arg-type]
            numbers[layout.LONGEST], numbers[layout.LAST_FAILURE] = self._longest, self._last_failure
            self._unpacked = tuple(numbers)
        return self._unpacked

    @property
    def registers(self) -> bytes:
        """As in a row of `layout`."""
        return self._registers.to_bytes(layout.REGISTERS, "little")

    def row(self) -> bytes:
        """As `layout` describes it."""
        return _NUMBERS.pack(*self.integers) + self.registers

    @property
    def buckets(self) -> Sequence[int]:
        """Calls by duration: see `layout.bound`."""
        return self.integers[: layout.BUCKETS]

    @property
    def untimed(self) -> int:
        return self.integers[layout.UNTIMED]

    @property
    def calls(self) -> int:
        return sum(self.buckets) + self.untimed

    @property
    def by_severity(self) -> dict[str, int]:
        return {severity: number for severity, number in zip(layout.SEVERITIES, self.integers[_FAILURES]) if number}

    @property
    def failures(self) -> int:
        return sum(self.integers[_FAILURES])

    @property
    def expected(self) -> int:
        return self.integers[layout.EXPECTED]

    @property
    def slow(self) -> int:
        return self.integers[layout.SLOW]

    @property
    def rules(self) -> int:
        return self.integers[layout.RULES]

    @property
    def held(self) -> dict[str, int]:
        """What was worth a report that limits held back: rate, sample, other → number."""
        held = zip(("rate", "sample", "other"), self.integers[layout.HELD_RATE : layout.HELD_OTHER + 1])
        return {reason: number for reason, number in held if number}

    @property
    def reported(self) -> int:
        return self.integers[layout.REPORTED]

    @property
    def uncounted(self) -> float:
        """Seconds, of all processes together, in which calls were not counted: that cost more than the budget."""
        return self.integers[layout.UNCOUNTED] / 1e3

    @property
    def total(self) -> float:
        """Seconds."""
        return self.integers[layout.TOTAL] / 1e9

    @property
    def longest(self) -> float | None:
        """Seconds; None where no call has a duration."""
        return self._longest / 1e9 if any(self.buckets) else None

    @property
    def last_failure(self) -> float | None:
        """Seconds since the epoch."""
        return self._last_failure / 1e3 or None

    @property
    def users(self) -> int:
        """How many different users failures have affected: an estimate, and at most the number of failures."""
        return min(users.estimate(self.registers), self.failures)

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


def _highest(numbers: int) -> int:
    """The index of the last number that is not zero; -1 if all are."""
    if _ORDER == "little" or not numbers:
        return (numbers.bit_length() - 1) >> 6
    return layout.INTEGERS - 1 - (((numbers & -numbers).bit_length() - 1) >> 6)


def _greater(some: int, others: int) -> int:
    """The greater one of each two registers."""
    if some == others or not some:
        return others
    at_least = ((some | _REGISTER_SIGNS) - others) & _REGISTER_SIGNS  # where those of `some` are
    chosen = (at_least << 1) - (at_least >> 7)  # all bits of these registers
    return others ^ ((some ^ others) & chosen)
