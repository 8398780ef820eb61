"""Inserts code at a function's beginning, before its returns and around its yields, and corrects its jumps."""

from . import tables
from .operations import CACHES, EXTENDED, FORWARD, INTERESTING, JUMPS, OPS, RETURN, RETURN_CONST, instruction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


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
        code = bytearray(body)
        marks = ops.translate(JUMPS)
        at = marks.find(1)
        while at >= 0:
            op, argument = ops[at], body[2 * at + 1]
            stop = at + 1 + CACHES.get(op, 0)
            first, last = (stop, stop + argument) if op in FORWARD else (stop - argument, stop)
            crossed = ops.count(RETURN, first, last) * (size - 1)
            if RETURN_CONST >= 0:
                crossed += ops.count(RETURN_CONST, first, last) * size
            if crossed + argument > 255 or ops[at - 1] == EXTENDED:
                raise Unusual
            code[2 * at + 1] = argument + crossed
            at = marks.find(1, at + 1)
        shift = len(prologue) // 2
        moved = tables.Stretched(lines, begin, shift)
        pieces: "list[bytes | bytearray]" = [code[: 2 * begin], prologue]
        done = begin
        self.epilogues: "list[tuple[int, int]]" = []
        for unit in returns:
            pieces.append(code[2 * done : 2 * unit])
            growth = size - 1
            if ops[unit] == RETURN_CONST:
                if ops[unit - 1] == EXTENDED:
                    raise Unusual
                pieces.append(bytes((OPS["LOAD_CONST"], body[2 * unit + 1])))
                growth = size
            pieces.append(epilogue)
            moved.stretch(unit + 1, growth)
            done = unit + 1
            shift += growth
            self.epilogues.append((done + shift - size, done + shift))
        pieces.append(code[2 * done :])
        self.code = b"".join(pieces)
        self.lines = moved.table()
        self._all = (ops, len(prologue) // 2, size)

    def position(self, unit: int) -> int:
        """Return the new position of a code unit after the beginning."""
        ops, shift, size = self._all
        shift += ops.count(RETURN, 0, unit) * (size - 1)
        return unit + shift + (ops.count(RETURN_CONST, 0, unit) * size if RETURN_CONST >= 0 else 0)


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
        jumps: "list[tuple[int, int, int, int, int, int]]" = []  # first unit, its own, end, operation, target, argument
        marks = ops.translate(INTERESTING)
        at = marks.find(1)
        while at >= 0:
            op, argument, first, shift = ops[at], body[2 * at + 1], at, 8
            while first and ops[first - 1] == EXTENDED:
                first -= 1
                argument |= body[2 * first + 1] << shift
                shift += 8
            if op == RETURN:
                returns.append((at, at + 1, epilogue))
            elif op == RETURN_CONST:
                returns.append((first, at + 1, instruction(OPS["LOAD_CONST"], argument) + epilogue))
            else:
                stop = at + 1 + CACHES.get(op, 0)
                jumps.append((first, at, stop, op, stop + (argument if op in FORWARD else -argument), argument))
            at = marks.find(1, at + 1)
        growth = {begin: len(prologue) // 2}
        for first, stop, new in returns:
            growth[stop] = growth.get(stop, 0) + len(new) // 2 - (stop - first)
        for unit, turn in turns.items():  # before a YIELD_VALUE, and after the RESUME that follows it
            for at in (unit + 1, unit + 2):
                growth[at] = growth.get(at, 0) + len(turn) // 2
        units = len(ops) + 1
        position = tables.positions(growth, units)
        sizes = {first: at + 1 - first for first, at, *_ in jumps}
        grown = True
        while grown:  # a longer jump moves what others jump over
            grown = False
            for first, _, stop, _, target, _ in jumps:
                distance = abs(position[target] - position[stop])
                if distance < 256:
                    continue
                size = 2 if distance < 65536 else 3
                if size > sizes[first]:
                    growth[first + 1] = growth.get(first + 1, 0) + size - sizes[first]
                    sizes[first] = size
                    grown = True
            if grown:
                position = tables.positions(growth, units)
        edits = [(begin, begin, prologue), *returns]
        for first, at, stop, op, target, argument in jumps:
            distance = abs(position[target] - position[stop])
            if distance == argument:
                continue
            edits.append((first, at + 1, instruction(op, distance, sizes[first])))
        for unit, turn in turns.items():
            edits += [(unit, unit, turn), (unit + 2, unit + 2, turn)]
        edits.sort()
        pieces = []
        done = 0
        for first, stop, new in edits:
            pieces += [body[2 * done : 2 * first], new]
            done = stop
        pieces.append(body[2 * done :])
        self.code = b"".join(pieces)
        size = len(epilogue) // 2
        self.position = position.__getitem__
        self.lines = tables.moved_lines(lines, position, begin, len(prologue) // 2)
        self.epilogues = [(position[stop] - size, position[stop]) for _, stop, _ in returns]
