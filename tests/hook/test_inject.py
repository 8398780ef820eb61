"""The monitor inside the function's own bytecode: the same instructions, lines, handlers, frames and results."""

import dis
import importlib
import inspect
import opcode
import sys
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_trampoline import outcome, signatures

from agent.hook import inject, patch, trampoline

Features = trampoline.Features

pytestmark = pytest.mark.skipif(not inject.AVAILABLE, reason="this interpreter's bytecode is not injected into")

EVERY = [
    Features(),
    Features(threshold=True),
    Features(check=()),
    Features(span=True),
    Features(threshold=True, check=(), span=True, timed=True),
]


class Spy:
    def __init__(self, limit=99.0):
        self.calls = []
        self.now = 0.0
        self.limit = limit

    def clock(self):
        return self.now

    def fail(self, start):
        self.calls.append(("fail", type(sys.exc_info()[1]), self.now - start))

    def slow(self, start, result):
        self.calls.append(("slow", self.now - start, result))

    def check(self, result, start, *values):
        self.calls.append(("check", result, values))

    def inject(self, code, features, wanted=()):
        return inject.inject(
            code, features, fail=self.fail, slow=self.slow, limit=self.limit, check=self.check, clock=self.clock,
            enter=lambda: self.calls.append("enter") or "token",
            leave=lambda token, failed: self.calls.append((token, failed)), wanted=wanted,
        )  # fmt: skip

    def on(self, function, features, wanted=()):
        def make(original):
            raise AssertionError("injection was refused")

        return patch.patch_function(function, make, self, lambda code: self.inject(code, features, wanted))


def test_the_tables_are_the_interpreters():
    table = inject._TABLES[sys.version_info[:2]]
    for name, value in table.items():
        if name.isupper():
            assert opcode.opmap[name] == value
    assert {*table["forward"], *table["backward"]} == {op for op in opcode.hasjrel if op < 256}
    assert {opcode.opname[op] for op in table["backward"]} == {
        opcode.opname[op] for op in opcode.hasjrel if op < 256 and "BACKWARD" in opcode.opname[op]
    }
    assert not [op for op in opcode.hasjabs if op < 256]
    entries = opcode._inline_cache_entries
    if isinstance(entries, dict):
        expected = {opcode.opmap[name]: count for name, count in entries.items() if count}
    else:
        expected = {op: count for op, count in enumerate(entries) if count}
    real = set(opcode.opmap.values())
    assert table["caches"] == {op: n for op, n in expected.items() if op in real and op < 256}
    stores = {n for n in opcode.opmap if n.startswith(("STORE_FAST", "DELETE_FAST")) or n == "LOAD_FAST_AND_CLEAR"}
    stores = {opcode.opmap[n] for n in stores if opcode.opmap[n] < 256 and "MAYBE_NULL" not in n and "__" not in n}
    assert {*table["store"], *table["store_two"]} == stores
    code = compile("a > b\na - b", "", "exec").co_code
    assert bytes((table["COMPARE_OP"], table["greater"])) in code
    assert bytes((table["BINARY_OP"], 10)) in code


def codes_of(module_):
    """Every code object of a function in a module of the standard library."""
    found = []
    pending = [compile(inspect.getsource(module_), module_.__file__, "exec")]
    while pending:
        for const in pending.pop().co_consts:
            if isinstance(const, types.CodeType):
                pending.append(const)
                if const.co_flags & 2 and const.co_flags & 1:  # CO_NEWLOCALS, CO_OPTIMIZED: not a class body
                    found.append(const)
    return found


def instructions(code):
    """Its instructions, the position of each, and where the instruction is whose prefixes an offset may point at."""
    kept, real, prefixes = [], {}, []
    for each in dis.get_instructions(code):
        prefixes.append(each.offset)
        if each.opname != "EXTENDED_ARG":
            real.update(dict.fromkeys(prefixes, each.offset))
            prefixes = []
            kept.append(each)
    return kept, dict(zip(range(0, len(code.co_code), 2), code.co_positions())), real


MODULES = ["argparse", "decimal", "_pydecimal", "asyncio.base_events", "typing", "inspect", "zipfile", "tarfile", "email.message",
           "contextlib", "dataclasses", "ast", "json.decoder", "subprocess", "threading", "turtle"]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_the_functions_own_instructions_lines_and_handlers_stay(name):
    try:
        library = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(str(error))
    spy = Spy()
    for code in codes_of(library):
        for features in (Features(), Features(threshold=True, check=(), span=True)):
            new = spy.inject(code, features)
            if new is None:
                assert trampoline.kind_of(code) in ("generator", "async generator")
                continue
            same(code, new, below=2 if features.threshold else 0)


def same(code, new, below):
    old, old_lines, old_real = instructions(code)
    now, now_lines, now_real = instructions(new)
    moved = {}
    at = 0
    for each in old:
        while now_lines[now[at].offset][0] is None and old_lines[each.offset][0] is not None:
            at += 1  # what we put at the beginning stands on no line
        returns = each.opname in ("RETURN_VALUE", "RETURN_CONST") and below
        assert alike(each, now[at], now_lines[now[at].offset], old_lines[each.offset], returns), (code, each, now[at])
        moved[each.offset] = now[at].offset
        while returns and now[at].opname != "RETURN_VALUE":
            at += 1
        at += 1
    for each in old:
        if each.opcode in dis.hasjrel:
            target = next(item for item in now if item.offset == moved[each.offset])
            assert now_real[target.argval] == moved[old_real[each.argval]], (code, each, target)
    # Each instruction has the handler that it had, or ours where it had none.
    before = handlers(code)
    after = handlers(new)
    begin = next(each.offset for each in old if each.opname == "RESUME")
    for each in old:
        if each.offset <= begin or each.opname in ("RETURN_VALUE", "RETURN_CONST"):
            continue
        had = before(each.offset)
        has = after(moved[each.offset])
        if had is None:
            assert has is not None and has[1:] == (below, True), (code, each, has)
            assert now_lines[has[0]][0] is None
        else:
            expected = (moved[old_real[had[0]]], had[1] + below, had[2])
            assert (now_real[has[0]], *has[1:]) == expected, (code, each, had, has)


