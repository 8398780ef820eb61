"""The numbers of one operation over some time, and how they are added.

The 64-bit numbers of a row are one integer of Python's here, so that two rows are added in one step. That is what
makes it cheap to read the files of hundreds of processes. No number reaches 2**63: the highest bit of each is free, and
shows in a subtraction whether a number has become less.
"""

from __future__ import annotations

import sys
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from . import layout, users

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

K = TypeVar("K")

_NUMBERS = Struct(f"={layout.INTEGERS}Q")
_GREATEST = Struct(f"={layout.LONGEST * 8}xQ{(layout.LAST_FAILURE - layout.LONGEST - 1) * 8}xQ").unpack_from
_ORDER: str = sys.byteorder
_HIGHEST = 1 << 63
_ALL = 2**64 - 1


def _packed(numbers: Iterable[int]) -> int:
    return int.from_bytes(_NUMBERS.pack(*numbers), _ORDER)  # type: ignore[arg-type]


def _numbers(packed: int) -> tuple[int, ...]:
    return _NUMBERS.unpack(packed.to_bytes(layout.INTEGERS * 8, _ORDER))  # type: ignore[arg-type]


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


#: The numbers that are added up, as one integer; the longest call in nanoseconds; when one last failed, in milliseconds
#: since the epoch; all registers as one integer.
Parts = tuple[int, int, int, int]


def parts_of(row: bytes) -> Parts:
    """Raises DamagedError."""
    sums = int.from_bytes(row[: layout.INTEGERS * 8], _ORDER)  # type: ignore[arg-type]
    registers = 0 if row.endswith(_NOBODY) else int.from_bytes(row[layout.INTEGERS * 8 :], "little")
    if sums & _SIGNS or registers & _REGISTER_SIGNS:
        raise DamagedError
    return sums & _SUMS, *_GREATEST(row), registers


def added(some: Parts, others: Parts) -> Parts:
    sums, longest, last, registers = some
    more, other_longest, other_last, other_registers = others
    return (
        sums + more,
        longest if longest > other_longest else other_longest,  # noqa: FURB136  (quicker than max)
        last if last > other_last else other_last,  # noqa: FURB136
        _greater(registers, other_registers) if other_registers else registers,
    )


def since(now: Parts, earlier: Parts) -> Parts:
    """What came after `earlier`. What cannot be taken apart is nearly so: see the comments.

    A number that has become less has not been counted since.
    """
    sums, longest, last, registers = now
    before, earlier_longest, earlier_last, earlier_registers = earlier
    difference = (sums | _SIGNS) - before
    if difference & _SIGNS == _SIGNS:
        difference ^= _SIGNS
    else:
        pairs = zip(_numbers(sums), _numbers(before))
        difference = _packed([max(number - less, 0) for number, less in pairs])
    if longest <= earlier_longest:  # the longest since then is not known, but its bucket is
        longest = min(longest, _ENDS[_highest(difference & _BUCKETS)])
    if last != earlier_last or registers != earlier_registers or difference & _FAILED:
        return difference, longest, last, registers  # also users who were affected before: see `users`
    return difference, longest, 0, 0


class Counts:
    """The numbers of one key over some time. Immutable; `a + b` is both, `a - b` what came since `b`."""

    __slots__ = ("_parts", "_unpacked")

    def __init__(self, integers: Sequence[int] = (), registers: bytes = b"") -> None:
        """`integers` and `registers` as in a row of `layout`."""
        self._unpacked: tuple[int, ...] | None = None
        self._parts: Parts = (0, 0, 0, int.from_bytes(registers, "little"))
        if integers:
            longest, last = [integers[index] for index in layout.GREATEST]
            self._parts = (_packed(integers) & _SUMS, longest, last, self._parts[3])

    @classmethod
    def of(cls, parts: Parts) -> Counts:
        self = cls.__new__(cls)
        self._unpacked = None
        self._parts = parts
        return self

    @classmethod
    def of_row(cls, row: bytes) -> Counts:
        """Raises DamagedError."""
        return cls.of(parts_of(row))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counts) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)

    def __repr__(self) -> str:
        return f"<Counts calls={self.calls} failures={self.failures} longest={self.longest}>"

    def __add__(self, other: Counts) -> Counts:
        return Counts.of(added(self._parts, other._parts))

    def __sub__(self, earlier: Counts) -> Counts:
        return Counts.of(since(self._parts, earlier._parts))

    def __bool__(self) -> bool:
        return any(self._parts)

    @property
    def integers(self) -> tuple[int, ...]:
        """As in a row of `layout`."""
        if self._unpacked is None:
            numbers = list(_numbers(self._parts[0]))
            numbers[layout.LONGEST], numbers[layout.LAST_FAILURE] = self._parts[1:3]
            self._unpacked = tuple(numbers)
        return self._unpacked

    @property
    def registers(self) -> bytes:
        """As in a row of `layout`."""
        return self._parts[3].to_bytes(layout.REGISTERS, "little")

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
        return self._parts[1] / 1e9 if any(self.buckets) else None

    @property
    def last_failure(self) -> float | None:
        """Seconds since the epoch."""
        return self._parts[2] / 1e3 or None

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


def add_up(pairs: Iterable[tuple[K, Counts]], sums: dict[K, Counts] | None = None) -> dict[K, Counts]:
    """Add the counts of equal keys; into `sums`, if that is given. Returns the sums."""
    sums = {} if sums is None else sums
    for key, counts in pairs:
        known = sums.get(key)
        sums[key] = counts if known is None else known + counts
    return sums


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
