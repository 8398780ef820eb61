"""Inserts code at a function's beginning, before its returns and around its yields, and corrects its jumps."""

from . import tables
from .operations import (
    CACHES,
    EXTENDED,
    FORWARD,
    INTERESTING,
    JUMPS,
    OPS,
    RESUME_UNITS,
    RETURN,
    RETURN_CONST,
    instruction,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    #: First unit (of its EXTENDED_ARG), its own, the one after it and its caches, operation, argument.
    Jump = tuple[int, int, int, int, int]
    #: The new code; its location table; the range of each epilogue; what returns the new position of a code unit.
    Changed = tuple[bytes, bytes, list[tuple[int, int]], Callable[[int], int]]


#: By operation: the units up to the next one, and whether it jumps ahead.
_UNITS = bytes([1 + CACHES.get(operation, 0) for operation in range(256)])
_AHEAD = bytes([operation in FORWARD for operation in range(256)])
_RETURNS = bytes([operation in (RETURN, RETURN_CONST) for operation in range(256)])
_LOAD_CONST = bytes((OPS.get("LOAD_CONST", 0),))


def insert_quickly(body: bytes, ops: bytes, begin: int, prologue: bytes, epilogue: bytes, lines: bytes) -> "Changed":
    """The same as `insert` for the usual function: short jumps, no yields, and a location of its own for each return.

    A module may have a thousand functions to change during its import. Therefore only methods of `bytes` look at each
    instruction. Raises Unusual or NotAlone for a function that needs `insert`.
    """
    size = len(epilogue) // 2
    shift = len(prologue) // 2
    #: By the number of returns before a unit: how far it moves. And that number, by unit.
    shifts = [shift]
    passed = b""
    growing: "list[tuple[int, int]]" = []
    epilogues: "list[tuple[int, int]]" = []
    done = 2 * begin
    pieces = [body[:done], prologue]
    marks = ops.translate(_RETURNS)
    unit = marks.find(1)
    for number in tables.BYTE:
        if unit < 0:
            break
        at = 2 * unit
        if ops[unit] == RETURN:
            pieces += body[done:at], epilogue
            growth = size - 1
        elif ops[unit - 1] == EXTENDED:
            raise Unusual
        else:
            pieces += body[done:at], _LOAD_CONST, body[at + 1 : at + 2], epilogue
            growth = size
        done = at + 2
        unit += 1
        passed += number * (unit - len(passed))
        shift += growth
        shifts.append(shift)
        growing.append((unit, growth))
        epilogues.append((unit + shift - size, unit + shift))
        unit = marks.find(1, unit)
    else:
        raise Unusual
    pieces.append(body[done:])
    code = b"".join(pieces)
    units = len(ops)
    passed += number * (units + 1 - len(passed))
    if growing and growing[0][0] < units:  # else nothing jumps over a return
        code = _with_longer_jumps(code, body, ops, passed, shifts)
    return code, tables.stretched(lines, begin, shifts[0], growing), epilogues, lambda at: at + shifts[passed[at]]


def _with_longer_jumps(code: bytes, body: bytes, ops: bytes, passed: bytes, shifts: "list[int]") -> bytes:
    """Return the code, in which jumps across returns are longer than in `body`."""
    changed: "bytearray | None" = None
    extended = EXTENDED in ops
    for at in tables.marked(ops.translate(JUMPS)):
        if extended and ops[at - 1] == EXTENDED:
            raise Unusual
        operation, argument = ops[at], body[2 * at + 1]
        stop = at + _UNITS[operation]
        here, there = passed[stop], passed[stop + argument if _AHEAD[operation] else stop - argument]
        if here != there:
            argument += abs(shifts[here] - shifts[there])
            if argument > 255:
                raise Unusual
            changed = changed or bytearray(code)
            changed[2 * (at + shifts[passed[at]]) + 1] = argument
    return bytes(changed) if changed else code


class Unusual(Exception):
    """Only `insert` can handle this function."""


def insert(
    body: bytes, ops: bytes, begin: int, prologue: bytes, epilogue: bytes, lines: bytes, turns: "dict[int, bytes]"
) -> "Changed":
    """Return the code with a prologue, and with an epilogue before each return; its jumps keep their targets.

    `turns` come before yields and after the RESUME that follows them, by the unit of the yield.
    """
    returns: "list[tuple[int, int, bytes]]" = []
    jumps: "list[Jump]" = []
    for first, at, stop, operation, argument in jumps_and_returns(body, ops):
        if operation == RETURN:
            returns.append((at, stop, epilogue))
        elif operation == RETURN_CONST:
            returns.append((first, stop, instruction(OPS["LOAD_CONST"], argument) + epilogue))
        else:
            jumps.append((first, at, stop, operation, argument))
    growth = {begin: len(prologue) // 2}
    for first, stop, new in returns:
        growth[stop] = growth.get(stop, 0) + len(new) // 2 - (stop - first)
    for unit, turn in turns.items():  # before a YIELD_VALUE, and after the RESUME that follows it
        for at in (unit + 1, unit + 1 + RESUME_UNITS):
            growth[at] = growth.get(at, 0) + len(turn) // 2
    edits = [(begin, begin, prologue), *returns]
    for unit, turn in turns.items():
        edits += [(unit, unit, turn), (unit + 1 + RESUME_UNITS,) * 2 + (turn,)]
    code, position = with_edits(body, jumps, edits, growth)
    size = len(epilogue) // 2
    lines = tables.moved_lines(lines, position, begin, len(prologue) // 2)
    return code, lines, [(position[stop] - size, position[stop]) for _, stop, _ in returns], position.__getitem__


def jumps_and_returns(body: bytes, ops: bytes) -> "Iterator[Jump]":
    """Find the jumps and returns of a code object, in their order."""
    marks = ops.translate(INTERESTING)
    at = marks.find(1)
    while at >= 0:
        argument, first, shift = body[2 * at + 1], at, 8
        while first and ops[first - 1] == EXTENDED:
            first -= 1
            argument |= body[2 * first + 1] << shift
            shift += 8
        yield first, at, at + 1 + CACHES.get(ops[at], 0), ops[at], argument
        at = marks.find(1, at + 1)


def target_of(jump: "Jump") -> int:
    """Return the unit that a jump leads to."""
    _, _, stop, operation, argument = jump
    return stop + (argument if operation in FORWARD else -argument)


def with_edits(
    body: bytes, jumps: "list[Jump]", edits: "list[tuple[int, int, bytes]]", growth: "dict[int, int]"
) -> "tuple[bytes, list[int]]":
    """Return the code with `edits` (first unit, unit after the last, what comes in their place), and new positions.

    `growth` has the number of units that edits add before each unit. Jumps lead to where they did, and are lengthened.
    """
    units = len(body) // 2 + 1
    position = tables.positions(growth, units)
    sizes = {first: at + 1 - first for first, at, *_ in jumps}
    grown = True
    while grown:  # a longer jump moves what others jump over
        grown = False
        for jump in jumps:
            first, _, stop, _, _ = jump
            distance = abs(position[target_of(jump)] - position[stop])
            if distance < 256:
                continue
            size = 2 if distance < 65536 else 3
            if size > sizes[first]:
                growth[first + 1] = growth.get(first + 1, 0) + size - sizes[first]
                sizes[first] = size
                grown = True
        if grown:
            position = tables.positions(growth, units)
    changed = list(edits)
    for jump in jumps:
        first, at, stop, operation, argument = jump
        distance = abs(position[target_of(jump)] - position[stop])
        if distance != argument:
            changed.append((first, at + 1, instruction(operation, distance, sizes[first])))
    pieces = []
    done = 0
    for first, stop, new in sorted(changed):
        pieces += [body[2 * done : 2 * first], new]
        done = stop
    pieces.append(body[2 * done :])
    return b"".join(pieces), position
