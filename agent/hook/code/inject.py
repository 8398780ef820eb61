"""Injects a monitor into the function's own bytecode: without an extra frame, and invisible to code that reads frames.

The function keeps its body. A handler for exceptions that escape is appended and entered in the exception table, which
costs a successful call nothing. The start time and the span, if needed, are pushed at the bottom of the value stack
when the function begins, and the code for a success is inserted before each return. Inserted code has no line, so that
debuggers, coverage and profilers skip it.

This is for CPython 3.11 to 3.15, where exception handling is a table beside the code and jumps are relative;
`until_310.blocks` does the same for 3.9 and 3.10. `inject` returns None where it cannot be done, for the reasons in
docs/instrumentation.md; then the function gets a trampoline.
"""

import os
import sys
from types import CodeType

from ...base.interrupts import ours
from ...base.records import Record
from . import moved, tables, trampoline
from .operations import (
    AFTER_LOOP,
    CELL_STORES,
    EXTENDED,
    IN_LOOP,
    LOOP,
    OPS,
    RESUME_UNITS,
    STORES,
    UNBINDING,
    back,
    branch,
    call,
    op,
)

if sys.version_info < (3, 11):
    from ..until_310 import blocks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

#: Whether injection works in this interpreter. AGENT_INJECTION=0 selects trampolines everywhere.
AVAILABLE = bool(OPS) and sys.implementation.name == "cpython" and os.environ.get("AGENT_INJECTION") != "0"
if "t" in getattr(sys, "abiflags", ""):  # free-threaded: not tested
    AVAILABLE = False

_IN_BLOCKS = sys.version_info < (3, 11)
_SUBTRACT = 10
_FAR = 1000  # code units: most functions are shorter
_IS_NOT = 1

#: Constants that are the same everywhere. A start that could not be read is later than any time: nothing was slow.
_OWN: "dict[str, object]" = {
    "no start": 0.0, "true": True, "false": False, "none": None, "never": float("inf"), "no room": RecursionError,
    "item": trampoline.ITEM,
}  # fmt: skip


def inject(
    code: CodeType, features: trampoline.Features, values: "Mapping[str, object]", wanted: "Collection[str]" = ()
) -> "CodeType | None":
    """Return `code` with the monitor in it, or None. `wanted` names parameters that are read when the call has ended.

    `values` are those of `trampoline.build`, except `fail(start, error)`, which also gets the exception.
    """
    if not AVAILABLE or features.wrap:
        return None
    suspends: "dict[int, int]" = {}
    kind = trampoline.kind_of(code)
    if features.span and (
        kind == trampoline.ASYNC_GENERATOR or (kind == trampoline.GENERATOR and (features.clocked or _IN_BLOCKS))
    ):
        return None
    suspended = kind not in (trampoline.FUNCTION, trampoline.COROUTINE) and features.clocked
    if suspended:
        # The time that a generator runs is not the time that it lives: its clock stops at each yield.
        if kind != trampoline.GENERATOR:
            return None
        found = {} if _IN_BLOCKS else _yields(code)
        if found is None:
            return None
        suspends = found
    if wanted or features.check or features.entering:
        names = code.co_varnames
        passed = features.check or ()
        if not set(code.co_cellvars).isdisjoint([names[position] for position in (*passed, *features.entering)]):
            return None  # a parameter that is passed on is read as a local variable, but its slot holds the cell
        read = {names.index(name) for name in wanted if name in names}
        read.update(passed)
        if read and _changes(code, read):
            return None  # the arguments would no longer be there
    if _IN_BLOCKS:
        named = {**_OWN, **values}
        return blocks.inject(code, features, named, suspends=suspended)
    consts = code.co_consts
    snippets = _snippets_for(len(consts), features)
    most = max(len(features.check or ()), len(features.leaving))
    stack = max(code.co_stacksize + 3 * bool(suspends), 12 + most) + snippets.below
    own = map({**_OWN, **values}.__getitem__, snippets.constants)
    return _assemble(code, snippets, (*consts, *own), stack, suspends)


class _Snippets(Record):
    constants: tuple[str, ...]  # what is appended to the function's own
    below: int  # values at the bottom of the stack: the start, then the span
    reading: bytes
    prologue: bytes
    epilogue: bytes
    ours: bytes  # what is appended: the handler, what follows if that raises, what follows if the epilogue raises
    handler: int  # its code units
    returning: int  # the unit of `ours` where an epilogue that raises goes on
    lines: bytes  # locations of what is appended: none
    entering: tuple[tuple[bytes, bytes], ...]  # each call of the prologue, and its substitute when the stack is full
    no_room: bytes  # is the exception on the stack one of these?
    entered: dict[int, tuple[bytes, list[int]]]  # what `_returns_to_start` returned, by distance


