"""What a monitor needs, put into the function's own bytecode: no extra frame, nothing for those who look at frames.

The function keeps its body. A handler for whatever escapes is appended to it and entered in the exception table, which
costs a call that succeeds nothing at all. Where a clock or a span is wanted, they are put on the bottom of the value
stack when the function begins, below everything that its body does, and what follows a success is put before each
return. Inserted code stands on no line, so that debuggers, coverage and profilers pass over it.

So on CPython 3.11 to 3.13, where exception handling is a table beside the code and jumps are relative; `blocks` does
the same for 3.9 and 3.10. `inject` says None where it does not apply (docs/instrumentation.md says why), and the
trampoline does the work.
"""

import os
import sys
from types import CodeType
from typing import NamedTuple

from . import blocks, tables, trampoline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

#: Operations by version: what we emit, what we look for. A test compares them with the interpreter's own tables.
_TABLES: "dict[tuple[int, int], dict[str, Any]]" = {
    (3, 9): {**blocks.TABLE, "store": (125, 126), "store_two": ()},
    (3, 10): {**blocks.TABLE, "store": (125, 126), "store_two": ()},
    (3, 11): {
        "POP_TOP": 1, "PUSH_NULL": 2, "LOAD_CONST": 100, "LOAD_FAST": 124, "SWAP": 99, "COPY": 120, "CALL": 171,
        "PRECALL": 166, "BINARY_OP": 122, "COMPARE_OP": 107,
        "BINARY_SUBSCR": 25, "STORE_SUBSCR": 60, "RETURN_VALUE": 83, "RESUME": 151, "PUSH_EXC_INFO": 35,
        "POP_EXCEPT": 89, "RERAISE": 119, "EXTENDED_ARG": 144, "POP_JUMP_FORWARD_IF_FALSE": 114,
        "forward": (93, 110, 111, 112, 114, 115, 123, 128, 129), "backward": (134, 140, 173, 174, 175, 176),
        "caches": {25: 4, 60: 1, 92: 1, 95: 4, 106: 4, 107: 2, 116: 5, 122: 1, 160: 10, 166: 1, 171: 4},
        "store": (125, 126), "store_two": (), "greater": 4, "null_first": True,
        "YIELD_VALUE": 86, "SEND": 123, "RAISE_VARARGS": 130, "always": (110, 134, 140), "with_argument": 90,
    },
    (3, 12): {
        "POP_TOP": 1, "PUSH_NULL": 2, "LOAD_CONST": 100, "LOAD_FAST": 124, "SWAP": 99, "COPY": 120, "CALL": 171,
        "BINARY_OP": 122, "COMPARE_OP": 107,
        "BINARY_SUBSCR": 25, "STORE_SUBSCR": 60, "RETURN_VALUE": 83, "RETURN_CONST": 121, "RESUME": 151,
        "PUSH_EXC_INFO": 35, "POP_EXCEPT": 89, "RERAISE": 119, "EXTENDED_ARG": 144, "POP_JUMP_IF_FALSE": 114,
        "forward": (93, 110, 114, 115, 123, 128, 129), "backward": (134, 140),
        "caches": {25: 1, 60: 1, 92: 1, 93: 1, 95: 4, 106: 9, 107: 1, 116: 4, 122: 1, 123: 1, 141: 1, 171: 3},
        "store": (125, 126, 143), "store_two": (), "greater": 68, "null_first": True,
        "YIELD_VALUE": 150, "SEND": 123, "RAISE_VARARGS": 130, "always": (110, 134, 140), "with_argument": 90,
    },
    (3, 13): {
        "POP_TOP": 32, "PUSH_NULL": 34, "LOAD_CONST": 83, "LOAD_FAST": 85, "SWAP": 115, "COPY": 61, "CALL": 53,
        "BINARY_OP": 45, "COMPARE_OP": 58,
        "BINARY_SUBSCR": 5, "STORE_SUBSCR": 39, "RETURN_VALUE": 36, "RETURN_CONST": 103, "RESUME": 149,
        "PUSH_EXC_INFO": 33, "POP_EXCEPT": 31, "RERAISE": 102, "EXTENDED_ARG": 71, "POP_JUMP_IF_FALSE": 97,
        "forward": (72, 79, 97, 98, 99, 100, 104), "backward": (77, 78),
        "caches": {91: 4, 45: 1, 117: 1, 58: 1, 59: 1, 5: 1, 72: 1, 93: 1, 82: 9, 108: 4, 53: 3, 39: 1, 104: 1, 77: 1,
                   40: 3, 100: 1, 97: 1, 98: 1, 99: 1},
        "store": (110, 65, 86), "store_two": (111, 112), "greater": 132, "null_first": False,
        "YIELD_VALUE": 118, "SEND": 104, "RAISE_VARARGS": 101, "always": (79, 77, 78), "with_argument": 45,
    },
}  # fmt: skip

