"""Injects a monitor into a function's own bytecode on CPython 3.9 and 3.10, where handlers are a stack of blocks.

The function begins with a block of ours, the outermost one, which ends before each return. Its handler is at the end.
The start time and the span are in local variables without a name: `co_nlocals` is greater than the length of
`co_varnames`, so that `locals()`, debuggers and `inspect` show only the variables of the source.

Jumps are absolute, in bytes (3.9) or in instructions (3.10). `inject.inject` decides whether this applies.
"""

import sys
from types import CodeType

from ..code import tables
from ..code.operations import instruction
from ..code.operations import op as _op
from ..code.trampoline import AT_THE_BEGINNING
from . import lines
from .operations import OPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..code.trampoline import Features

_IS_NOT = 1
GEN_START = 129  # 3.10 only
_OLDEST = sys.version_info < (3, 10)
#: What the argument of a jump counts, for each code unit.
_SCALE = 2 if _OLDEST else 1
#: A frame has room for 20 blocks, and the interpreter dies of one more; two are ours.
_MOST_BLOCKS = 18

_SETUPS = (OPS["SETUP_FINALLY"], OPS["SETUP_WITH"], OPS["SETUP_ASYNC_WITH"])
_RELATIVE = frozenset(OPS["relative"])
_JUMPS = frozenset(OPS["relative"] + OPS["absolute"])
_RETURN, _YIELD, _EXTENDED = OPS["RETURN_VALUE"], OPS["YIELD_VALUE"], OPS["EXTENDED_ARG"]
_INTERESTING = bytes([op in _JUMPS or op in (_RETURN, _YIELD) for op in range(256)])
#: What follows these is not reached from them: return, raise, jumps.
_ENDS = (_RETURN, OPS["RAISE_VARARGS"], OPS["RERAISE"], *OPS["always"])
_LEAVES = (OPS["POP_BLOCK"], OPS["POP_EXCEPT"], OPS["END_ASYNC_FOR"])


def inject(code: CodeType, features: "Features", values: "dict[str, object]", *, suspends: bool) -> "CodeType | None":
    """`code` with the monitor in it, or None.

    `values` are the constants by their names in `inject.inject`. `suspends`: it is a generator that has a clock, which
    has to stop at each yield.
    """
    body = code.co_code
    ops = body[::2]
    if suspends and OPS["YIELD_FROM"] in ops:
        return None  # one operation, which leaves and enters the frame by itself
    if sum(map(ops.count, _SETUPS)) > _MOST_BLOCKS and most_blocks(body, ops) > _MOST_BLOCKS:
        return None
    moved = Moved(body, ops, parts := _Parts(code, features, room=2), suspends)
    if len(moved.code) * _SCALE // 2 > 65535:  # our own jumps need more room for where they go
        moved = Moved(body, ops, parts := _Parts(code, features, room=3), suspends)
    depth = max(code.co_stacksize + 10 * suspends, 16, 8 + max(len(features.check or ()), len(features.leaving)))
    changes: "dict[str, Any]" = {
        "co_code": moved.code,
        "co_consts": code.co_consts + tuple([values[name] for name in parts.constants]),
        "co_nlocals": code.co_nlocals + features.starts + features.span,
        "co_varnames": _Names(code.co_varnames) if features.starts or features.span else code.co_varnames,
        "co_stacksize": depth,
        **lines.moved(code, moved),
    }
    return code.replace(**changes)


class _Names(tuple):  # type: ignore[type-arg]
    """`co_varnames` for those who look up by number what an instruction names (`dis`, and whoever builds on it)."""

    __slots__ = ()

    def __getitem__(self, index: "Any") -> "Any":
        if type(index) is int and index >= len(self):
            return ".agent"
        return tuple.__getitem__(self, index)

    def __reduce__(self) -> "tuple[Any, ...]":
        return tuple, (list(self),)


