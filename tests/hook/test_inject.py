"""The monitor inside the function's own bytecode: the same instructions, lines, handlers, frames and results."""

import contextlib
import dis
import importlib
import inspect
import opcode
import sys
import time
import types
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_trampoline import Owner, counting, outcome, signatures
from test_trampoline import TestGenerators as Generators

from agent.config import self_check
from agent.hook.code import inject, moved, operations, patch, trampoline
from agent.measure.tallies import Tallies

Features = trampoline.Features

pytestmark = pytest.mark.skipif(not inject.AVAILABLE, reason="this interpreter's bytecode is not injected into")

#: Before 3.11, handlers are blocks: test_blocks.py has what is said of the table beside the code.
in_a_table = pytest.mark.skipif(sys.version_info < (3, 11), reason="3.9 and 3.10 have no table of exceptions")

EVERY = [
    Features(),
    Features(threshold=True),
    Features(check=()),
    Features(span=True),
    Features(threshold=True, check=(), span=True, timed=True),
    Features(counted=trampoline.AT_THE_END),
    Features(counted=trampoline.AT_THE_BEGINNING),
    Features(counted=trampoline.WITHOUT_CLOCK),
    Features(threshold=True, check=(), span=True, counted=trampoline.AT_THE_END),
]


class Spy:
    def __init__(self, limit=99.0):
        self.calls = []
        self.now = 0.0
        self.limit = limit
        self.tallies = Tallies(clock=self.clock)

    def clock(self):
        return self.now

    def fail(self, start, error=None):
        assert error in (None, sys.exc_info()[1])  # before 3.11, it is not told
        self.calls.append(("fail", type(sys.exc_info()[1]), self.now - start))

    def slow(self, start, result):
        self.calls.append(("slow", self.now - start, result))

    def check(self, result, start, *values):
        self.calls.append(("check", result, values))

    def inject(self, code, features, wanted=(), changed=()):
        values = {
            "fail": self.fail, "slow": self.slow, "limit": self.limit, "check": self.check, "clock": self.clock,
            "enter": lambda: self.calls.append("enter") or "token",
            "leave": lambda start, result, token, failed, *passed: self.calls.append((token, failed, *passed)), **counting(self.tallies), **dict(changed),
        }  # fmt: skip
        return inject.inject(code, features, values, wanted)

    def on(self, function, features, wanted=(), changed=()):
        def make(original):
            raise AssertionError("injection was refused")

        return patch.patch_function(function, Owner(make, lambda code: self.inject(code, features, wanted, changed)))


@in_a_table
def test_the_tables_are_the_interpreters():
    table = operations.TABLES[sys.version_info[:2]]
    assert self_check.unlike() == []
    jumps = {op for op in opcode.hasjrel if op < 256 and not opcode.opname[op].startswith("INSTRUMENTED")}
    backward = {op for op in jumps if "BACKWARD" in opcode.opname[op] or opcode.opname[op] == "END_ASYNC_FOR"}
    assert set(table["backward"]) == backward
    assert not [op for op in opcode.hasjabs if op < 256]
    stores = {n for n in opcode.opmap if n.startswith(("STORE_FAST", "DELETE_FAST")) or n == "LOAD_FAST_AND_CLEAR"}
    stores = {opcode.opmap[n] for n in stores if opcode.opmap[n] < 256 and "MAYBE_NULL" not in n and "__" not in n}
    assert {*table["store"], *table["store_two"]} == stores
    assert set(table["store_cell"]) == {opcode.opmap["STORE_DEREF"], opcode.opmap["DELETE_DEREF"]}
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