_OPS: "dict[str, Any]" = _TABLES.get(sys.version_info[:2], {})

#: Can this interpreter's bytecode be injected into? AGENT_INJECTION=0 switches to trampolines throughout.
AVAILABLE = bool(_OPS) and sys.implementation.name == "cpython" and os.environ.get("AGENT_INJECTION") != "0"

_IN_BLOCKS = sys.version_info < (3, 11)
_SUBTRACT, _MULTIPLY, _ADD_TO = 10, 5, 13

#: Constants that are the same everywhere.
_OWN: "dict[str, object]" = {"no start": 0.0, "true": True, "false": False, "zero": 0, "one": 1}

_EMPTY: "tuple[int, ...]" = ()


def _marks() -> "tuple[bytes, bytes]":
    """Translation tables for `co_code[::2]`, which holds opcodes, and 0 for caches."""
    interesting, stores = bytearray(256), bytearray(256)
    for op in _OPS.get("forward", _EMPTY) + _OPS.get("backward", _EMPTY):
        interesting[op] = 1
    for name in ("RETURN_VALUE", "RETURN_CONST"):
        if name in _OPS:
            interesting[_OPS[name]] = 1
    for op in _OPS.get("store", _EMPTY) + _OPS.get("store_two", _EMPTY):
        stores[op] = 1
    return bytes(interesting), bytes(stores)


_INTERESTING, _STORES = _marks()
_FORWARD = frozenset(_OPS.get("forward", ()))
_BACKWARD = frozenset(_OPS.get("backward", ()))
_CACHES: "dict[int, int]" = _OPS.get("caches", {})
_EXTENDED: int = _OPS.get("EXTENDED_ARG", -1)
_RETURN: int = _OPS.get("RETURN_VALUE", -1)
_RETURN_CONST: int = _OPS.get("RETURN_CONST", -1)


def inject(
    code: CodeType, features: trampoline.Features, values: "Mapping[str, object]", wanted: "Collection[str]" = ()
) -> "CodeType | None":
    """`code` with the monitor in it, or None. `wanted` names parameters that will be read when the call has ended.

    `values` are what `trampoline.build` takes, but for `fail(start, error)`, which is told the exception.
    """
    clocked = features.clocked
    kind = trampoline.kind_of(code)
    if not AVAILABLE or features.wrap:
        return None
    suspends: "dict[int, int]" = {}
    suspended = (clocked or features.span) and kind not in (trampoline.FUNCTION, trampoline.COROUTINE)
    if suspended:
        # The time that a generator runs is not the time that it lives: its clock stops at each yield.
        if kind != trampoline.GENERATOR or features.span:
            return None
        depths = {} if _IN_BLOCKS else _yields(code)
        if depths is None:
            return None
        suspends = depths
    names = code.co_varnames
    read = {names.index(name) for name in wanted if name in names}
    read.update(features.check or ())
    if read and _changes(code, read):
        return None  # by then, the arguments would be gone
    if _IN_BLOCKS:
        named = {**_OWN, **values}
        return blocks.inject(code, features, named, clocked=clocked, suspends=suspended)
    consts = code.co_consts
    snippets = _snippets_for(len(consts), features)
    stack = max(code.co_stacksize + 3 * bool(suspends), 10 + len(features.check or ())) + snippets.below
    own = tuple([_OWN[name] if name in _OWN else values[name] for name in snippets.constants])
    return _assemble(code, snippets, consts + own, stack, suspends)


class _Snippets(NamedTuple):
    constants: "tuple[str, ...]"  # what is appended to the function's own
    below: int  # how much lies on the bottom of the stack: the start, then the span
    reading: bytes
    prologue: bytes
    epilogue: bytes
    handler: bytes
    cleanup: bytes


_snippets: "dict[tuple[int, trampoline.Features], _Snippets]" = {}