def alike(old, now, now_line, old_line, returns):
    if returns:
        if old.opname == "RETURN_CONST":
            return now.opname == "LOAD_CONST" and now.argval is old.argval and now_line == old_line
        return now.opname in ("PUSH_NULL", "LOAD_CONST", "SWAP") and now_line[0] == old_line[0]
    if old.opname != now.opname or now_line != old_line:
        return False
    return old.opcode in dis.hasjrel or old.arg == now.arg


def handlers(code):
    entries = dis._parse_exception_table(code)

    def handler(offset):
        for entry in entries:
            if entry.start <= offset < entry.end:
                return entry.target, entry.depth, entry.lasti
        return None

    return handler


@given(
    signatures(),
    st.lists(st.integers(), max_size=7),
    st.dictionaries(st.sampled_from(["p0", "p1", "p2", "k0", "k1", "other"]), st.integers(), max_size=4),
    st.sampled_from(EVERY),
)
def test_any_signature_behaves_as_unpatched(source, args, kwargs, features):
    spaces = {}, {}
    for space in spaces:
        exec(source, space)
    plain, patched = (space["f"] for space in spaces)
    layer = Spy().on(patched, features)
    assert inspect.signature(patched) == inspect.signature(plain)
    assert outcome(patched, args, kwargs) == outcome(plain, args, kwargs)
    layer.undo()
    assert patched.__code__ == plain.__code__


STATEMENTS = [
    "if a > {n}: return ('r', {n}, a)",
    "try:\n    if a == {n}: raise KeyError({n})\n    log.append({n})\nexcept KeyError:\n    log.append('k')\n    if a % 2: return 'from except'",
    "try:\n    if a == {n}: return 'from try'\nfinally:\n    log.append('f{n}')",
    "for i in range(a):\n    if i == {n}: break\n    if i == 7: return i\nelse:\n    log.append('else')",
    "with held(log, {n}):\n    if a == {n}: raise ValueError({n})\n    if a == {n} + 1: return 'from with'",
    "while a > {n}:\n    a -= 1\n    log.append(a)\n    if a == 3: continue",
    "log.append([x + a for x in range({n})])",
    "log.append(locals() == {{**locals()}} and sorted(locals()))",
    "if a == {n}: raise LookupError(a) from None",
    "try:\n    try:\n        1 // (a - {n})\n    finally:\n        log.append(sys.exc_info()[0])\nexcept ZeroDivisionError as error:\n    log.append(error.__traceback__.tb_lineno)",
    "add = lambda x: x + a\nlog.append(add({n}))",
]


@st.composite
def bodies(draw):
    parts = [
        text.format(n=draw(st.integers(0, 9)))
        for text in draw(st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=12))
    ]
    repeat = draw(st.sampled_from([1, 1, 1, 8]))  # long enough for jumps of more than 255 units
    text = "\n".join(parts * repeat)
    kind = draw(st.sampled_from(["def", "def", "async def"]))
    return f"{kind} f(a):\n" + "\n".join("    " + line for line in text.split("\n")) + "\n"


class held:
    def __init__(self, log, n):
        self.log, self.n = log, n

    def __enter__(self):
        self.log.append("in")

    def __exit__(self, kind, error, traceback):
        self.log.append((kind, traceback and traceback.tb_lineno))
        return self.n % 2


def run(function, a, log):
    try:
        result = function(a)
        if inspect.iscoroutine(result):
            try:
                result.send(None)
            except StopIteration as stop:
                result = stop.value
        return "returned", result, log, sys.exc_info()
    except Exception as error:
        lines = []
        entry = error.__traceback__
        while entry is not None:
            lines.append((entry.tb_lineno, entry.tb_frame.f_code.co_name, entry.tb_frame.f_lineno))
            entry = entry.tb_next
        return "raised", type(error), error.args, lines[1:], log, repr(error.__context__)


def traced(function, a, log):
    events = []

    def trace(frame, event, arg):
        if frame.f_code.co_name != "f":
            return None
        events.append((event, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        end = run(function, a, log)
    finally:
        sys.settrace(before)
    return events, end


@settings(deadline=None, max_examples=150)
@given(bodies(), st.integers(0, 10), st.sampled_from(EVERY), st.booleans())
def test_any_body_behaves_as_unpatched(source, a, features, tracing):
    spaces = []
    for _ in range(2):
        space = {"log": [], "held": held, "sys": sys}
        exec(source, space)
        spaces.append(space)
    plain, patched = (space["f"] for space in spaces)
    spy = Spy()
    spy.on(patched, features)
    how = traced if tracing else run
    expected = how(plain, a, spaces[0]["log"])
    got = how(patched, a, spaces[1]["log"])
    assert got == expected
    failed = expected[-1][0] == "raised" if tracing else expected[0] == "raised"
    assert [call[0] for call in spy.calls].count("fail") == failed
    if features.span:
        assert spy.calls[0] == "enter"
        assert ("token", failed) in spy.calls
    if features.check is not None:
        assert ("check" in [call[0] for call in spy.calls]) is not failed