class _Parts:
    """What is inserted, for one function. `constants` names what is appended to its own constants, in order."""

    def __init__(self, code: CodeType, features: "Features", room: int) -> None:
        self.room = room  # of a jump of ours, in code units
        self.constants: "list[str]" = []
        self._own = len(code.co_consts)
        self._start = _op("LOAD_FAST", code.co_nlocals)
        span = code.co_nlocals + features.starts
        store = _op("STORE_FAST", code.co_nlocals)
        reading = self._call("clock") if features.clocked else b""
        #: Makes time since a start of a start, and the other way round.
        self.turn = reading + self._start + _op("BINARY_SUBTRACT") + _op("STORE_FAST", code.co_nlocals)
        self._entering = reading
        if features.counted and not reading:
            self._entering = self._constant("no start")
            if features.counted == AT_THE_BEGINNING:
                self._entering = self._take(_op("ROT_TWO") + _op("POP_TOP"), self._call("clock"))
        self._instead = b""
        if features.starts:
            self._entering += store
            self._instead = self._constant("never") + store
        if features.span:
            passing = b"".join([_op("LOAD_FAST", position) for position in features.entering])
            self._entering += self._call("enter", passing, len(features.entering)) + _op("STORE_FAST", span)
            self._instead += self._constant("none") + _op("STORE_FAST", span)
        start = self._start if features.starts else self._constant("no start")
        self._left = self._is_on = failed = b""
        if features.span:
            token = _op("LOAD_FAST", span)
            passed = b"".join([_op("LOAD_FAST", position) for position in features.leaving])
            arity = 4 + len(features.leaving)
            self._is_on = token + self._constant("none") + _op("IS_OP", _IS_NOT)
            # On the stack: result; then result, callable, start, result
            ends = _op("DUP_TOP") + self._constant("leave") + _op("ROT_TWO") + start + _op("ROT_TWO")
            self._left = ends + token + self._constant("false") + passed
            self._left += _op("CALL_FUNCTION", arity) + _op("POP_TOP")
            failed = start + self._constant("none") + token + self._constant("true") + passed
            failed = self._call("leave", failed, arity) + _op("POP_TOP")
        self._elapsed = self._slow = self._check = self._is_start = self._count = b""
        result = _op("DUP_TOP")
        if features.counted:
            self._count = self._call("count", self._start, 1) + _op("POP_TOP")
            if features.counted == AT_THE_BEGINNING:
                self._is_start = self._start + self._constant("item") + _op("IS_OP", _IS_NOT)
            else:
                self._count = self._take(_op("POP_TOP") * 2, self._count)
        if features.threshold:
            self._elapsed = reading + self._start + _op("BINARY_SUBTRACT")
            self._elapsed += self._constant("limit") + _op("COMPARE_OP", OPS["greater"])
            self._slow = result + self._constant("slow") + _op("ROT_TWO") + self._start + _op("ROT_TWO")
            self._slow += _op("CALL_FUNCTION", 2) + _op("POP_TOP")
        if features.check is not None:
            arguments = self._start + b"".join([_op("LOAD_FAST", position) for position in features.check])
            self._check = result + self._constant("check") + _op("ROT_TWO") + arguments
            self._check += _op("CALL_FUNCTION", 2 + len(features.check)) + _op("POP_TOP")
        self._fails = self._call("fail", start, 1) + _op("POP_TOP") + failed
        self._no_room = _op("DUP_TOP") + self._constant("no room")
        self._reraise = _op("RERAISE", not _OLDEST)
        self.thrown = self.turn + self._reraise
        self._returning = len(self._failed(0)) // 2
        self._skipping = self._returning + len(self._unless_full(0, b"")) // 2 + 1

    def _constant(self, name: str) -> bytes:
        if name not in self.constants:
            self.constants.append(name)
        return _op("LOAD_CONST", self._own + self.constants.index(name))

    def _call(self, name: str, arguments: bytes = b"", number: int = 0) -> bytes:
        return self._constant(name) + arguments + _op("CALL_FUNCTION", number)

    def _take(self, item: bytes, otherwise: bytes) -> bytes:
        """Take an item of the batch. With one, the iterator and the item are on the stack."""
        item += _op("JUMP_FORWARD", len(otherwise) // 2 * _SCALE)
        return self._constant("batch") + _op("FOR_ITER", len(item) // 2 * _SCALE) + item + otherwise

    def before(self, unit: int, end: int) -> bytes:
        """Return the code at the function's beginning, at `unit`; our block follows. Its size is constant."""
        if not self._entering:
            return b""
        return self.block(unit, end + self._skipping) + self._entering + _op("POP_BLOCK")

    def epilogue(self, unit: int, end: int) -> bytes:
        """Return the code before a return, at `unit`, with the result on the stack. Its size is constant."""
        if not self._entering:
            return _op("POP_BLOCK")
        code = _op("POP_BLOCK") + self.block(unit + 1, end + self._returning)
        parts = (self._is_on, self._left), (self._is_start, self._count), (self._elapsed, self._slow)
        for condition, then in parts:
            if condition:
                code += condition
                over = unit + len(code + then) // 2 + self.room
                code += instruction(OPS["POP_JUMP_IF_FALSE"], over * _SCALE, self.room)
            code += then
        return code + self._check + _op("POP_BLOCK")

    def handlers(self, end: int, begin: int) -> bytes:
        """Return what is appended at `end`. The body begins, with our block, at `begin`."""
        code = self._failed(end)
        if self._entering:
            code += self._unless_full(end + len(code) // 2, _op("RETURN_VALUE"))
            body = instruction(OPS["JUMP_ABSOLUTE"], begin * _SCALE, self.room)
            code += self._unless_full(end + len(code) // 2, self._instead + body)
        return code

    def _failed(self, unit: int) -> bytes:
        """Return our handler. On the stack: what was handled before, and the exception, three values each."""
        code = self._fails + _op("POP_BLOCK") + self._reraise
        code = self.block(unit, unit + self.room + len(code) // 2) + code
        return code + self._unless_full(unit + len(code) // 2, self._reraise)

    def _unless_full(self, unit: int, then: bytes) -> bytes:
        """Return the handler at `unit` of our own calls: after a full stack, the host continues with `then`."""
        then = _op("POP_TOP") * 3 + _op("POP_EXCEPT") + then
        over = unit + len(self._no_room + then) // 2 + self.room
        jump = instruction(OPS["JUMP_IF_NOT_EXC_MATCH"], over * _SCALE, self.room)
        return self._no_room + jump + then + _op("RERAISE")

    def block(self, unit: int, handler: int) -> bytes:
        """Return the start of a block, at `unit`, with its handler at `handler`."""
        return instruction(OPS["SETUP_FINALLY"], (handler - unit - self.room) * _SCALE, self.room)


class Moved:
    """The code with the parts inserted, and its jumps corrected. `position` maps an old unit to its new place."""

    def __init__(self, body: bytes, ops: bytes, parts: _Parts, suspends: bool) -> None:
        self.begin = begin = int(not _OLDEST and ops[0] == GEN_START)
        self.inserted = len(parts.before(0, 0)) // 2 + parts.room
        returns: "list[int]" = []
        yields: "list[int]" = []
        jumps: "list[tuple[int, int, int, int]]" = []  # first unit, its own, operation, target
        marks = ops.translate(_INTERESTING)
        at = marks.find(1)
        while at >= 0:
            op, argument, first, shift = ops[at], body[2 * at + 1], at, 8
            if op == _RETURN:
                returns.append(at)
            elif op == _YIELD:
                yields.append(at)
            else:
                while first and ops[first - 1] == _EXTENDED:
                    first -= 1
                    argument |= body[2 * first + 1] << shift
                    shift += 8
                jumps.append((first, at, op, argument // _SCALE + (at + 1 if op in _RELATIVE else 0)))
            at = marks.find(1, at + 1)
        if not suspends:
            yields = []
        growth = {begin: self.inserted}
        ending = len(parts.epilogue(0, 0)) // 2
        turn = len(parts.turn) // 2
        for at in returns:
            growth[at + 1] = growth.get(at + 1, 0) + ending
        for at in yields:  # turn, block | yield | leave the block, turn
            growth[at + 1] = growth.get(at + 1, 0) + turn + parts.room + 1 + turn
        sizes = {first: at + 1 - first for first, at, *_ in jumps}
        units = len(ops) + 1
        position = tables.positions(growth, units)

        def argument_of(at: int, op: int, target: int) -> int:
            return (position[target] - (position[at + 1] if op in _RELATIVE else 0)) * _SCALE

        grown = True
        while grown:  # a longer jump moves what others jump over
            grown = False
            for first, at, op, target in jumps:
                size = len(instruction(op, argument_of(at, op, target))) // 2
                if size > sizes[first]:
                    growth[first + 1] = growth.get(first + 1, 0) + size - sizes[first]
                    sizes[first] = size
                    grown = True
            if grown:
                position = tables.positions(growth, units)
        self.end = end = position[units - 1]
        inside = position[begin] - parts.room
        handlers = parts.handlers(end, inside)
        thrown = end + len(handlers) // 2
        edits = [(begin, begin, parts.before(begin, end) + parts.block(inside, end))]
        edits += [(at, at, parts.epilogue(position[at], end)) for at in returns]
        for at in yields:
            block = parts.block(position[at] + turn, thrown)
            edits += [(at, at + 1, parts.turn + block + body[2 * at : 2 * at + 2] + _op("POP_BLOCK") + parts.turn)]
        for first, at, op, target in jumps:
            edits.append((first, at + 1, instruction(op, argument_of(at, op, target), sizes[first])))
        edits.sort(key=lambda edit: edit[:2])
        pieces = []
        done = 0
        for first, stop, new in edits:
            pieces += [body[2 * done : 2 * first], new]
            done = stop
        pieces += [body[2 * done :], handlers]
        if yields:
            pieces.append(parts.thrown)
        self.code = b"".join(pieces)
        self.position = position


def most_blocks(body: bytes, ops: bytes) -> int:
    """How many blocks the function has at once, at most."""
    known: "dict[int, int]" = {}
    pending = [(0, 0)]
    while pending:
        unit, depth = pending.pop()
        argument = 0
        while unit not in known:
            known[unit] = depth
            op = ops[unit]
            argument = argument << 8 | body[2 * unit + 1]
            unit += 1
            if op == _EXTENDED:
                continue
            if op in _SETUPS:
                depth += 1  # also in its handler, where a block remembers what was handled before
            if op in _JUMPS:
                pending.append((argument // _SCALE + (unit if op in _RELATIVE else 0), depth))
            if op in _ENDS:
                break
            depth -= op in _LEAVES
            argument = 0
    return max(known.values())
