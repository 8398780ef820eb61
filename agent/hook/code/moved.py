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


_NUMBERS = [bytes((number,)) for number in range(256)]
#: By operation: its caches, and whether it jumps ahead.
_CACHES = bytes([CACHES.get(operation, 0) for operation in range(256)])
_AHEAD = bytes([operation in FORWARD for operation in range(256)])


class Quick:
    """The same as `Moved` for the usual function: short jumps, no yields, and a location of its own for each return.

    A module may have a thousand functions to change during its import. Therefore only methods of `bytes` look at each
    instruction. Raises Unusual for a function that needs `Moved`.
    """

    def __init__(self, body: bytes, ops: bytes, begin: int, prologue: bytes, epilogue: bytes, lines: bytes) -> None:
        size = len(epilogue) // 2
        returns = _all(ops, RETURN)
        if RETURN_CONST >= 0 and RETURN_CONST in ops:
            returns = sorted(returns + _all(ops, RETURN_CONST))
        if len(returns) > 255:
            raise Unusual
        shift = len(prologue) // 2
        growing: "list[tuple[int, int]]" = []
        self.epilogues: "list[tuple[int, int]]" = []
        #: By the number of returns before a unit: how far it moves. And that number, by unit.
        shifts = [shift]
        passed = b""
        number = 0
        for unit in returns:
            stop = unit + 1
            passed += _NUMBERS[number] * (stop - len(passed))
            number += 1
            if ops[unit] == RETURN:
                growth = size - 1
            elif ops[unit - 1] == EXTENDED:
                raise Unusual
            else:
                growth = size
            growing.append((stop, growth))
            shift += growth
            shifts.append(shift)
            self.epilogues.append((stop + shift - size, stop + shift))
        units = len(ops)
        passed += _NUMBERS[number] * (units + 1 - len(passed))
        code: "bytes | bytearray" = body
        if returns and (returns[0] + 1 < units or EXTENDED in ops):  # else nothing jumps over one
            code = self._with_jumps(body, ops, passed, shifts)
        done = 2 * begin
        pieces: "list[bytes | bytearray]" = [code[:done], prologue]
        for unit in returns:
            at = 2 * unit
            pieces.append(code[done:at])
            if ops[unit] == RETURN_CONST:
                pieces.append(bytes((OPS["LOAD_CONST"], body[at + 1])))
            pieces.append(epilogue)
            done = at + 2
        pieces.append(code[done:])
        self.code = b"".join(pieces)
        self.lines = tables.stretched(lines, begin, shifts[0], growing)
        self._passed, self._shifts = passed, shifts

    @staticmethod
    def _with_jumps(body: bytes, ops: bytes, passed: bytes, shifts: "list[int]") -> "bytes | bytearray":
        """Return the code, in which jumps across returns are longer."""
        code: "bytes | bytearray" = body
        extended = EXTENDED in ops
        for at in tables.marked(ops.translate(JUMPS)):
            if extended and ops[at - 1] == EXTENDED:
                raise Unusual
            operation, argument = ops[at], body[2 * at + 1]
            stop = at + 1 + _CACHES[operation]
            here, there = passed[stop], passed[stop + argument if _AHEAD[operation] else stop - argument]
            if here != there:
                argument += abs(shifts[here] - shifts[there])
                if argument > 255:
                    raise Unusual
                if code is body:
                    code = bytearray(body)
                code[2 * at + 1] = argument  # type: ignore[index]
        return code

    def position(self, unit: int) -> int:
        """Return the new position of a code unit after the beginning."""
        return unit + self._shifts[self._passed[unit]]


class Unusual(Exception):
    """Only `Moved` can handle this function."""


def _all(ops: bytes, operation: int) -> "list[int]":
    found = []
    at = ops.find(operation)
    while at >= 0:
        found.append(at)
        at = ops.find(operation, at + 1)
    return found


class Moved:
    """The code with a prologue, and with an epilogue before each return; its jumps keep their targets.

    `position` returns the new position of a code unit, `lines` is the new location table, and `epilogues` holds the
    range of each epilogue.
    """

    position: "Callable[[int], int]"

    def __init__(
        self,
        body: bytes,
        ops: bytes,
        begin: int,
        prologue: bytes,
        epilogue: bytes,
        lines: bytes,
        turns: "dict[int, bytes]",
    ) -> None:
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
        self.code, position = with_edits(body, jumps, edits, growth)
        size = len(epilogue) // 2
        self.position = position.__getitem__
        self.lines = tables.moved_lines(lines, position, begin, len(prologue) // 2)
        self.epilogues = [(position[stop] - size, position[stop]) for _, stop, _ in returns]


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
