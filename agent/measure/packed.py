"""Many rows of counts in few bytes: number by number, each as wide as the greatest one needs, compressed.

Numbers that are zero in all rows, as most buckets are, take nothing; and what stands side by side is of one kind.
"""

from __future__ import annotations

import zlib
from array import array
from typing import TYPE_CHECKING

from ..base.interrupts import ours
from . import layout
from .counts import Counts, DamagedError

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEVEL = 6
_WIDTHS = "BHIQ"
_ROUNDED = (layout.TOTAL, layout.LONGEST)
_BITS = 11  # of a number that is rounded: to within 0.05 %
_UNIT = 8  # bits that are left off before: 256 nanoseconds
_STRIDE = layout.ROW // 8
_USERS = layout.INTEGERS  # stands for the registers, as if it were a number
_END = 255


def pack(rows: Sequence[Counts], *, exact: bool) -> bytes:
    """Return all numbers; without `exact`, of the durations (in all, and the longest) their first eleven bits."""
    parts = [_spread([counts.buckets for counts in rows])]
    for index, column in enumerate(zip(*[counts.integers for counts in rows])):
        numbers: Sequence[int] = column
        if index < layout.BUCKETS or not any(numbers):
            continue
        if index in _ROUNDED and not exact:
            numbers = [_rounded(number) for number in numbers]
        parts += [bytes((index,)), _narrow(numbers)]
    users = [counts.registers for counts in rows]
    which = [number for number, registers in enumerate(users) if any(registers)]
    if which:
        parts += [bytes((_USERS,)), _size(which), _narrow(which), *[users[number] for number in which]]
    return zlib.compress(b"".join([_size(rows), *parts, bytes((_END,))]), _LEVEL)


def unpack(data: bytes, *, exact: bool) -> list[Counts]:
    """Raises DamagedError, also for what has other bytes than `pack` gave."""
    try:
        return _unpack(zlib.decompress(data), exact)
    except ours(zlib.error, IndexError, ValueError, MemoryError, BufferError):
        raise DamagedError from None


def _unpack(data: bytes, exact: bool) -> list[Counts]:
    number = int.from_bytes(data[:4], "little")
    made = bytearray(number * layout.ROW)
    table = memoryview(made).cast("Q")
    at = _gather(data, 4, number, table)
    while data[at] != _END:
        index = data[at]
        if index == _USERS:
            which, at = _wide(data, at + 5, int.from_bytes(data[at + 1 : at + 5], "little"))
            for row in which:
                begin = row * layout.ROW + layout.INTEGERS * 8
                made[begin : begin + layout.REGISTERS] = data[at : at + layout.REGISTERS]
                at += layout.REGISTERS
            continue
        numbers, at = _wide(data, at + 1, number)
        if index in _ROUNDED and not exact:
            numbers = array("Q", [_unrounded(each) for each in numbers])
        table[index::_STRIDE] = numbers
    rows = bytes(made)
    return [Counts.of_row(rows[begin : begin + layout.ROW]) for begin in range(0, len(rows), layout.ROW)]


def _spread(rows: Sequence[Sequence[int]]) -> bytes:
    """The buckets of all rows: of each row the first one in use, how many from there on, and these."""
    firsts, sizes, numbers = [], [], [0]
    for buckets in rows:
        used = [index for index, number in enumerate(buckets) if number] or [0, -1]
        firsts.append(used[0])
        sizes.append(used[-1] + 1 - used[0])
        numbers += buckets[used[0] : used[-1] + 1]
    return _narrow(firsts) + _narrow(sizes) + _narrow(numbers)


def _gather(data: bytes, at: int, number: int, table: memoryview) -> int:
    firsts, at = _wide(data, at, number)
    sizes, at = _wide(data, at, number)
    numbers, at = _wide(data, at, sum(sizes) + 1)
    begin = 1
    for row, (first, size) in enumerate(zip(firsts, sizes)):
        into = row * _STRIDE + first
        table[into : into + size] = numbers[begin : begin + size]
        begin += size
    return at


def _size(of: Sequence[object]) -> bytes:
    return len(of).to_bytes(4, "little")


def _narrow(numbers: Sequence[int]) -> bytes:
    """Their width, and the numbers: first the lowest byte of each, then the next, which are alike."""
    greatest = max(numbers, default=0)
    width = next(code for code in _WIDTHS if greatest < 1 << 8 * array(code).itemsize)
    data, size = array(width, numbers).tobytes(), array(width).itemsize
    return width.encode() + b"".join([data[byte::size] for byte in range(size)])


def _wide(data: bytes, at: int, number: int) -> tuple[array[int], int]:
    """(so many numbers, where they end)."""
    numbers = array(chr(data[at]))
    size = numbers.itemsize
    end = at + 1 + number * size
    mixed = bytearray(number * size)
    for byte in range(size):
        mixed[byte::size] = data[at + 1 + byte * number : at + 1 + (byte + 1) * number]
    numbers.frombytes(mixed)
    return array("Q", numbers), end


def _rounded(number: int) -> int:
    """Eleven bits, and five for how many were left off: a small floating-point number."""
    number >>= _UNIT
    less = max(number.bit_length() - _BITS, 0)
    return less << _BITS | number >> less


def _unrounded(number: int) -> int:
    less, bits = number >> _BITS, number & (1 << _BITS) - 1
    return bits << less << _UNIT
