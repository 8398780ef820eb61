"""Beside whoever else changes functions, copies them, or looks at them; and for what Python itself makes of functions."""

import copy
import doctest
import functools
import gc
import inspect
import json
import multiprocessing
import pickle
import sys
import threading
import time
import types
import typing
import weakref
from unittest import mock

import pytest
from support import Watch, module, monitor

from agent.base.health import Health
from agent.hook.code import inject, patch
from agent.hook.targets import resolve
from agent.measure.tallies import Tallies
from agent.observe.call.probe import Probe
from agent.observe.call.terms import Terms

pytestmark = pytest.mark.usefixtures("how")

WAYS = [{}, {"thresholds": [[5.0, "warning"]]}, {"rules": [("result == 'never'", "m", "warning")]}]

SHOP = """
def f(a=1, *, b=2):
    "Adds.\\n\\n    >>> f(1, b=1)\\n    2\\n    "
    if a is None: raise ValueError(b)
    return a + b
class Thing:
    def method(self, a): return self, a
    def fail(self): raise ValueError(1)
"""


def watched(source=SHOP, *paths, **settings):
    shop = module(source)
    return shop, Watch(monitor(*(paths or ("shop.f", "shop.Thing.method", "shop.Thing.fail")), **settings)).apply(shop)


def fails(call, *args):
    with pytest.raises(ValueError):
        call(*args)


# Others who patch.


def wrap_with_functools(shop):
    original = shop.f

    @functools.wraps(original)
    def wrapper(*args, **kwargs):
        return original(*args, **kwargs)

    shop.f = wrapper
    return lambda: setattr(shop, "f", original)


def wrap_with_mock(shop):
    patcher = mock.patch.object(shop, "f", wraps=shop.f)
    patcher.start()
    return patcher.stop


def wrap_with_wrapt(shop):
    wrapt = pytest.importorskip("wrapt")
    original = shop.f
    wrapt.wrap_function_wrapper(shop, "f", lambda wrapped, instance, args, kwargs: wrapped(*args, **kwargs))
    return lambda: setattr(shop, "f", original)


def wrap_with_sentry(shop):
    sentry_sdk = pytest.importorskip("sentry_sdk")
    original = shop.f
    shop.f = sentry_sdk.trace(original)
    return lambda: setattr(shop, "f", original)


def swap_the_code(shop):
    """As debuggers and other agents of our kind do."""
    function = shop.f
    before = function.__code__
    inner = types.FunctionType(before, function.__globals__, "f", function.__defaults__, function.__closure__)
    inner.__kwdefaults__ = function.__kwdefaults__
    shop.__dict__["_inner"] = inner
    space = {}
    exec("def f(a=1, *, b=2): return _inner(a, b=b)", shop.__dict__, space)
    function.__code__ = space["f"].__code__
    return lambda: setattr(function, "__code__", before)


OTHERS = [wrap_with_functools, wrap_with_mock, wrap_with_wrapt, wrap_with_sentry, swap_the_code]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("order", ["we first, we out first", "we first, they out first", "they first, we out first",
                                   "they first, they out first"])  # fmt: skip
def test_somebody_else_before_or_after_and_undone_in_any_order(other, order):
    shop = module(SHOP)
    function, code = shop.f, shop.f.__code__
    watch = Watch(monitor("shop.f", "shop._inner"))
    if order.startswith("we first"):
        watch.apply(shop)
        undo = other(shop)
    else:
        undo = other(shop)
        watch.apply(shop)
    assert shop.f(1, b=5) == 6
    fails(shop.f, None)
    assert len(watch.observed) == 1 or isinstance(shop.f, mock.Mock)
    if order.endswith("we out first"):
        watch.undo()
        assert shop.f(1, b=5) == 6
        undo()
    else:
        undo()
        assert shop.f(1, b=5) == 6
        watch.undo()
    assert shop.f is function
    assert shop.f(1, b=5) == 6
    if other is not swap_the_code:
        assert shop.f.__code__ is code
    seen = len(watch.observed)
    fails(shop.f, None)
    if other is not swap_the_code:
        assert len(watch.observed) == seen


def test_coverage_sees_the_same_lines(tmp_path):
    coverage = pytest.importorskip("coverage")
    file = tmp_path / "shop.py"
    file.write_text(
        "def f(a):\n    if a:\n        b = 1\n    else:\n        b = 2\n    for i in range(2):\n        b += i\n    return b\n"
    )

    def run(apply):
        cov = coverage.Coverage(data_file=None, branch=True, include=[str(tmp_path / "*")])
        shop = types.ModuleType("shop")
        sys.modules["shop"] = shop
        cov.start()
        exec(compile(file.read_text(), str(file), "exec"), shop.__dict__)
        if apply:
            Watch(monitor("shop.f", thresholds=[[5.0, "warning"]])).apply(shop)
        shop.f(1)
        cov.stop()
        data = cov.get_data()
        return [sorted(data.lines(name)) for name in data.measured_files()], [
            sorted(data.arcs(name)) for name in data.measured_files()
        ]

    expected, got = run(False), run(True)
    if inject.AVAILABLE:
        assert got == expected
    else:
        assert got[0] == expected[0]