def _snippets_for(number: int, features: trampoline.Features) -> _Snippets:
    """What is put into a function that has `number` constants of its own; made once."""
    known = _snippets.get((number, features))
    if known is None:
        known = _snippets[number, features] = _make_snippets(number, features)
    return known


def _make_snippets(number: int, features: trampoline.Features) -> _Snippets:
    constants: "list[str]" = []

    def constant(name: str) -> int:
        if name not in constants:
            constants.append(name)
        return number + constants.index(name)

    clocked = features.clocked
    prologue = reading = _call(constant("clock")) if clocked else b""
    below = int(clocked)
    if features.span:
        prologue += _call(constant("enter"))
        below += 1
    epilogue = b""
    if below:
        # On the stack: start? span? result
        if features.span:
            ends = _op("COPY", 4) + _op("LOAD_CONST", constant("false"))
            epilogue += _call(constant("leave"), ends, 2) + _op("POP_TOP")
        deep = below + 1
        if features.tally:
            epilogue += _tallying(constant, reading, deep)
        if features.threshold:
            report = _call(constant("slow"), _op("COPY", deep + 2) + _op("COPY", 4), 2) + _op("POP_TOP")
            if not features.tally:
                epilogue += reading + _op("COPY", deep + 1) + _op("BINARY_OP", _SUBTRACT)
            epilogue += _op("LOAD_CONST", constant("limit")) + _if_greater(report)
        elif features.tally:
            epilogue += _op("POP_TOP")
        if features.check is not None:
            arguments = _op("COPY", 3) + _op("COPY", deep + 3)
            for position in features.check:
                arguments += _op("LOAD_FAST", position)
            epilogue += _call(constant("check"), arguments, 2 + len(features.check)) + _op("POP_TOP")
        epilogue += _op("SWAP", below + 1) + _op("POP_TOP") * below + _op("RETURN_VALUE")
    # What escapes: start? span? lasti exception
    handler = _op("PUSH_EXC_INFO")  # start? span? lasti previous exception
    start = _op("COPY", below + 5) if clocked else _op("LOAD_CONST", constant("no start"))
    handler += _call(constant("fail"), start + _op("COPY", 4), 2) + _op("POP_TOP")
    if features.span:
        ends = _op("COPY", 6) + _op("LOAD_CONST", constant("true"))
        handler += _call(constant("leave"), ends, 2) + _op("POP_TOP")
    handler += _op("SWAP", 2) + _op("POP_EXCEPT") + _op("RERAISE", 1)
    cleanup = _op("COPY", 3) + _op("POP_EXCEPT") + _op("RERAISE", 1)  # what raises while that is handled
    return _Snippets(tuple(constants), below, reading, prologue, epilogue, handler, cleanup)


def _tallying(constant: "Callable[[str], int]", reading: bytes, deep: int) -> bytes:
    """Leaves the duration on the stack, above what is `deep` there, and counts it; looks up when that is due.

    No call lies between reading the number and writing it, and no loop: no other thread comes between.
    """

    def load(name: str) -> bytes:
        return _op("LOAD_CONST", constant(name))

    look = _call(constant("look")) + _op("POP_TOP")
    code = reading + _op("COPY", 1) + load("due") + load("zero") + _op("BINARY_SUBSCR") + _if_greater(look)
    code += _op("COPY", deep + 1) + _op("BINARY_OP", _SUBTRACT)  # … duration
    squared = _op("COPY", 6) + _op("COPY", 1) + _op("BINARY_OP", _MULTIPLY) + load("scale")
    squared += _op("BINARY_OP", _MULTIPLY)  # six down: below the numbers, and two functions with their NULL each
    code += load("counts") + _call(constant("bits"), _call(constant("whole"), squared, 1), 1)
    code += _op("COPY", 2) + _op("COPY", 2) + _op("BINARY_SUBSCR") + load("one") + _op("BINARY_OP", _ADD_TO)
    return code + _op("SWAP", 3) + _op("SWAP", 2) + _op("STORE_SUBSCR")


