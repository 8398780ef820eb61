"""The monitor inside the bytecode of CPython 3.9 and 3.10: the same instructions, lines, targets and blocks."""

import bdb
import dis
import importlib
import opcode
import sys

import pytest
from test_inject import EVERY, MODULES, Spy, codes_of

from agent.hook.code import inject, trampoline
from agent.hook.until_310 import blocks, operations

Features = trampoline.Features

pytestmark = pytest.mark.skipif(
    not inject.AVAILABLE or sys.version_info >= (3, 11), reason="handlers are no blocks in this interpreter"
)


def test_the_table_is_the_interpreters():
    for name, value in operations.OPS.items():
        if name.isupper():
            assert opcode.opmap[name] == value, name
    assert set(operations.OPS["relative"]) == set(opcode.hasjrel)
    assert set(operations.OPS["absolute"]) == set(opcode.hasjabs)
    assert opcode.cmp_op[operations.OPS["greater"]] == ">"
    assert opcode.opmap.get("GEN_START", blocks.GEN_START) == blocks.GEN_START


def instructions(code):
    """Its instructions, each with its line."""
    starts = dict(dis.findlinestarts(code)) if sys.version_info < (3, 10) else None
    lines = {}
    if starts is None:
        for first, stop, line in code.co_lines():
            lines.update(dict.fromkeys(range(first, stop, 2), line))
    else:
        line = code.co_firstlineno
        for offset in range(0, len(code.co_code), 2):
            line = lines[offset] = starts.get(offset, line)
    return [(each, lines[each.offset]) for each in dis.get_instructions(code) if each.opname != "EXTENDED_ARG"]


@pytest.mark.parametrize("name", MODULES)
def test_the_functions_own_instructions_lines_and_targets_stay(name, monkeypatch):
    try:
        library = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(str(error))
    made = []

    class Moved(blocks.Moved):
        def __init__(self, body, ops, parts, suspends):
            super().__init__(body, ops, parts, suspends)
            made.append((self.position, parts, suspends))

    monkeypatch.setattr(blocks, "Moved", Moved)
    spy = Spy()
    for code in codes_of(library):
        for features in (
            Features(), Features(threshold=True), Features(check=(), span=True), Features(threshold=True, counted=trampoline.AT_THE_END),
            Features(counted=trampoline.AT_THE_BEGINNING), Features(counted=trampoline.WITHOUT_CLOCK),
        ):  # fmt: skip
            new = spy.inject(code, features)
            if new is None:
                kind = trampoline.kind_of(code)
                assert features != Features()
                delegates = any(each.opname == "YIELD_FROM" for each in dis.get_instructions(code))
                assert kind == "async generator" or (kind == "generator" and (features.span or delegates))
            else:
                same(code, new, *made[-1])