@pytest.mark.parametrize("settings", WAYS)
def test_a_tracer_sees_the_same_events(settings, how):
    if how == "trampoline":
        pytest.skip("a trampoline is a call more: docs/limits.md")

    def events(shop):
        seen = []

        def trace(frame, event, arg):
            if frame.f_code.co_filename == "<shop>":
                seen.append((event, frame.f_lineno))
                return trace
            return None

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            shop.f(1)
            with pytest.raises(ValueError):
                shop.f(None)
            list(shop.g(2))
        finally:
            sys.settrace(before)
        return seen

    source = SHOP + "def g(n):\n for i in range(n):\n  yield i\n return 1\n"
    plain = events(module(source))
    shop, _ = watched(source, "shop.f", "shop.g", **settings)
    got = events(shop)
    if sys.version_info < (3, 10):  # is told of every handler; ours stands on the line of `def`: docs/limits.md
        first = shop.f.__code__.co_firstlineno
        assert got.count(("line", first)) == 1
        failed = got.index(("line", first))
        assert (got[failed + 1], plain[failed][0]) == (("return", first), "return")
        got[failed : failed + 2] = [plain[failed]]
    assert got == plain


# Copies.


@pytest.mark.parametrize("settings", WAYS)
def test_copies_pickles_and_weak_references(settings):
    shop, _ = watched(**settings)
    assert copy.copy(shop.f) is shop.f
    assert copy.deepcopy([shop.f]) == [shop.f]
    assert pickle.loads(pickle.dumps(shop.f)) is shop.f
    assert weakref.ref(shop.f)() is shop.f
    bound = shop.Thing().method
    assert bound == copy.copy(bound)
    assert {shop.f: 1}[shop.f] == 1


@pytest.mark.parametrize("settings", WAYS)
def test_cloudpickle_by_value_gives_a_function_that_needs_nothing_of_ours(settings):
    cloudpickle = pytest.importorskip("cloudpickle")
    shop, watch = watched(**settings)
    cloudpickle.register_pickle_by_value(shop)
    try:
        data = cloudpickle.dumps((shop.f, shop.Thing))
    finally:
        cloudpickle.unregister_pickle_by_value(shop)
    assert b"agent" not in data
    f, thing = pickle.loads(data)
    assert f is not shop.f
    assert f(1, b=3) == 4
    fails(f, None)
    fails(thing().fail)
    assert watch.observed == []


def _in_a_child(queue, function):
    try:
        queue.put(function(1, b=1))
    except BaseException as error:
        queue.put(repr(error))


def importable(a, *, b):
    return a + b


@pytest.mark.parametrize("method", [m for m in ("fork", "spawn") if m in multiprocessing.get_all_start_methods()])
def test_multiprocessing(method, monkeypatch):
    monkeypatch.setenv("AGENT_DISABLED", "1")
    watch = Watch(monitor(f"{__name__}.importable")).apply(sys.modules[__name__])
    try:
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=_in_a_child, args=(queue, importable))
        process.start()
        assert queue.get(timeout=30) == 2
        process.join(30)
    finally:
        watch.undo()


# Those who look.


@pytest.mark.parametrize("settings", WAYS)
def test_autospec_doctest_signature_hints_and_singledispatch(settings):
    source = SHOP + (
        "import functools\n@functools.singledispatch\ndef show(x: 'int', y: list = None) -> 'str': return 'any'\n"
        "@show.register\ndef _show_int(x: int, y=None): return 'int'\n"
    )
    shop, _ = watched(source, "shop.f", "shop.show", "shop._show_int", "shop.Thing.method", **settings)
    spec = mock.create_autospec(shop.f)
    spec(1, b=2)
    with pytest.raises(TypeError):
        spec(1, 2, 3)
    results = doctest.DocTestRunner(verbose=False)
    for test in doctest.DocTestFinder().find(shop.f, "f", globs=vars(shop)):
        results.run(test)
    assert results.summarize(verbose=False) == (0, 1)
    assert (shop.show("x"), shop.show(1)) == ("any", "int")
    assert typing.get_type_hints(shop.show) == {"x": int, "y": list, "return": str}
    assert str(inspect.signature(shop.f)) == "(a=1, *, b=2)"