@pytest.mark.slow(reason="every function of large modules")
@in_a_table
@pytest.mark.parametrize("name", MODULES)
def test_the_functions_own_instructions_lines_and_handlers_stay(name):
    try:
        library = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(str(error))
    spy = Spy()
    for code in codes_of(library):
        for features, below in (
            (Features(), 0), (Features(threshold=True), 1), (Features(check=(), span=True), 2),
            (Features(threshold=True, counted=trampoline.AT_THE_END), 1),
            (Features(counted=trampoline.AT_THE_BEGINNING), 1), (Features(counted=trampoline.WITHOUT_CLOCK), 1),
        ):  # fmt: skip
            new = spy.inject(code, features)
            kind = trampoline.kind_of(code)
            if new is None:
                assert below
                delegates = sys.version_info < (3, 12) and "SEND" in dis.Bytecode(code).dis()
                assert kind == "async generator" or (kind == "generator" and (below > 1 or delegates))
                continue
            same(code, new, below, stops=below and kind == "generator" and features.clocked)


def same(code, new, below, *, stops):
    old, old_lines, old_real = instructions(code)
    now, now_lines, now_real = instructions(new)
    moved = {}
    entered = {}  # where a jump to it goes
    at = 0
    call = ["LOAD_CONST", "PUSH_NULL"] if sys.version_info >= (3, 13) else ["PUSH_NULL", "LOAD_CONST"]
    call += ["PRECALL"] * (sys.version_info < (3, 12)) + ["CALL"]
    turn = [*call, "COPY", "BINARY_OP", "SWAP", "POP_TOP"]
    previous = ""
    for each in old:
        while now_lines[now[at].offset][0] is None and old_lines[each.offset][0] is not None:
            at += 1  # what we put at the beginning stands on no line
        returns = each.opname in ("RETURN_VALUE", "RETURN_CONST") and below
        entered[each.offset] = now[at].offset
        if stops and each.opname == "YIELD_VALUE":
            assert [item.opname for item in now[at : at + len(turn)]] == turn
            at += len(turn)
        assert alike(each, now[at], now_lines[now[at].offset], old_lines[each.offset], returns), (code, each, now[at])
        moved[each.offset] = now[at].offset
        if stops and previous == "YIELD_VALUE":
            assert [item.opname for item in now[at + 1 : at + 1 + len(turn)]] == turn
            at += len(turn)
        previous = each.opname
        while returns and now[at].opname != "RETURN_VALUE":
            at += 1
        at += 1
    for each in old:
        if each.opcode in dis.hasjrel:
            target = next(item for item in now if item.offset == moved[each.offset])
            assert now_real[target.argval] == entered[old_real[each.argval]], (code, each, target)
    # Each instruction has the handler that it had, or ours where it had none.
    before = handlers(code)
    after = handlers(new)
    begin = next(each.offset for each in old if each.opname == "RESUME")
    for each in old:
        if each.offset <= begin or each.opname in ("RETURN_VALUE", "RETURN_CONST"):
            continue
        if stops and each.opname == "RESUME":
            continue
        if stops and each.opname == "YIELD_VALUE":
            stub = after(moved[each.offset])
            assert now_lines[stub[0]][0] is None
            assert stub[1] == (before(each.offset) or (0, 0))[1] + below
            continue
        had = before(each.offset)
        has = after(moved[each.offset])
        if had is None:
            assert has is not None and has[1:] == (below, True), (code, each, has)
            assert now_lines[has[0]][0] is None
        else:
            expected = (moved[old_real[had[0]]], had[1] + below, had[2])
            assert (now_real[has[0]], *has[1:]) == expected, (code, each, had, has)


@in_a_table
@pytest.mark.parametrize("name", MODULES[::2])
def test_the_quick_way_gives_the_same_code(name, monkeypatch):
    try:
        library = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(str(error))
    spy = Spy()
    ways = [Features(threshold=True), Features(check=(), span=True)]
    codes = [(code, features) for code in codes_of(library) for features in ways]
    quickly = moved.insert_quickly
    taken = []

    def counted(*arguments):
        changed = quickly(*arguments)
        taken.append(changed)
        return changed

    monkeypatch.setattr(moved, "insert_quickly", counted)
    got = [spy.inject(code, features) for code, features in codes]
    assert len(taken) > 0.6 * len([new for new in got if new is not None])  # a longer jump is left to the other way

    def refused(*_):
        raise moved.Unusual

    monkeypatch.setattr(moved, "insert_quickly", refused)
    for (code, features), new in zip(codes, got):
        expected = spy.inject(code, features)
        if new is not None:
            parts = ("co_code", "co_linetable", "co_exceptiontable", "co_stacksize")
            assert [getattr(new, part) for part in parts] == [getattr(expected, part) for part in parts], code