def _if_greater(then: bytes) -> bytes:
    """Do `then` where the second on the stack is greater than the first; both are taken off."""
    jump = "POP_JUMP_FORWARD_IF_FALSE" if sys.version_info < (3, 12) else "POP_JUMP_IF_FALSE"
    return _op("COMPARE_OP", _OPS["greater"]) + _op(jump, len(then) // 2) + then


def _op(name: str, argument: int = 0) -> bytes:
    op = _OPS[name]
    return _instruction(op, argument) + b"\0\0" * _CACHES.get(op, 0)


def _instruction(op: int, argument: int) -> bytes:
    if argument < 256:
        return bytes((op, argument))
    code = bytes((op, argument & 255))
    while argument > 255:
        argument >>= 8
        code = bytes((_EXTENDED, argument & 255)) + code
    return code


def _call(function: int, arguments: bytes = b"", number: int = 0) -> bytes:
    code = _op("LOAD_CONST", function)
    code = _op("PUSH_NULL") + code if _OPS["null_first"] else code + _op("PUSH_NULL")
    if "PRECALL" in _OPS:
        return code + arguments + _op("PRECALL", number) + _op("CALL", number)
    return code + arguments + _op("CALL", number)


def _changes(code: CodeType, positions: "Collection[int]") -> bool:
    """Does the function, or one inside it, give a new value to one of these parameters?"""
    if not set(code.co_cellvars).isdisjoint([code.co_varnames[position] for position in positions]):
        return True
    data = code.co_code
    marks = data[::2].translate(_STORES)
    at = marks.find(1)
    while at >= 0:
        op, argument = data[2 * at], data[2 * at + 1]
        if op in _OPS["store_two"]:
            if argument >> 4 in positions or (op == _OPS["store_two"][1] and argument & 15 in positions):
                return True
        elif argument in positions and not (at and data[2 * at - 2] == _EXTENDED):
            return True
        at = marks.find(1, at + 1)
    return any(position > 255 for position in positions)


def _assemble(
    code: "Any", snippets: _Snippets, consts: "tuple[object, ...]", stack: int, suspends: "dict[int, int]"
) -> "CodeType | None":
    _, below, reading, prologue, epilogue, handler, cleanup = snippets
    body = code.co_code
    ops = body[::2]
    end = len(ops)
    begin = ops.find(_OPS["RESUME"]) + 1  # in code units; what comes before makes cells, or the generator itself
    if not begin:
        return None
    lines = code.co_linetable
    table = tables.read_table(code.co_exceptiontable)
    busy = []  # what our handler does not cover
    start = begin
    if below:
        moved = _Moved(body, ops, begin, prologue, epilogue,
                       {unit: _turn(reading, depth + below) for unit, depth in suspends.items()})  # fmt: skip
        body, move = moved.code, moved.position.__getitem__
        lines = tables.moved_lines(lines, moved.position, begin, len(prologue) // 2)
        start, end = move(begin), move(end)
        table = [
            (max(move(first), start), move(last), move(target), depth + below, lasti)
            for first, last, target, depth, lasti in table
            if last > begin
        ]
        busy = moved.epilogues
    busy = sorted(busy + [(first, last) for first, last, *_ in table])
    at = start
    for first, last in [*busy, (end, end)]:
        if first > at:
            table.append((at, first, end, below, 1))
        at = max(at, last)
    after = end + len(handler) // 2
    table.append((end + 1, after - 3, after, below + 2, 1))  # what the monitor's own part raises; not the last three
    ours = handler + cleanup
    for unit in suspends:
        ours += _thrown(table, move(unit + 1) - 1, end + len(ours) // 2, reading)
    table.sort()
    return code.replace(  # type: ignore[no-any-return]
        co_code=body + ours,
        co_consts=consts,
        co_stacksize=stack,
        co_linetable=lines + tables.nowhere(len(ours) // 2),
        co_exceptiontable=tables.write_table(table),
    )


def _turn(reading: bytes, depth: int) -> bytes:
    """Turn the start at the bottom of a stack of `depth` into the time since then, or that time into a start."""
    return reading + _op("COPY", depth + 1) + _op("BINARY_OP", _SUBTRACT) + _op("SWAP", depth + 1) + _op("POP_TOP")


def _thrown(table: "list[tuple[int, int, int, int, int]]", at: int, here: int, reading: bytes) -> bytes:
    """What is thrown in at a yield finds the clock stopped: start it, and go where the exception would have gone.

    `at` is the unit of the YIELD_VALUE, which a RESUME follows; the code returned will stand at `here`.
    """
    entry = next(entry for entry in table if entry[0] <= at < entry[1])
    first, last, target, depth, lasti = entry
    table.remove(entry)
    stop = min(at + 2, last)
    table += [(first, at, target, depth, lasti), (at, stop, here, depth, 1), (stop, last, target, depth, lasti)]
    code = _turn(reading, depth + 2) + _op("RERAISE", 1)
    table.append((here, here + len(code) // 2, target, depth, lasti))
    return code


def _yields(code: "Any") -> "dict[int, int] | None":
    """Where a generator yields, and how deep its stack is there; None where that cannot be told."""
    from _opcode import stack_effect  # type: ignore[import-not-found]

    body = code.co_code
    ops = body[::2]
    if sys.version_info < (3, 12) and _OPS["SEND"] in ops:
        return None  # throwing into what is delegated to leads past the RESUME
    ends = (_RETURN, _RETURN_CONST, _OPS["RERAISE"], _OPS["RAISE_VARARGS"], *_OPS["always"])
    pending = [(target, depth + 1 + lasti) for _, _, target, depth, lasti in tables.read_table(code.co_exceptiontable)]
    pending.append((ops.find(_OPS["RESUME"]) + 1, 0))
    known: "dict[int, int]" = {}
    found = {}
    while pending:
        unit, depth = pending.pop()
        argument = 0
        while unit not in known:
            if not 0 <= depth <= code.co_stacksize:
                return None
            known[unit] = depth
            op = ops[unit]
            argument = argument << 8 | body[2 * unit + 1]
            unit += 1 + _CACHES.get(op, 0)
            if op == _EXTENDED:
                continue
            if op == _OPS["YIELD_VALUE"]:
                found[unit - 1] = depth
            given = argument if op >= _OPS["with_argument"] else None
            if op in _FORWARD or op in _BACKWARD:
                target = unit + argument if op in _FORWARD else unit - argument
                pending.append((target, depth + stack_effect(op, given, jump=True)))
            if op in ends:
                break
            depth += stack_effect(op, given, jump=False)
            argument = 0
        else:
            if known[unit] != depth:
                return None
    return found


class _Moved:
    """The code with a prologue and an epilogue before each return, its jumps going where they went.

    `position` says where an old code unit has come to; `epilogues` are the ranges of what stands before returns.
    """

    def __init__(
        self, body: bytes, ops: bytes, begin: int, prologue: bytes, epilogue: bytes, turns: "dict[int, bytes]"
    ) -> None:
        returns: "list[tuple[int, int, bytes]]" = []
        jumps: "list[tuple[int, int, int, int, int, int]]" = []  # first unit, its own, end, operation, target, argument
        marks = ops.translate(_INTERESTING)
        at = marks.find(1)
        while at >= 0:
            op, argument, first, shift = ops[at], body[2 * at + 1], at, 8
            while first and ops[first - 1] == _EXTENDED:
                first -= 1
                argument |= body[2 * first + 1] << shift
                shift += 8
            if op == _RETURN:
                returns.append((at, at + 1, epilogue))
            elif op == _RETURN_CONST:
                returns.append((first, at + 1, _instruction(_OPS["LOAD_CONST"], argument) + epilogue))
            else:
                stop = at + 1 + _CACHES.get(op, 0)
                jumps.append((first, at, stop, op, stop + (argument if op in _FORWARD else -argument), argument))
            at = marks.find(1, at + 1)
        growth = {begin: len(prologue) // 2}
        for first, stop, new in returns:
            growth[stop] = growth.get(stop, 0) + len(new) // 2 - (stop - first)
        for unit, turn in turns.items():  # before a YIELD_VALUE, and after the RESUME that follows it
            for at in (unit + 1, unit + 2):
                growth[at] = growth.get(at, 0) + len(turn) // 2
        units = len(ops) + 1
        position = _positions(growth, units)
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
                position = _positions(growth, units)
        edits = [(begin, begin, prologue), *returns]
        for first, at, stop, op, target, argument in jumps:
            distance = abs(position[target] - position[stop])
            if distance == argument:
                continue
            new = _instruction(op, distance)
            padding = sizes[first] - len(new) // 2
            edits.append((first, at + 1, bytes((_EXTENDED, 0)) * padding + new))
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
        self.position = position
        self.epilogues = [(position[stop] - size, position[stop]) for _, stop, _ in returns]


def _positions(growth: "dict[int, int]", units: int) -> "list[int]":
    """The new position of each unit, where `growth` says by how much the code grows before it."""
    position: "list[int]" = []
    at = shift = 0
    for unit in sorted(growth):
        position.extend(range(at + shift, unit + shift))
        shift += growth[unit]
        at = unit
    position.extend(range(at + shift, units + shift))
    return position