MODERN = """
import abc, dataclasses, enum, typing, functools
registry = {}
class Meta(type):
    def __new__(mcs, name, bases, space):
        cls = super().__new__(mcs, name, bases, dict(space))
        registry[name] = cls
        return type.__new__(mcs, name + "Rebuilt", bases, {**space, "rebuilt": True})
class Model(metaclass=Meta):
    def save(self): raise ValueError("save")
class Base(abc.ABC):
    def __init_subclass__(cls, **kw):
        super().__init_subclass__(**kw)
        cls.made = True
    @abc.abstractmethod
    def work(self): raise ValueError("abstract")
    @classmethod
    def name(cls): return cls.__name__
class Worker(Base):
    __slots__ = ("x",)
    def work(self): return super().work()
@dataclasses.dataclass(order=True)
class Point:
    x: int
    def __post_init__(self):
        if self.x < 0: raise ValueError("x")
    def norm(self): return abs(self.x)
class Colour(enum.Enum):
    RED = 1
    def shade(self): return self.name.lower()
    @classmethod
    def _missing_(cls, value): raise ValueError("no colour")
class Closes(typing.Protocol):
    def close(self) -> None: ...
class File:
    def close(self): raise ValueError("close")
class Product:
    def add_product(self): raise ValueError("add")
    add = add_product
    @property
    def price(self): return 5
    @price.setter
    def price(self, value): raise ValueError("price")
@functools.total_ordering
class Version:
    def __init__(self, n): self.n = n
    def __eq__(self, other): return self.n == other.n
    def __lt__(self, other): return self.n < other.n
@functools.lru_cache(maxsize=None)
def cached(n): return [n]
"""


@pytest.mark.parametrize("settings", WAYS)
def test_classes_of_every_making(settings):
    paths = ["Model.save", "Base.work", "Base.name", "Base.__init_subclass__", "Worker.work", "Point.__post_init__", "Point.norm",
             "Colour.shade", "Colour._missing_", "File.close", "Product.add_product", "Product.price", "Version.__lt__",
             "cached"]  # fmt: skip
    shop, watch = watched(MODERN, *(f"shop.{path}" for path in paths), **settings)
    assert [line for line in watch.records if line[0] != "patched"] == []
    fails(shop.registry["Model"]().save)
    fails(shop.Model().save)
    assert len(watch.observed) == 2
    assert shop.Base.__abstractmethods__ == {"work"}
    with pytest.raises(TypeError):
        shop.Base()
    assert shop.Worker.name() == "Worker"
    fails(shop.Worker().work)
    assert type("Late", (shop.Base,), {}).made
    assert sorted([shop.Point(2), shop.Point(1)])[0] == shop.Point(1)
    fails(shop.Point, -1)
    assert shop.Colour.RED.shade() == "red"
    fails(shop.Colour, 7)
    fails(shop.File().close)
    fails(shop.Product().add)
    assert shop.Product().price == 5
    assert max(shop.Version(1), shop.Version(2)).n == 2
    assert shop.cached(1) is shop.cached(1)
    operations = [item.operation for item in watch.observed]
    assert operations.count("add_product") == 1


# What the agent itself uses.


def test_functions_that_the_agent_itself_uses_are_monitored_without_recursion():
    seen = []
    import linecache
    import os.path

    watch = Watch(
        monitor("json.dumps", "json.encoder.JSONEncoder.default", thresholds=[[0, "warning"]], name="json"),
        monitor("linecache.getlines", thresholds=[[0, "warning"]], name="lines"),
        monitor("os.path.join", thresholds=[[0, "warning"]], name="join"),
        monitor("threading.Condition.notify", thresholds=[[0, "warning"]], name="notify"),
    )

    def report(observation):
        seen.append(observation.operation)
        json.dumps({"a": 1})
        linecache.getlines(__file__)
        os.path.join("a", "b")
        condition = threading.Condition()
        with condition:
            condition.notify()

    watch.observed = types.SimpleNamespace(append=report)
    watch.clock = time.perf_counter
    try:
        for each in (json, linecache, os, threading):
            watch.apply(each)
        json.dumps({})
        os.path.join("a")
        fails_with_type_error(json.dumps, object())
        assert seen.count("dumps") == 2
    finally:
        watch.undo()


def fails_with_type_error(call, *args):
    with pytest.raises(TypeError):
        call(*args)


def test_compiled_functions_that_the_agent_uses_stay_what_they_are_to_the_agent():
    shop = module(
        "from time import perf_counter\nfrom _thread import allocate_lock\nlock = allocate_lock()\nopen = open\n"
    )
    watch = Watch(
        monitor("shop.perf_counter"), monitor("shop.open", name="open"), monitor("shop.lock.acquire", name="l")
    )
    watch.apply(shop)
    assert shop.perf_counter() > 0
    with pytest.raises(OSError):
        shop.open("/nowhere/at/all")
    assert watch.reports() == [("error", "open", "error")]
    assert [line[0] for line in watch.records] == ["patched", "patched", "failed"]