def alike(old, now, now_line, old_line, returns):
    if returns:
        if old.opname == "RETURN_CONST":
            return now.opname == "LOAD_CONST" and now.argval is old.argval and now_line == old_line
        return now.opname in ("PUSH_NULL", "LOAD_CONST", "COPY", "SWAP") and now_line[0] == old_line[0]
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


@settings(deadline=None)
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
            where = entry.tb_frame.f_lineno if sys.version_info >= (3, 10) else None  # there, where our handler stands
            lines.append((entry.tb_lineno, entry.tb_frame.f_code.co_name, where))
            entry = entry.tb_next
        return "raised", type(error), error.args, lines[1:], log, repr(error.__context__)


def traced(function, a, log):
    events = []

    def trace(frame, event, arg):
        if frame.f_code.co_name != "f":
            return None
        if sys.version_info >= (3, 10) or frame.f_lineno > 1:  # where 3.9 tells of our handler: the line of `def`
            events.append((event, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        end = run(function, a, log)
    finally:
        sys.settrace(before)
    if sys.version_info < (3, 10) and end[0] == "raised":
        events = [event for event in events if event[0] != "return"]
    return events, end


@pytest.mark.slow(reason="a large space: 150 examples")
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


class TestGenerators:
    make = staticmethod(Generators.make)
    drive = staticmethod(Generators.drive)

    @pytest.mark.parametrize(
        "features",
        [
            Features(),
            Features(threshold=True),
            Features(threshold=True, check=(0,)),
            *[Features(span=True)] * (sys.version_info >= (3, 11)),
        ],
    )
    def test_protocol_is_unchanged(self, features):
        plain, patched = [], []
        expected = self.drive(self.make(plain), plain)
        function = self.make(patched)
        Spy().on(function, features)
        assert self.drive(function, patched) == expected

    def test_times_what_runs_not_what_the_consumer_does(self):
        spy = Spy(limit=3.0)

        def generator(n):
            for i in range(n):
                spy.now += 1.5
                yield i

        spy.on(generator, Features(threshold=True))
        for _ in generator(3):
            spy.now += 100
        assert spy.calls == [("slow", 4.5, None)]

    def test_what_is_thrown_in_finds_the_clock_running(self):
        spy = Spy(limit=3.0)

        def generator():
            spy.now += 1
            try:
                try:
                    yield 1
                finally:
                    spy.now += 1
            except KeyError:
                spy.now += 2
                yield 2
            spy.now += 4
            raise OSError

        spy.on(generator, Features(threshold=True))
        g = generator()
        next(g)
        spy.now += 100
        assert g.throw(KeyError()) == 2
        spy.now += 100
        with pytest.raises(OSError):
            next(g)
        assert spy.calls == [("fail", OSError, 8.0)]

    def test_delegation_and_expressions(self):
        spy = Spy(limit=2.0)

        def inner():
            try:
                got = yield 1
            except KeyError:
                spy.now += 1
                return "thrown"
            return got

        def outer(log):
            log.append([(yield "a"), (yield (yield "b")), (yield "x" if log else "y")])
            for i in range(3):
                with held(log, 1):
                    log.append((i, (yield from inner())))
                spy.now += 1
            return "end"

        def drive(function):
            log = []
            g = function(log)
            seen = [next(g)]
            for value in range(5):
                spy.now += 50
                seen.append(g.send(value))
            spy.now += 50
            seen.append(g.throw(KeyError()))
            spy.now += 50
            with pytest.raises(StopIteration) as stop:
                g.send("last")
            return log, seen, stop.value.value

        expected = drive(outer)
        code = outer.__code__
        if spy.inject(code, Features(threshold=True)) is None:
            assert sys.version_info < (3, 12)  # delegation there needs the trampoline
            return
        spy.on(outer, Features(threshold=True))
        spy.calls.clear()
        assert drive(outer) == expected
        # What is thrown into a delegate goes there directly: the second that it takes then is not seen.
        assert spy.calls == [("slow", 3.0, "end")]

    def test_a_context_manager_and_a_dropped_generator(self):
        spy = Spy(limit=3.0)
        log = []

        def manager(n):
            try:
                yield n
            finally:
                log.append("closed")

        spy.on(manager, Features(threshold=True))
        with contextlib.contextmanager(manager)(5) as value:
            assert value == 5
        with pytest.raises(LookupError), contextlib.contextmanager(manager)(5):
            raise LookupError
        dropped = manager(1)
        next(dropped)
        del dropped
        assert log == ["closed"] * 3
        assert [call[:2] for call in spy.calls] == [("fail", LookupError), ("fail", GeneratorExit)]


def test_what_looks_at_frames_sees_the_callers():
    space = {}
    exec(
        "import sys, warnings\n"
        "def who(): return sys._getframe(1).f_code.co_name\n"
        "def names(): return sorted(sys._getframe(1).f_locals)\n"
        "def warn():\n warnings.warn('w', stacklevel=2)\n"
        "def gen():\n yield sys._getframe(1).f_code.co_name\n warnings.warn('g', stacklevel=2)\n"
        "def depth():\n f, n = sys._getframe(), 0\n while f: f, n = f.f_back, n + 1\n return n\n"
        "def down(n): return 1 + down(n - 1) if n else 0\n",
        space,
    )

    def caller(a=1):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            space["warn"]()
            found = list(space["gen"]())
        lines = [w.lineno - caller.__code__.co_firstlineno for w in caught]
        return space["who"](), space["names"](), lines, [w.filename for w in caught], found, space["depth"]()

    def deepest():
        low, high = 1, 5000
        while high - low > 1:
            middle = (low + high) // 2
            try:
                space["down"](middle)
                low = middle
            except RecursionError:
                high = middle
        return low

    expected = caller(), deepest()
    for name in ("who", "names", "warn", "gen", "depth", "down"):
        Spy().on(space[name], Features(threshold=True))
    assert caller() == expected[0]
    assert deepest() == expected[1]


DEEPEST = """
ERROR = ValueError()
def returns():
    a = [1]
    return a
def constant(): return None
def fails(): raise ERROR
def handles():
    try: raise ERROR
    except ValueError: return "handled"
    finally: ERROR.args
def long():
    a = 1
    while a > 5:
        {}
    return a
async def coroutine(): return ERROR
async def broken():
    try: raise ERROR
    finally: ERROR.args
def generator():
    if not ERROR: yield
    return ERROR
def iterating():
    try: yield from (1, 2)
    except KeyError: pass
def down(n, do):
    return down(n - 1, do) if n else do()
def advanced(do):
    def advance():
        made = do()
        try:
            made.send(None)
        except StopIteration as end:
            return end.value
        return made.send(None)
    return advance
""".format("; ".join(["a = (a, a, a, a, a, a, a, a)[7] - 1"] * 60))


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")  # those that there was no room to begin
@pytest.mark.parametrize("features", EVERY)
def test_a_stack_that_is_full_is_full_at_the_same_call(features):
    """What the monitor would call has no room there: the host's call goes on without."""

    def boundary(patched):
        space = {}
        exec(DEEPEST, space)
        spy = Spy()
        spy.clock = time.perf_counter
        names = ["returns", "constant", "fails", "handles", "long", "coroutine", "broken"]
        if not features.span:
            names += ["generator", "iterating"][: 1 + (sys.version_info >= (3, 12) or not features.clocked)]
        for name in names if patched else ():
            spy.on(space[name], features)
        found = {}
        for name in names:
            do = space[name]
            if trampoline.kind_of(do.__code__) != "function":
                do = space["advanced"](do)
            for n in range(30, 70):
                sys.setrecursionlimit(stack() + 60)
                try:
                    found[name, n] = repr(space["down"](n, do))
                except (ValueError, RecursionError) as error:
                    found[name, n] = type(error), error is space["ERROR"]
                    assert error.__context__ is None
                finally:
                    sys.setrecursionlimit(limit)
                assert sys.exc_info() == (None, None, None)
        return found, spy.calls

    def stack():
        frame, n = sys._getframe(), 0
        while frame:
            frame, n = frame.f_back, n + 1
        return n

    limit = sys.getrecursionlimit()
    expected, _ = boundary(False)
    got, calls = boundary(True)
    assert got == expected
    assert {each[0] for each in expected.values() if type(each) is tuple} == {ValueError, RecursionError}
    assert calls  # where there was room


@pytest.mark.parametrize(
    "features",
    [Features(threshold=True, timed=True), Features(threshold=True, counted=trampoline.AT_THE_END, check=())],
)
def test_a_call_that_began_without_room_to_read_the_clock_has_no_duration(features):
    space = {}
    exec(DEEPEST, space)
    for name in ("returns", "fails"):
        spy = Spy(limit=0.0)
        there = iter([RecursionError])  # what is there at the next call is raised

        def clock(there=there):
            for each in there:
                raise each
            return 5.0

        spy.on(space[name], features, changed={"clock": clock})
        with contextlib.suppress(ValueError):
            space[name]()
        assert list(there) == []
        assert spy.calls in ([("fail", ValueError, float("-inf"))], [("check", [1], ())], [])


def test_what_strikes_in_the_monitors_part_goes_on():
    """A time limit, a Ctrl-C: only what the full stack itself raises is passed over."""
    space = {}
    exec(DEEPEST, space)

    class Limit(Exception):
        pass

    def strike(*_):
        raise Limit

    for name, features in (
        ("clock", Features(threshold=True)), ("enter", Features(span=True)), ("check", Features(check=())),
        ("leave", Features(span=True)), ("fail", Features()), ("fail", Features(threshold=True)),
    ):  # fmt: skip
        for function in ("returns", "coroutine", "fails"):
            if (name == "fail") != (function == "fails"):
                continue
            exec(DEEPEST, space)
            spy = Spy()
            spy.on(space[function], features, changed={name: strike})
            call = space[function]
            if function == "coroutine":
                call = space["advanced"](call)
            with pytest.raises(Limit) as caught:
                call()
            assert (caught.value.__context__ is space["ERROR"]) == (name == "fail")
            assert sys.exc_info() == (None, None, None)


def test_an_argument_that_is_rebound_or_shared_with_a_closure_is_not_read_too_late():
    space = {}
    exec(
        "def rebound(a, b):\n b = 1\n return b\ndef deleted(a, b):\n del b\ndef shared(a, b):\n return lambda: b\n"
        "def shared_and_rebound(a, b):\n b = 1\n return lambda: b\ndef shared_and_deleted(a, b):\n f = lambda: b\n del b\n"
        "def rebound_below(a, b):\n def f():\n  def g():\n   nonlocal b\n   b = a\n  return g\n return f()()\n"
        "def rebound_in_a_class(a, b):\n class C:\n  nonlocal b\n  b = 1\n return C\n"
        "def another_rebound(a, b):\n c = 1\n def f():\n  nonlocal c\n  c = b\n return f()\n"
        "def looped(a, b):\n for b in a: pass\ndef unpacked(a, b):\n b, c = a\n return c\n"
        "def bound(a, b):\n with a as b: pass\ndef kept(a, b):\n a = b\n return a\n",
        space,
    )
    spy = Spy()
    names = ["rebound", "deleted", "looped", "unpacked", "bound", "shared_and_rebound", "shared_and_deleted",
             "rebound_below", "rebound_in_a_class"]  # fmt: skip
    for name in names:
        code = space[name].__code__
        assert spy.inject(code, Features(threshold=True), wanted=["b"]) is None, name
        assert spy.inject(code, Features(check=(1,))) is None, name
        assert spy.inject(code, Features(threshold=True), wanted=["missing"]) is not None, name
    assert spy.inject(space["kept"].__code__, Features(check=(1,))) is not None
    for name in ("shared", "another_rebound"):
        assert spy.inject(space[name].__code__, Features(check=(1,))) is None, "a cell is not what it holds"
        assert spy.inject(space[name].__code__, Features(threshold=True), wanted=["b"]) is not None


def test_an_argument_that_is_shared_with_a_closure_is_read_when_the_call_has_ended():
    def function(a, *rest, b=2, **more):
        inner = lambda: (a, rest, b, more)
        if a == "fails":
            raise KeyError(a)
        return inner

    seen = []

    class Reader(Spy):
        def fail(self, start, error=None):
            seen.append(dict(sys._getframe(1).f_locals))

    Reader().on(function, Features(threshold=True), wanted=["a", "rest", "b", "more"])
    assert function(1, 2, b=3, c=4)() == (1, (2,), 3, {"c": 4})
    with pytest.raises(KeyError):
        function("fails", b=5)
    assert [[held[name] for name in ("a", "rest", "b", "more")] for held in seen] == [["fails", (), 5, {}]]


def test_what_the_monitor_raises_leaves_the_exception_state_right():
    def function(a):
        if a:
            raise KeyError(a)
        return a

    spy = Spy()

    def fail(*_):
        raise KeyboardInterrupt

    spy.fail = fail
    spy.on(function, Features(threshold=True))
    with pytest.raises(KeyboardInterrupt) as caught:
        function(1)
    assert isinstance(caught.value.__context__, KeyError)
    assert sys.exc_info() == (None, None, None)
    assert function(0) == 0


def test_many_constants_and_long_functions():
    space = {}
    lines = "\n".join(f" if a == {n}: return [{n}, 'c{n}', {n}.5]" for n in range(500))
    exec(
        f"def f(a):\n while True:\n  a += 1\n  if a > 0: break\n{lines}\n for i in range(a):\n  a -= 1\n{lines}\n",
        space,
    )
    spy = Spy()
    spy.on(space["f"], Features(threshold=True, check=(), span=True))
    for n in (1, 3, 499):
        assert space["f"](n - 1) == [n, f"c{n}", n + 0.5]
    assert space["f"](1000) == [0, "c0", 0.5]


MONITORED = """
def f(a):
    try:
        for i in range(a):
            if i == 3: return i
            if i == 9: raise KeyError(i)
    except KeyError:
        return 'k'
    finally:
        a = 0
    raise ValueError(a)
def g(a):
    for i in range(a):
        try: yield i
        finally: a -= 1
    return (yield from g(a - 1) if a > 1 else iter([7]))
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in 3.12")
@pytest.mark.parametrize("features", [Features(), Features(threshold=True)])
@pytest.mark.parametrize("before", [True, False])
def test_tools_of_sys_monitoring_are_told_the_same(features, before):
    def events(apply):
        space = {}
        exec(compile(MONITORED, "<shop>", "exec"), space)
        monitoring = sys.monitoring
        kinds = ["LINE", "PY_START", "PY_RETURN", "PY_YIELD", "PY_RESUME", "PY_UNWIND", "PY_THROW", "RAISE"]
        seen = []

        def patch_both():
            for name in "fg":
                Spy().on(space[name], features)

        def callback(kind):
            def told(code, *rest):
                if code.co_filename == "<shop>":
                    seen.append((kind, code.co_name, *(rest[:1] if kind == "LINE" else ())))

            return told

        if apply and before:
            patch_both()
        monitoring.use_tool_id(2, "test")
        try:
            for kind in kinds:
                monitoring.register_callback(2, getattr(monitoring.events, kind), callback(kind))
            monitoring.set_events(2, sum(getattr(monitoring.events, kind) for kind in kinds))
            if apply and not before:
                patch_both()
            for a in (1, 5, 1, 12):
                with contextlib.suppress(ValueError):
                    space["f"](a)
                list(space["g"](a))
            for end in ("throw", "close"):
                generator = space["g"](3)
                next(generator)
                with contextlib.suppress(OSError):
                    getattr(generator, end)(*([OSError()] if end == "throw" else []))
            monitoring.set_events(2, 0)
        finally:
            monitoring.free_tool_id(2)
        return seen

    assert events(True) == events(False)
