"""The line tables of CPython 3.9 (`co_lnotab`) and 3.10 (`co_linetable`)."""

import sys
from types import CodeType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .blocks import Moved

#: Differences of lines in the table of 3.10.
_NO_LINE, _SAME_LINE = 128, 0


def on_one_line(code: CodeType) -> CodeType:
    """Return `code` with a table that gives all of it the first line."""
    changes: "dict[str, Any]" = {"co_lnotab": b""}
    if sys.version_info >= (3, 10):
        whole, rest = divmod(len(code.co_code), 254)
        changes = {"co_linetable": b"\xfe\x00" * whole + (bytes([rest, 0]) if rest else b"")}
    return code.replace(**changes)


def moved(code: CodeType, new: "Moved") -> "dict[str, bytes]":
    """Return the attribute with the table of `code` after its instructions were moved."""
    if sys.version_info < (3, 10):
        return {"co_lnotab": _moved_lnotab(code.co_lnotab, new)}
    return {"co_linetable": _moved_linetable(code.co_linetable, new)}


def _moved_lnotab(table: bytes, moved: "Moved") -> bytes:
    """The table of 3.9: differences of byte offsets and of lines, in pairs (CPython, Objects/lnotab_notes.txt).

    Code inserted at the beginning belongs to the first line: a tracer is called once a line, for its first
    instruction. It is always called for a handler; ours has the line of `def`, which needs no coverage.
    """
    lines = bytearray()
    unit = at = line = 0
    entries: "list[tuple[int, int]]" = []
    for i in range(0, len(table), 2):
        unit += table[i] // 2
        if not table[i + 1]:
            continue
        entries.append((2 * moved.position[unit] if unit > moved.begin else 0, table[i + 1]))
        line += table[i + 1] - (table[i + 1] >> 7 << 8)
    entries += [(2 * moved.end, 256 - 128)] * (line // 128) + [(2 * moved.end, -(line % 128) & 255)] * bool(line % 128)
    for to, difference in entries:
        while to - at > 254:
            lines += b"\xfe\0"
            at += 254
        lines += bytes((to - at, difference))
        at = to
    return bytes(lines)


def _moved_linetable(table: bytes, moved: "Moved") -> bytes:
    """The table of 3.10: how many bytes, and by how much their line differs (PEP 626).

    Code inserted at the beginning and the end has no line. Code inserted before a return has the line of the return,
    which a tracer would take for a new line otherwise.
    """
    lines = bytearray()
    unit = at = 0
    for i in range(0, len(table), 2):
        until, line = unit + table[i] // 2, table[i + 1]
        if unit <= moved.begin < until:
            lines += _range(moved.begin - unit, line) + _range(moved.inserted, _NO_LINE)
            if moved.begin > unit:
                line = _SAME_LINE if line != _NO_LINE else line
            at = moved.position[moved.begin]
        to = moved.position[until] - moved.inserted * (until == moved.begin)
        lines += _range(to - at, line) if until > unit else table[i : i + 2]
        unit, at = until, to
    return bytes(lines + _range(len(moved.code) // 2 - at, _NO_LINE))


def _range(units: int, line: int) -> bytes:
    """Return entries for `units` code units; one entry holds at most 127."""
    entries = bytearray()
    while units > 0:
        here = min(units, 127)
        entries += bytes((2 * here, line))
        units -= here
        line = line if line == _NO_LINE else _SAME_LINE
    return bytes(entries)