def same(code, new, position, parts, suspends):
    now = {each.offset: (each, line) for each, line in instructions(new)}
    jumps = {*opcode.hasjrel, *opcode.hasjabs}
    for old, line in instructions(code):
        unit = old.offset // 2
        to = position[unit + 1] - 1  # what is put before a return lies before it, and a jump may need prefixes
        if old.opname == "GEN_START":
            to = unit
        if suspends and old.opname == "YIELD_VALUE":
            to = position[unit] + len(parts.turn) // 2 + parts.room
            stop = now.pop(2 * to + 2)
            assert (stop[0].opname, stop[1]) == ("POP_BLOCK", line)
        each, now_line = now.pop(2 * to)
        assert (each.opname, now_line) == (old.opname, line), (code, old, each)
        if old.opcode in jumps:
            assert each.argval == 2 * position[old.argval // 2], (code, old, each)
        else:
            assert each.arg == old.arg
    # What is left is ours: it uses constants and locals of ours, and loads arguments for a check.
    for each, _ in now.values():
        if each.opname == "LOAD_CONST":
            assert each.arg >= len(code.co_consts)
        elif each.opname in ("LOAD_FAST", "STORE_FAST"):
            assert each.arg >= code.co_nlocals
        else:
            assert each.opname in OURS, each
    assert blocks.most_blocks(new.co_code, new.co_code[::2]) <= 20


OURS = {"CALL_FUNCTION", "POP_TOP", "ROT_TWO", "DUP_TOP", "BINARY_SUBTRACT", "COMPARE_OP", "POP_JUMP_IF_FALSE",
        "SETUP_FINALLY", "POP_BLOCK", "RERAISE", "FOR_ITER", "JUMP_FORWARD", "IS_OP", "JUMP_IF_NOT_EXC_MATCH",
        "JUMP_ABSOLUTE", "POP_EXCEPT", "RETURN_VALUE"}  # fmt: skip


@pytest.mark.parametrize("features", EVERY)
def test_what_is_remembered_has_no_name(features):
    seen = []

    def function(a, *rest, b=2):
        inner = lambda: (a, b)  # two cells, which lie behind the locals
        seen.append((sorted(locals()), sorted(sys._getframe().f_locals), sys._getframe().f_code.co_varnames))
        del rest
        return inner()

    def generator(a):
        yield sorted(locals())
        yield sorted(sys._getframe().f_locals)

    class Base:
        def method(self):
            return "base"

    class Child(Base):
        def method(self):
            self = self
            return super().method(), sorted(locals())

    expected = function(1), list(generator(1)), Child().method(), seen.pop()
    for each in (function, Child.method):
        Spy().on(each, features)
    if not features.span:
        Spy().on(generator, features)
    assert (function(1), list(generator(1)), Child().method(), seen.pop()) == expected


def nested(levels):
    """A function with so many blocks inside one another; the last of them raises where `a` is true."""
    lines = ["def f(a):", "  log = []"]
    for level in range(levels):
        lines.append("  " * (level + 1) + "try:")
    lines.append("  " * (levels + 1) + "if a: raise KeyError(a)")
    lines.append("  " * (levels + 1) + "log.append('in')")
    for level in reversed(range(levels)):
        lines.append("  " * (level + 1) + "finally:")
        lines.append("  " * (level + 2) + f"log.append({level})")
    return "\n".join([*lines, "  return log"])


@pytest.mark.parametrize("levels", [1, 17, 18, 19, 20])
def test_the_interpreters_limit_of_blocks_is_respected(levels):
    space = {}
    exec(nested(levels), space)
    function = space["f"]
    expected = function(0)
    spy = Spy()
    new = spy.inject(function.__code__, Features(threshold=True))
    assert (new is None) == (levels > 18)
    if new is not None:
        function.__code__ = new
        assert function(0) == expected
        with pytest.raises(KeyError):
            function(1)
        assert [call[0] for call in spy.calls] == ["fail"]


def test_many_blocks_one_after_another_are_few_at_once():
    space = {}
    exec("def f(a):\n" + "".join(f" try: a += 1 // (a - {n})\n except ZeroDivisionError: a += 2\n" for n in range(40))
         + " return a\n", space)  # fmt: skip
    expected = [space["f"](n) for n in range(-3, 45)]
    Spy().on(space["f"], Features(threshold=True, check=(), span=True))
    assert [space["f"](n) for n in range(-3, 45)] == expected


def test_a_debugger_steps_through_the_lines_of_the_source():
    space = {}
    exec(
        "def f(a):\n b = a + 1\n for c in range(2):\n  b += c\n return b\ndef g(a):\n yield a\n a += 1\n yield a\n",
        space,
    )

    class Debugger(bdb.Bdb):
        def __init__(self):
            super().__init__()
            self.seen = []

        def user_line(self, frame):
            if frame.f_code.co_filename == "<string>":
                self.seen.append((frame.f_code.co_name, frame.f_lineno, sorted(frame.f_locals)))
            self.set_step()

    def steps():
        debugger = Debugger()
        debugger.runcall(lambda: (space["f"](1), list(space["g"](1))))
        return debugger.seen

    expected = steps()
    for name in "fg":
        Spy().on(space[name], Features(threshold=True))
    assert len(expected) > 8
    assert steps() == expected


def test_functions_longer_than_a_short_jump():
    space = {}
    body = "".join(f" if a == {n}: return [{n}, 'c{n}', {n}.5, a, a, a, a, a, a, a, a, a, a, a]\n" for n in range(1500))
    exec(f"def f(a):\n{body} return a\ndef g(a):\n{body.replace('return', 'yield')}", space)
    for name in "fg":
        Spy().on(space[name], Features(threshold=True, check=()))
        assert len(space[name].__code__.co_code) > 70_000
    for n in (0, 700, 1499):
        assert space["f"](n)[:3] == [n, f"c{n}", n + 0.5] == next(space["g"](n))[:3]
    assert space["f"](-1) == -1
    generator = space["g"](3)
    next(generator)
    with pytest.raises(OSError):
        generator.throw(OSError())