# Stress.


@pytest.mark.slow(reason="threads call for a second")
def test_applied_and_undone_while_others_call():
    """No call is lost, doubled, or answered wrongly, whichever code it met."""
    shop = module(
        "def f(a, b=2):\n return a + b\ndef g(n):\n for i in range(n): yield i\n"
        "async def c(a):\n return a\ndef bad():\n raise ValueError(1)\n"
    )
    codes = [each.__code__ for each in (shop.f, shop.g, shop.c, shop.bad)]
    stop = False
    calls = [0, 0, 0]
    wrong = []

    def call(number):
        while not stop:
            try:
                coroutine = shop.c(3)
                try:
                    coroutine.send(None)
                except StopIteration as end:
                    assert end.value == 3
                assert shop.f(1) == 3
                assert list(shop.g(3)) == [0, 1, 2]
                try:
                    shop.bad()
                except ValueError:
                    pass
            except BaseException as error:
                wrong.append(error)
                return
            calls[number] += 1

    threads = [threading.Thread(target=call, args=(number,)) for number in range(3)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 1.0
        rounds = 0
        while (time.monotonic() < deadline or min(calls) < 20 or rounds <= 20) and not wrong:
            watch = Watch(monitor("shop.f", "shop.g", "shop.c", "shop.bad", **WAYS[rounds % 3])).apply(shop)
            watch.undo()
            rounds += 1
    finally:
        stop = True
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join()
    assert wrong == []
    assert rounds > 20
    assert [each.__code__ for each in (shop.f, shop.g, shop.c, shop.bad)] == codes
    assert all(each.__code__ is code for each, code in zip((shop.f, shop.g, shop.c, shop.bad), codes))


@pytest.mark.slow(reason="a million calls")
def test_a_million_calls_are_counted_once_each_while_another_monitor_comes_and_goes():
    """One monitor stays and counts; the code around it is made anew all the time, under the feet of those who call."""
    shop = module("def f(n, ran):\n ran[0] += 1\n if n % 64 == 63: raise KeyError(n)\n return n\n", name="shop")
    staying = Watch(monitor("shop.f", name="staying", expect=["KeyError"], thresholds=[[9e9, "warning"]]))
    staying.tallies = Tallies()
    staying.clock = time.perf_counter
    own = shop.f.__code__
    health = Health("", "")  # counts in one step too
    staying.count = health.count
    staying.apply(shop)
    coming = [
        Probe(
            Terms(monitor("shop.f", name="coming", expect=["KeyError"], **settings), report=print, count=lambda *_: None,
                  tallies=tallies),
            resolve.resolve(shop, "f"), shop.f,
        )
        for settings, tallies in (({}, None), ({"thresholds": [[9e9, "warning"]]}, Tallies()))
    ]  # fmt: skip
    threads, calls = 4, 250_000
    ran = [[0] for _ in range(threads)]
    wrong = []

    def call(number):
        f, mine, failed = shop.f, ran[number], 0
        for n in range(calls):
            try:
                if f(n, mine) != n:
                    wrong.append(n)
            except KeyError as error:
                failed += error.args == (n,)
        if failed != calls // 64:
            wrong.append(failed)

    running = [threading.Thread(target=call, args=(number,)) for number in range(threads)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    rounds = 0
    try:
        for thread in running:
            thread.start()
        while any(thread.is_alive() for thread in running):
            patch.patch_function(shop.f, coming[rounds % 2]).undo()
            rounds += 1
    finally:
        sys.setswitchinterval(interval)
        for thread in running:
            thread.join()
    assert wrong == []
    assert rounds > 20
    assert ran == [[calls]] * threads
    ((_, counts),) = staying.tallies.changes()
    assert (counts.calls, counts.failures, counts.expected) == (threads * calls, 0, threads * (calls // 64))
    assert health.counts == {("expected", "staying"): threads * (calls // 64)}
    staying.undo()
    assert shop.f.__code__ is own


@pytest.mark.slow(reason="a thousand rounds")
def test_a_thousand_rounds_leave_nothing_behind():
    shop = module("def f(): pass\n")
    data = monitor("shop.f", thresholds=[[1, "warning"]])

    def rounds(number):
        for _ in range(number):
            watch = Watch(data).apply(shop)
            shop.f()
            watch.undo()
        gc.collect()
        return len(gc.get_objects()), len(patch.trampoline_ids), len(patch.injected_ids), len(patch.patched)

    before = rounds(20)
    after = rounds(1000)
    assert after[0] - before[0] < 50
    assert after[1:] == before[1:]