_snippets: "dict[tuple[int, trampoline.Features], _Snippets]" = {}


def _snippets_for(number: int, features: trampoline.Features) -> _Snippets:
    """Return what is inserted into a function with `number` constants of its own; made once."""
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

    def take(item: bytes, otherwise: bytes) -> bytes:
        """Take an item of the batch. With one, the iterator and the item are on the stack."""
        item += op("JUMP_FORWARD", len(AFTER_LOOP + otherwise) // 2)
        iterate = op("LOAD_CONST", constant("batch")) + LOOP + op("FOR_ITER", len(item) // 2)
        return iterate + item + AFTER_LOOP + otherwise

    reading = call(constant("clock")) if features.clocked else b""
    no_room = op("LOAD_CONST", constant("no room")) + op("CHECK_EXC_MATCH")
    entering = []
    if features.clocked:
        entering = [(reading, op("LOAD_CONST", constant("never")))]
    elif features.counted == trampoline.AT_THE_BEGINNING:
        started = take(op("SWAP", IN_LOOP) + op("POP_TOP") * (IN_LOOP - 1), call(constant("clock")))
        entering = [(started, op("LOAD_CONST", constant("never")))]
    elif features.counted:
        entering = [(op("LOAD_CONST", constant("no start")),) * 2]
    if features.span:
        absent = op("LOAD_CONST", constant("none"))
        entering = [(code, instead + absent) for code, instead in entering]
        passing = b"".join([op("LOAD_FAST", position) for position in features.entering])
        entering.append((call(constant("enter"), passing, len(features.entering)), absent))
    prologue = b"".join([code for code, _ in entering])
    below = len(entering)
    leaving = b"".join([op("LOAD_FAST", position) for position in features.leaving])
    arity = 4 + len(features.leaving)
    epilogue = b""
    if below:
        # On the stack: start? span? result
        if features.span:
            # The callable is two values, then come its arguments: start result span failed …
            ends = op("COPY", 5) if features.starts else op("LOAD_CONST", constant("no start"))
            ends += op("COPY", 4) + op("COPY", 6) + op("LOAD_CONST", constant("false"))
            left = call(constant("leave"), ends + leaving, arity) + op("POP_TOP")
            epilogue += op("COPY", 2) + op("LOAD_CONST", constant("none")) + op("IS_OP", _IS_NOT) + branch(left)
        deep = below + 1
        if features.counted:
            count = call(constant("count"), op("COPY", deep + 2), 1) + op("POP_TOP")
            if features.counted == trampoline.AT_THE_BEGINNING:
                is_start = op("COPY", deep) + op("LOAD_CONST", constant("item")) + op("IS_OP", _IS_NOT)
                epilogue += is_start + branch(count)
            else:
                epilogue += take(op("POP_TOP") * IN_LOOP, count)
        if features.threshold:
            report = call(constant("slow"), op("COPY", deep + 2) + op("COPY", 4), 2) + op("POP_TOP")
            epilogue += reading + op("COPY", deep + 1) + op("BINARY_OP", _SUBTRACT)
            epilogue += op("LOAD_CONST", constant("limit")) + op("COMPARE_OP", OPS["greater"]) + branch(report)
        if features.check is not None:
            arguments = op("COPY", 3) + op("COPY", deep + 3)
            for position in features.check:
                arguments += op("LOAD_FAST", position)
            epilogue += call(constant("check"), arguments, 2 + len(features.check)) + op("POP_TOP")
        epilogue += _return(below)
    # What escapes: start? span? lasti exception
    handler = op("PUSH_EXC_INFO")  # start? span? lasti previous exception
    start = op("COPY", below + 5) if features.starts else op("LOAD_CONST", constant("no start"))
    handler += call(constant("fail"), start + op("COPY", 4), 2) + op("POP_TOP")
    if features.span:
        ends = op("COPY", 7) if features.starts else op("LOAD_CONST", constant("no start"))
        ends += op("LOAD_CONST", constant("none")) + op("COPY", 8) + op("LOAD_CONST", constant("true"))
        handler += call(constant("leave"), ends + leaving, arity) + op("POP_TOP")
    goes_on = op("SWAP", 2) + op("POP_EXCEPT") + op("RERAISE", 1)
    handler += goes_on
    # What is raised meanwhile: start? span? lasti previous exception lasti exception
    ours = handler + no_room + branch(op("POP_TOP") * 2 + goes_on) + op("COPY", 4) + op("POP_EXCEPT") + op("RERAISE", 1)
    returning = len(ours) // 2
    if epilogue:  # start? span? result exception
        ours += no_room + branch(op("POP_TOP") + _return(below)) + op("RERAISE")
    lines = tables.nowhere(len(ours) // 2)
    size = len(handler) // 2
    return _Snippets(
        tuple(constants), below, reading, prologue, epilogue, ours, size, returning, lines, tuple(entering), no_room,
        {},
    )  # fmt: skip


def _return(below: int) -> bytes:
    return op("SWAP", below + 1) + op("POP_TOP") * below + op("RETURN_VALUE")


def bound_at_the_end(code: CodeType, names: "Sequence[str]") -> "tuple[str, ...]":
    """Those of these parameters that code inserted before a return can read: local variables that always have a value.

    The function may have assigned to them.
    """
    data = code.co_code
    marks = data[::2].translate(UNBINDING)
    unbound = set(code.co_cellvars)
    at = marks.find(1)
    while at >= 0:
        unbound.update(code.co_varnames[data[2 * at + 1] : data[2 * at + 1] + 1])
        at = marks.find(1, at + 1)
    return tuple([name for name in names[:256] if name not in unbound])


def _changes(code: CodeType, positions: "Collection[int]") -> bool:
    """Whether the function, or one inside it, assigns to one of these parameters."""
    shared = set(code.co_cellvars).intersection([code.co_varnames[position] for position in positions])
    if any(_rebinds(code, name) for name in shared):
        return True
    data = code.co_code
    marks = data[::2].translate(STORES)
    at = marks.find(1)
    while at >= 0:
        op, argument = data[2 * at], data[2 * at + 1]
        if op in OPS["store_two"]:
            if argument >> 4 in positions or (op == OPS["store_two"][1] and argument & 15 in positions):
                return True
        elif argument in positions and not (at and data[2 * at - 2] == EXTENDED):
            return True
        at = marks.find(1, at + 1)
    return any(position > 255 for position in positions)


def _rebinds(code: CodeType, name: str) -> bool:
    """Whether the function, or one inside it, assigns to this variable, which they share."""
    cells = code.co_cellvars + code.co_freevars
    if not _IN_BLOCKS:  # from 3.11 on, cells are counted with the local variables, and parameters are both
        cells = code.co_varnames + tuple(each for each in cells if each not in code.co_varnames)
    number = (
        cells.index(name) & 255
    )  # a variable beyond 255 may be confused with another: then it counts as assigned to
    data = code.co_code
    marks = data[::2].translate(CELL_STORES)
    at = marks.find(1)
    while at >= 0:
        if data[2 * at + 1] == number:
            return True
        at = marks.find(1, at + 1)
    return any(_rebinds(each, name) for each in code.co_consts if type(each) is type(code) and name in each.co_freevars)


def _assemble(
    code: "Any", snippets: _Snippets, consts: "tuple[object, ...]", stack: int, suspends: "dict[int, int]"
) -> "CodeType | None":
    below, reading, ours = snippets.below, snippets.reading, snippets.ours
    body = code.co_code
    ops = body[::2]
    end = len(ops)
    begin = ops.find(OPS["RESUME"])  # in code units; the code before it makes cells, or the generator itself
    if begin < 0:
        return None
    begin += RESUME_UNITS
    lines = code.co_linetable
    handled = code.co_exceptiontable
    if not (below or handled):  # one range, of the whole body
        shape = (begin, end, snippets.handler)
        written = _simple_tables.get(shape)
        if written is None:
            written = _simple_tables[shape] = tables.write_table([(begin, end, end, 0, 1), _cleaning(end, snippets)])
        return code.replace(  # type: ignore[no-any-return]
            co_code=body + ours,
            co_consts=consts,
            co_stacksize=stack,
            co_linetable=lines + snippets.lines,
            co_exceptiontable=written,
        )
    epilogues: "list[tuple[int, int]]" = []
    start = begin
    table: "list[tables.Entry]" = []
    if below:
        body, lines, epilogues, move = _moved(body, ops, begin, snippets, lines, suspends)
        start, end = begin + len(snippets.prologue) // 2, len(body) // 2
    after = end + len(ours) // 2
    if below:
        ours += _entering(table, snippets, begin, start, after)
    returning = end + snippets.returning
    at = start
    if handled:
        own = tables.read_table(handled)
        around: "Collection[tuple[int, int, int]]" = ()
        if below:
            own = [
                (max(move(first), start), move(last), move(target), depth + below, lasti)
                for first, last, target, depth, lasti in own
                if last > begin
            ]
            own, around = tables.apart(own, epilogues)
        table += own
        for first, last in sorted(epilogues + [(first, last) for first, last, *_ in own]):
            if first > at:
                table.append((at, first, end, below, 1))
            at = max(at, last)
        table += [(returning, after, *handler) for handler in around]
        table += [(first, last - below - 2, returning, below + 1, 0) for first, last in epilogues]
    else:
        for first, last in epilogues:
            # Not the last operations of an epilogue, which leave nothing but the result on the stack.
            table += (at, first, end, below, 1), (first, last - below - 2, returning, below + 1, 0)
            at = last
    if end > at:
        table.append((at, end, end, below, 1))
    table.append(_cleaning(end, snippets))
    for unit in suspends:
        ours += _thrown(table, move(unit + 1) - 1, end + len(ours) // 2, reading)
    if suspends or handled:  # others are in their order
        table.sort()
    return code.replace(  # type: ignore[no-any-return]
        co_code=body + ours,
        co_consts=consts,
        co_stacksize=stack,
        co_linetable=lines + (tables.nowhere(len(ours) // 2) if below else snippets.lines),
        co_exceptiontable=tables.write_table(table),
    )


#: (beginning, end, size of the handler) → the table of a function that handles nothing itself.
_simple_tables: "dict[tuple[int, int, int], bytes]" = {}


def _cleaning(end: int, snippets: _Snippets) -> "tables.Entry":
    """Return the entry for exceptions in our handler, which begins at `end`, without its last three instructions."""
    after = end + snippets.handler
    return end + 1, after - 3, after, snippets.below + 3, 1


def _moved(
    body: bytes, ops: bytes, begin: int, snippets: _Snippets, lines: bytes, suspends: "dict[int, int]"
) -> "moved.Changed":
    below, reading, prologue, epilogue = snippets[1:5]
    if not suspends:
        try:
            return moved.insert_quickly(body, ops, begin, prologue, epilogue, lines)
        except ours(moved.Unusual, tables.NotAlone):
            pass
    turns = {unit: _turn(reading, depth + below) for unit, depth in suspends.items()}
    return moved.insert(body, ops, begin, prologue, epilogue, lines, turns)


def _turn(reading: bytes, depth: int) -> bytes:
    """Turn the start at the bottom of a stack of `depth` into the time since then, or that time into a start again."""
    return reading + op("COPY", depth + 1) + op("BINARY_OP", _SUBTRACT) + op("SWAP", depth + 1) + op("POP_TOP")


def _entering(table: "list[tables.Entry]", snippets: _Snippets, at: int, start: int, here: int) -> bytes:
    """Return the code at `here` that handles a full stack in the prologue at `at`, and continues at `start`."""
    known = snippets.entered.get(here - start)
    if known is None:
        known = _returns_to_start(snippets, here - start)
        if here - start < _FAR:
            snippets.entered[here - start] = known
    code, begins = known
    for depth, (entered, _) in enumerate(snippets.entering):
        table.append((at, at + len(entered) // 2, here + begins[depth], depth, 0))
        at += len(entered) // 2
    return code


def _returns_to_start(snippets: _Snippets, distance: int) -> "tuple[bytes, list[int]]":
    """Return that code, `distance` units behind the start, and where the handler of each call begins in it."""
    code, begins = b"", []
    for _, instead in snippets.entering:
        begins.append(len(code) // 2)
        code += snippets.no_room
        then = op("POP_TOP") + instead
        then += back(distance + len(code + branch(then)) // 2, 0)
        code += branch(then) + op("RERAISE")
    return code, begins


def _thrown(table: "list[tables.Entry]", at: int, here: int, reading: bytes) -> bytes:
    """Return the code at `here` for an exception thrown in at a yield: it restarts the clock, and raises again.

    `at` is the unit of the YIELD_VALUE, which a RESUME follows.
    """
    entry = next(entry for entry in table if entry[0] <= at < entry[1])
    first, last, target, depth, lasti = entry
    table.remove(entry)
    stop = min(at + 1 + RESUME_UNITS, last)
    table += [(first, at, target, depth, lasti), (at, stop, here, depth, 1), (stop, last, target, depth, lasti)]
    code = _turn(reading, depth + 2) + op("RERAISE", 1)
    table.append((here, here + len(code) // 2, target, depth, lasti))
    return code


def _yields(code: CodeType) -> "dict[int, int] | None":
    """Return the unit of each yield of a generator and the depth of its stack; None where that cannot be determined."""
    ops = code.co_code[::2]
    if sys.version_info < (3, 12) and OPS["SEND"] in ops:
        return None  # an exception thrown into the delegate does not pass the RESUME
    from . import depths

    known = depths.of(code)
    if known is None:
        return None
    return {unit: depth for unit, depth in known.items() if ops[unit] == OPS["YIELD_VALUE"]}
