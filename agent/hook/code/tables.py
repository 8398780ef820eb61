"""Reads and rewrites the location and exception tables of code objects, from CPython 3.11 on.

CPython describes them in Objects/locations.md and Objects/exception_handling_notes.txt. Both count in code units, whose
new positions `positions` returns.
"""

from itertools import accumulate, compress

from ...base.interrupts import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    #: Of exceptions: first unit, unit after the last, the handler's, depth of the stack, is lasti pushed?
    Entry = tuple[int, int, int, int, int]


def marked(marks: bytes) -> "Iterator[int]":
    """Return where `marks` are not 0. They are rarely more than 256: up to there, no number has to be made."""
    return compress(_ALL if len(marks) <= 256 else range(len(marks)), marks)


_ALL = bytes(range(256))


def nowhere(units: int) -> bytes:
    """Return entries of the location table that give `units` code units no line."""
    known = _nowhere.get(units)
    if known is None:
        whole, rest = divmod(units, 8)
        known = b"\xff" * whole + (bytes((0xF8 | (rest - 1),)) if rest else b"")
        if units < 256:  # what is inserted has few different lengths
            _nowhere[units] = known
    return known


_nowhere: "dict[int, bytes]" = {}


#: Entries begin with a byte that has its highest bit set.
_HEADS = bytes([0] * 128 + [1] * 128)


#: The number of code units of an entry by its first byte, and 0 for the bytes that continue it.
_UNITS = bytes([(byte & 7) + 1 if byte > 127 else 0 for byte in range(256)])
#: One byte each: a subscript costs less than `bytes((value,))`.
BYTE = [bytes((value,)) for value in range(256)]
#: Entries that begin with less keep the line of what is before them, or state no more than that of the one before.
_MOVES_ON = 0x80 | 11 << 3


def stretched(table: bytes, begin: int, inserted: int, growing: "list[tuple[int, int]]") -> bytes:
    """Return a location table with `inserted` units without a line at `begin`, and some entries extended.

    `growing` has (the unit after an entry, by how many units to extend that), in their order. Raises NotAlone where no
    entry ends there.
    """
    units = table.translate(_UNITS)
    ends = list(accumulate(units))  # by byte: the unit after its entry
    units += b"\1"
    try:
        copied = ends.index(begin) + 1
        while not units[copied]:
            copied += 1
        pieces: "list[bytes | bytearray]" = [table[:copied], nowhere(inserted)]
        for end, more in growing:
            begins = ends.index(end, copied)
            pieces.append(table[copied:begins])
            copied = begins + 1
            while not units[copied]:
                copied += 1
            head, size = table[begins], more + units[begins]
            if head < _MOVES_ON:
                tail = table[begins + 1 : copied]
                size -= 1
                pieces.append((BYTE[head | 7] + tail) * (size >> 3) + BYTE[head & 0xF8 | size & 7] + tail)
            else:
                longer = bytearray()
                _locate(longer, table[begins:copied], size)
                pieces.append(longer)
    except ours(ValueError):
        raise NotAlone from None
    pieces.append(table[copied:])
    return b"".join(pieces)


class NotAlone(Exception):
    """One entry covers units that must be treated differently."""


def moved_lines(table: bytes, position: "list[int]", begin: int, inserted: int) -> bytes:
    lines = bytearray()
    unit = moved = at = copied = 0
    size = len(table)
    heads = table.translate(_HEADS)
    while at < size:
        until = unit + (table[at] & 7) + 1
        to = position[until]
        if to - moved != until - unit:
            stop = heads.find(1, at + 1)
            entry = table[at:stop] if stop > 0 else table[at:]
            lines += table[copied:at]
            if unit < begin <= until:
                _locate(lines, entry, begin - unit)
                lines += nowhere(inserted)
                _locate(lines, _again(entry), to - position[begin])
            else:
                _locate(lines, entry, to - moved)
            copied = at = stop if stop > 0 else size
        else:
            at = heads.find(1, at + 1)
            if at < 0:
                break
        unit, moved = until, to
    return bytes(lines + table[copied:])


def _locate(lines: bytearray, entry: bytes, units: int) -> None:
    """Append `entry` for `units` code units; one entry holds at most eight."""
    if units > 8:
        lines.append(entry[0] | 7)
        lines += entry[1:]
        entry = _again(entry)
        whole, units = divmod(units - 8, 8)
        lines += (bytes((entry[0] | 7,)) + entry[1:]) * whole
    if units > 0:
        lines.append(entry[0] & 0xF8 | (units - 1))
        lines += entry[1:]


def _again(entry: bytes) -> bytes:
    """Return an entry that repeats the line of `entry` after it: lines are stored as differences."""
    form = (entry[0] >> 3) & 15
    if form in (11, 12):
        return bytes((0x80 | 10 << 3,)) + entry[1:]
    if form in (13, 14):
        at = 1
        while entry[at] & 64:
            at += 1
        return entry[:1] + b"\0" + entry[at + 1 :]
    return entry


def read_table(data: bytes) -> "list[Entry]":
    numbers: "list[int]" = []
    value = 0
    for byte in data:
        value = value << 6 | byte & 63
        if not byte & 64:
            numbers.append(value)
            value = 0
    return [
        (numbers[i], numbers[i] + numbers[i + 1], numbers[i + 2], numbers[i + 3] >> 1, numbers[i + 3] & 1)
        for i in range(0, len(numbers), 4)
    ]


def write_table(table: "list[Entry]") -> bytes:
    heads, numbers = _heads, _numbers
    written: "list[bytes]" = []
    for first, last, target, depth, lasti in table:
        if first < last:
            written += heads[first], numbers[last - first], numbers[target], numbers[depth << 1 | lasti]
    return b"".join(written)


class _Numbers(dict):  # type: ignore[type-arg]
    """How the exception table spells each number: six bits a byte, the highest first, 64 in all but the last."""

    def __init__(self, mark: int = 0) -> None:
        self._mark = mark  # in the first byte

    def __missing__(self, number: int) -> bytes:
        spelt = bytes((number & 63,))
        rest = number
        while rest > 63:
            rest >>= 6
            spelt = bytes((64 | rest & 63,)) + spelt
        spelt = bytes((self._mark | spelt[0],)) + spelt[1:]
        if number < 1024:  # most functions are shorter
            self[number] = spelt
        return spelt


_numbers = _Numbers()
#: Of the first number of an entry.
_heads = _Numbers(128)


def apart(table: "list[Entry]", ranges: "list[tuple[int, int]]") -> "tuple[list[Entry], set[tuple[int, int, int]]]":
    """Return `table` without `ranges`, and the handlers of these (in a generator, the one for StopIteration).

    Both are sorted, and no range is in two entries.
    """
    kept: "list[Entry]" = []
    had = set()
    at = 0
    for first, last, target, depth, lasti in table:
        begins = first
        while at < len(ranges) and ranges[at][0] < last:
            start, stop = ranges[at]
            if stop > begins:
                kept.append((begins, start, target, depth, lasti))
                had.add((target, depth, lasti))
                begins = stop
            at += 1
        kept.append((begins, last, target, depth, lasti))
    return kept, had


def positions(growth: "dict[int, int]", units: int) -> "list[int]":
    """Return the new position of each unit; `growth` maps a unit to the number of units inserted before it."""
    position: "list[int]" = []
    at = shift = 0
    for unit in sorted(growth):
        position.extend(range(at + shift, unit + shift))
        shift += growth[unit]
        at = unit
    position.extend(range(at + shift, units + shift))
    return position
