"""Reads and rewrites the location and exception tables of code objects, from CPython 3.11 on.

CPython describes them in Objects/locations.md and Objects/exception_handling_notes.txt. Both count in code units, whose
new positions `positions` returns.
"""

from itertools import accumulate, compress

from ...base.interrupts import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    #: Of exceptions: first unit, unit after the last, the handler's, depth of the stack, is lasti pushed?
    Entry = tuple[int, int, int, int, int]


def nowhere(units: int) -> bytes:
    """Return entries of the location table that give `units` code units no line."""
    whole, rest = divmod(units, 8)
    return b"\xff" * whole + (bytes((0xF8 | (rest - 1),)) if rest else b"")


#: Entries begin with a byte that has its highest bit set.
_HEADS = bytes([0] * 128 + [1] * 128)


#: The bytes that continue an entry, and the number of code units of an entry by its first byte.
_REST = bytes(range(128))
_UNITS = bytes([(byte & 7) + 1 for byte in range(256)])


class Stretched:
    """A location table with `inserted` units without a line at `begin`, and some entries extended.

    Raises NotAlone where an entry that is to be extended does not end at the given unit.
    """

    def __init__(self, table: bytes, begin: int, inserted: int) -> None:
        self._table = table
        # By unit: which entry ends there; and where in the table an entry begins.
        self._units = table.translate(_UNITS, _REST)
        self._ends = list(accumulate(self._units))
        self._offsets = list(compress(range(len(table)), table.translate(_HEADS)))
        self._offsets.append(len(table))
        self._entry = self._ending(begin, 0)
        self._copied = self._offsets[self._entry + 1]
        self._pieces: "list[bytes | bytearray]" = [table[: self._copied], nowhere(inserted)]

    def _ending(self, unit: int, after: int) -> int:
        try:
            return self._ends.index(unit, after)
        except ours(ValueError):
            raise NotAlone from None

    def stretch(self, end: int, units: int) -> None:
        """Extend the entry that ends before the unit `end` by `units`. Call it in the order of the entries."""
        entry = self._ending(end, self._entry + 1)
        begins, ends = self._offsets[entry], self._offsets[entry + 1]
        longer = bytearray(self._table[self._copied : begins])
        _locate(longer, self._table[begins:ends], self._units[entry] + units)
        self._pieces.append(longer)
        self._copied, self._entry = ends, entry

    def table(self) -> bytes:
        return b"".join([*self._pieces, self._table[self._copied :]])


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
    return b"".join([
        _firsts[first] + _numbers[last - first] + _numbers[target] + _numbers[depth << 1 | lasti]
        for first, last, target, depth, lasti in table if first < last
    ])  # fmt: skip


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


class _Numbers(dict):  # type: ignore[type-arg]
    """Encoded numbers of the table, by value: most are small and repeat. `mark` distinguishes the first of an entry."""

    mark = 0

    def __missing__(self, value: int) -> bytes:
        spelt = bytes((value & 63,))
        rest = value >> 6
        while rest:
            spelt = bytes((64 | rest & 63,)) + spelt
            rest >>= 6
        spelt = bytes((spelt[0] | self.mark,)) + spelt[1:]
        if value < 4096:
            self[value] = spelt
        return spelt


_numbers = _Numbers()
_firsts = _Numbers()
_firsts.mark = 128


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
