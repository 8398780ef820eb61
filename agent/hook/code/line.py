"""Injects a call where the execution of a function comes to a line, on CPython 3.11 to 3.15.

The call stands before the first instruction of the line. Where a loop comes back to the line in the middle of its
instructions, as to that of a `for`, it stands there, so that each turn counts. Inserted code has the location of the
instruction that it precedes: tracebacks, tracers and debuggers see the line as without it.
"""

from types import CodeType

from . import depths, moved, tables
from .operations import (
    AFTER_LOOP,
    BACKWARD,
    CACHES,
    FORWARD,
    JUMPING,
    OPS,
    RESUME_UNITS,
    RETURN,
    RETURN_CONST,
    back,
    branch,
    call,
    op,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_OPTIMIZED = 0x01  # CO_OPTIMIZED: the code of a function, and not of a module or a class

#: Instructions that belong to the one before them, or that begin the handling of an exception.
_NOT_BEFORE = frozenset([
    OPS[name]
    for name in ("RESUME", "END_FOR", "END_SEND", "CLEANUP_THROW", "END_ASYNC_FOR", "PUSH_EXC_INFO")
    if name in OPS
])  # fmt: skip
_DROPS_ITERATOR = AFTER_LOOP if len(AFTER_LOOP) == 4 else b"?"
_ENDS = frozenset((RETURN, RETURN_CONST, OPS["RERAISE"], OPS["RAISE_VARARGS"], *OPS["always"]))


def of_function(code: CodeType) -> bool:
    return bool(code.co_flags & _OPTIMIZED)


def lines(code: CodeType) -> "set[int]":
    """The lines on which the function's own body holds instructions."""
    return {line for _, _, line in runs_of(code)}


def inject(code: CodeType, line: int, callback: object) -> "CodeType | None":
    """Return `code` with a call of `callback()` where it comes to `line`. None: at no instruction that can be reached.

    Raises ValueError where the stack of this code cannot be determined.
    """
    known = depths.of(code)
    if known is None:
        raise ValueError("the depth of its stack cannot be determined")
    body = code.co_code
    jumps = [jump for jump in moved.jumps_and_returns(body, body[::2]) if jump[3] in FORWARD or jump[3] in BACKWARD]
    points = _points(code, line, known, jumps)
    return _injected(code, callback, points, known, jumps) if points else None


def runs_of(code: "Any") -> "Iterator[tuple[int, int, int]]":
    """(first unit, unit after the last, line) of instructions in a row, in the function's body."""
    begin = code.co_code[::2].find(OPS["RESUME"]) + RESUME_UNITS
    first, last = 0, 0
    before: "int | None" = None
    for offset, stop, line in code.co_lines():
        start, end = max(offset // 2, begin), stop // 2
        if start >= end:
            continue
        if line == before and start == last:
            last = end
            continue
        if before is not None:
            yield first, last, before
        first, last, before = start, end, line
    if before is not None:
        yield first, last, before


def _points(code: CodeType, line: int, known: "dict[int, int]", jumps: "list[moved.Jump]") -> "list[int]":
    """The units before which execution has just come to the line."""
    ops = code.co_code[::2]
    line_of: "dict[int, int]" = {}
    runs = list(runs_of(code))
    for first, last, its in runs:
        line_of.update(dict.fromkeys(range(first, last), its))
    come: "dict[int, set[int | None]]" = {}  # unit → the lines from which something jumps there, or goes on there
    turns: "set[int]" = set()
    for jump in jumps:
        if jump[3] not in JUMPING:
            continue
        target, where = moved.target_of(jump), line_of.get(jump[1])
        come.setdefault(target, set()).add(where)
        if jump[3] in BACKWARD and where != line and ops[target] not in _NOT_BEFORE:
            turns.add(target)
    for unit in known:
        if ops[unit] not in _ENDS:
            come.setdefault(unit + 1 + CACHES.get(ops[unit], 0), set()).add(line_of.get(unit))
    points: "list[int]" = []
    for first, last, its in runs:
        if its != line:
            continue
        begin = min([unit for unit in turns if first <= unit < last], default=first)
        # A small end, as `return x`, may have been copied behind itself, and is reached from elsewhere.
        copies = [unit for unit in range(begin + 1, last) if line not in come.get(unit, (line,))]
        for at in (begin, *copies):
            if at not in known or ops[at] in _NOT_BEFORE or code.co_code[2 * at - 2 : 2 * at + 2] == _DROPS_ITERATOR:
                continue
            if at not in turns:
                if come.get(at, {None}) == {line}:
                    continue
                if points and all(
                    known.get(unit, 0) > known[points[-1]] for unit in range(points[-1] + 1, at + 1) if unit in known
                ):
                    continue  # it goes on with an expression that began on this line, and has a part elsewhere
            points.append(at)
    return points


def _injected(
    code: "Any", callback: object, points: "list[int]", known: "dict[int, int]", jumps: "list[moved.Jump]"
) -> CodeType:
    body = code.co_code
    calling = call(len(code.co_consts))
    snippet = calling + op("POP_TOP")
    size = len(snippet) // 2
    # What is inserted belongs to the instruction behind it: what jumps there, and what handles its exceptions, too.
    growth = {unit + 1: size for unit in points}
    edits = [(unit, unit, snippet) for unit in points]
    changed, position = moved.with_edits(body, jumps, edits, growth)
    end = position[len(body) // 2]
    table = [
        (position[first], position[last], position[target], depth, lasti)
        for first, last, target, depth, lasti in tables.read_table(code.co_exceptiontable)
    ]
    around = dict.fromkeys(points)
    for unit in points:
        around[unit] = next((entry for entry in table if entry[0] <= position[unit] < entry[1]), None)
    table = tables.apart(table, [(position[unit], position[unit] + len(calling) // 2) for unit in points])[0]
    handlers = b""
    no_room = op("LOAD_CONST", len(code.co_consts) + 1) + op("CHECK_EXC_MATCH")
    for unit in points:
        # The stack had no room for the call: the function goes on. Any other exception is the host's.
        at, here = position[unit], end + len(handlers) // 2
        table.append((at, at + len(calling) // 2, here, known[unit], 1))
        drop = op("POP_TOP") * 2
        drop += back(here + len(no_room + branch(drop)) // 2, at + size)
        handler = no_room + branch(drop) + op("RERAISE", 1)
        outer = around[unit]
        if outer is not None:
            table.append((here, here + len(handler) // 2, *outer[2:]))
        handlers += handler
    lines = tables.moved_lines(code.co_linetable, position, -1, 0)
    return code.replace(  # type: ignore[no-any-return]
        co_code=changed + handlers,
        co_consts=(*code.co_consts, callback, RecursionError),
        co_stacksize=code.co_stacksize + 5,
        co_linetable=lines + tables.nowhere(len(handlers) // 2),
        co_exceptiontable=tables.write_table(sorted(table)),
    )
