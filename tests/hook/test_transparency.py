"""What Python and its libraries make of functions is made of patched ones too: they look, sort, pickle and recurse the same."""

import asyncio
import bdb
import dataclasses
import functools
import gc
import importlib
import inspect
import multiprocessing
import sys
import threading
import time
import types
import typing

import pytest
from support import Watch, module, monitor

from agent.hook.code import patch

pytestmark = pytest.mark.usefixtures("how")

WAYS = [{}, {"thresholds": [[5.0, "warning"]]}, {"rules": [("result == 'never'", "m", "warning")]}]


def fails(call, *args):
    with pytest.raises(ValueError):
        call(*args)


# Those who look.

#: What they hold: options parsers, coroutines and asynchronous generators, generated classes, generics, decorators.
LOOKED_AT = [
    "argparse",
    "asyncio.streams",
    "contextlib",
    "dataclasses",
    "email.message",
    "fractions",
    "typing",
    "weakref",
]


def facts(function):
    """All that inspect, typing and pydoc tell of a function."""
    answers = []
    for ask in (
        inspect.signature, inspect.getfullargspec, inspect.getsource, inspect.getsourcelines, inspect.getfile,
        inspect.getmodule, inspect.getdoc, inspect.getclosurevars, inspect.unwrap, inspect.isfunction,
        inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction, inspect.isroutine,
        asyncio.iscoroutinefunction, typing.get_type_hints, hash, repr,
    ):  # fmt: skip
        try:
            answers.append((ask.__name__, ask(function)))
        except Exception as error:
            answers.append((ask.__name__, type(error)))
    names = ("name", "qualname", "module", "doc", "dict", "defaults", "kwdefaults", "annotations", "closure", "globals")
    code = ("co_name", "co_filename", "co_firstlineno", "co_argcount", "co_posonlyargcount", "co_kwonlyargcount",
            "co_freevars", "co_cellvars")  # fmt: skip
    answers += [(name, getattr(function, f"__{name}__")) for name in names if name != "globals"]
    answers += [(name, getattr(function.__code__, name)) for name in code if name != "co_cellvars"]
    return answers


def functions_of(name):
    holder = importlib.import_module(name)
    found = {}
    for path, value in list(vars(holder).items()):
        if isinstance(value, types.FunctionType) and value.__module__ == name:
            found[path] = value
        elif isinstance(value, type) and value.__module__ == name:
            found.update(
                {f"{path}.{key}": item for key, item in vars(value).items() if type(item) is types.FunctionType}
            )
    return holder, found


@pytest.mark.slow(reason="patches whole libraries")
@pytest.mark.parametrize("name", LOOKED_AT)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_inspect_tells_of_real_functions_stays(name):
    holder, functions = functions_of(name)
    before = {path: facts(function) for path, function in functions.items()}
    codes = {path: function.__code__ for path, function in functions.items()}
    watch = Watch(monitor(*(f"{name}:{path}" for path in functions), thresholds=[[5.0, "warning"]]))
    watch.applier.imported(name, holder)
    try:
        changed = [path for path, function in functions.items() if function.__code__ is not codes[path]]
        for path in changed:
            around = patch.trampoline_of(functions[path].__code__) is not None
            for (what, expected), (_, got) in zip(before[path], facts(functions[path])):
                # A trampoline looks up no globals: docs/limits.md.
                assert got == expected or (what == "getclosurevars" and around), (path, what)
    finally:
        watch.undo()
    assert len(changed) >= 10
    assert all(function.__code__ is codes[path] for path, function in functions.items())


class _Debugger(bdb.Bdb):
    def __init__(self):
        super().__init__()
        self.lines = []

    def user_line(self, frame):
        if frame.f_code.co_filename == "<shop>":
            self.lines.append((frame.f_lineno, sorted(frame.f_locals.items())))
        self.set_continue()


@pytest.mark.parametrize("settings", WAYS)
@pytest.mark.parametrize("order", ["debugger first", "monitor first", "monitor alone"])
def test_a_debugger_stops_at_the_same_lines_with_the_same_variables(settings, order, how, monkeypatch):
    if how == "trampoline" and order == "monitor alone":
        pytest.skip("a debugger that steps stops in the trampoline first: docs/limits.md")
    monkeypatch.setattr(bdb.Breakpoint, "bplist", {})
    monkeypatch.setattr(bdb.Breakpoint, "bpbynumber", [None])

    def stops(paths):
        shop = module("def f(a):\n b = a + 1\n for c in range(2):\n  b += c\n return b\n")
        debugger = _Debugger()
        watch = Watch(*(monitor(path, **settings) for path in paths))
        watch.clock = time.perf_counter
        if order != "debugger first":
            watch.apply(shop)
        if order != "monitor alone":  # then it steps, and stops at the first line that it meets
            bdb.Breakpoint(debugger.canonic("<shop>"), 4)
            debugger.breaks[debugger.canonic("<shop>")] = [4]
        if order == "debugger first":
            watch.apply(shop)
        before = sys.gettrace()
        try:
            answer = debugger.runcall(shop.f, 1)
        finally:
            sys.settrace(before)
        watch.undo()
        return answer, [stop for stop in debugger.lines if how == "injected" or stop[0] == 4]

    plain = stops([])
    assert plain[0] == 3 and len(plain[1]) >= 1
    assert stops(["shop.f"]) == plain


# What the standard library makes of functions.

MADE = """
import dataclasses, functools, typing, abc
@typing.runtime_checkable
class Closes(typing.Protocol):
    def close(self): ...
    def twice(self): return [self.close(), self.close()]
class File(Closes):
    def close(self): return "closed"
class Duck:
    def close(self): raise ValueError("duck")
    def twice(self): return 2
class Named:
    def __set_name__(self, owner, name): self.name = name
    def __get__(self, instance, owner=None):
        if instance is None: return self
        raise ValueError(self.name)
    def __set__(self, instance, value): instance.__dict__[self.name] = value
class Uses:
    field = Named()
class Shown:
    @functools.singledispatchmethod
    def show(self, x): return "any"
    @show.register
    def _(self, x: int): raise ValueError("int")
    @functools.partialmethod
    def unused(self): return 1
class Slots:
    __slots__ = ("x",)
    def __init__(self, x): self.x = x
    def __reduce__(self): return Slots, (self.x,)
    def get(self): return self.x
class thing:
    def run(self): raise ValueError("lower case")
"""
SLOTS = """
@dataclasses.dataclass(slots=True, frozen=True)
class Point:
    x: int
    def __post_init__(self):
        if self.x < 0: raise ValueError("x")
    def me(self): return __class__, super().__hash__
"""


@pytest.mark.parametrize("settings", WAYS)
def test_protocols_descriptors_slots_and_dispatch(settings):
    modern = sys.version_info >= (3, 10)
    shop = module(MADE + (SLOTS if modern else ""))
    paths = ["Closes.twice", "File.close", "Duck.close", "Named.__get__", "Named.__set__", "Named.__set_name__", "Shown.show",
             "Slots.__init__", "Slots.get", "thing.run"]  # fmt: skip
    paths += ["Point.__post_init__", "Point.me"] if modern else []
    watch = Watch(monitor(*(f"shop.{path}" for path in paths), **settings)).apply(shop)
    assert [line for line in watch.records if line[0] != "patched"] == []
    assert isinstance(shop.Duck(), shop.Closes) and not isinstance(object(), shop.Closes)
    assert shop.File().twice() == ["closed", "closed"]
    uses = shop.Uses()
    uses.field = 5
    assert vars(uses) == {"field": 5} and type(shop.Uses.field) is shop.Named
    fails(lambda: uses.field)
    assert shop.Shown().show("x") == "any"
    fails(shop.Shown().show, 1)
    assert shop.Slots(3).get() == 3 and not hasattr(shop.Slots(3), "__dict__")
    fails(shop.thing().run)
    seen = 2
    if modern:
        assert dataclasses.replace(shop.Point(1), x=2).x == 2 and "__dict__" not in vars(shop.Point)
        fails(shop.Point, -1)
        seen += 1
    assert len(watch.observed) == seen


def _in_a_child(connection, function):
    connection.send(function(1, b=1))


def importable(a, *, b):
    return a + b


@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="not on this system")
def test_a_patched_function_in_a_process_of_a_forkserver(monkeypatch):
    monkeypatch.setenv("AGENT_DISABLED", "1")
    watch = Watch(monitor(f"{__name__}.importable")).apply(sys.modules[__name__])
    try:
        context = multiprocessing.get_context("forkserver")
        here, there = context.Pipe()
        process = context.Process(target=_in_a_child, args=(there, importable))
        process.start()
        assert here.poll(30) and here.recv() == 2
        process.join(30)
    finally:
        watch.undo()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated by the definition")
def test_deferred_annotations_are_evaluated_by_whoever_asks_first():
    shop = module(
        "evaluated = []\ndef kind():\n evaluated.append(1)\n return int\n"
        "def check(x: kind(), y: Undefined = 1): raise ValueError(x)\n"
        "class Order:\n total: kind()\n def post(self, x: kind()) -> kind(): raise ValueError(x)\n"
    )
    annotate = shop.check.__annotate__
    watch = Watch(monitor("shop.check", "shop.Order.*", capture={"x": "x"})).apply(shop)
    fails(shop.check, 1)
    fails(shop.Order().post, 1)
    assert (watch.reports(), shop.evaluated) == ([("error", "check", "error"), ("error", "post", "error")], [])
    assert shop.check.__annotate__ is annotate
    with pytest.raises(NameError, match="Undefined"):
        inspect.get_annotations(shop.check)
    assert inspect.get_annotations(shop.Order.post) == {"x": int, "return": int}


# Classes.


def test_an_override_that_fails_before_it_calls_the_monitored_method():
    shop = module(
        "class Doc:\n def post(self): return 'posted'\n"
        "class Invoice(Doc):\n def post(self):\n  if self: raise ValueError('early')\n  return super().post()\n"
    )
    watch = Watch(monitor("shop.Doc.post", operation="post", subclasses=True)).apply(shop)
    fails(shop.Invoice().post)
    assert watch.reports() == [("error", "post", "error")]


def test_a_class_that_a_registry_builds_anew_from_its_parts():
    """As ERPs assemble models: the class that was written is never used, but its functions are."""
    shop = module(
        "registry = {}\n"
        "class Meta(type):\n def __init__(cls, name, bases, space):\n  registry.setdefault(name, []).insert(0, cls)\n"
        "class Model(metaclass=Meta):\n def write(self): return 'base'\n"
        "class Order(Model):\n def write(self): raise ValueError('order')\n"
        "Extension = Meta('Order', (Model,), {'write': lambda self: super(Extension, self).write()})\n"
        "def build(name): return type(name, tuple(registry[name]), {})\n"
    )
    watch = Watch(monitor("shop.Order.write", operation="write")).apply(shop)
    built = shop.build("Order")
    assert built.__mro__[1:3] == (shop.Extension, shop.Order)
    fails(built().write)
    assert watch.reports() == [("error", "write", "error")]


# Calls.


def test_an_asynchronous_generator_that_is_dropped_half_way_is_no_failure():
    shop = module(
        "async def numbers():\n try:\n  for i in range(9): yield i\n finally:\n  CLOSED.append(1)\n", CLOSED=[]
    )
    watch = Watch(monitor("shop.numbers", thresholds=[[5.0, "warning"]])).apply(shop)

    async def main():
        async for number in shop.numbers():
            if number == 2:
                break
        gc.collect()
        await asyncio.sleep(0)
        await asyncio.get_running_loop().shutdown_asyncgens()

    asyncio.run(main())
    assert (shop.CLOSED, watch.observed) == ([1], [])


@pytest.mark.parametrize("settings", WAYS[:2])
def test_how_deep_a_monitored_recursion_goes(settings, how):
    shop = module("def f(n):\n global deepest\n deepest = n\n f(n + 1)\n")

    def depth():
        found = []

        def run():
            try:
                shop.f(0)
            except RecursionError:
                found.append(shop.deepest)

        thread = threading.Thread(target=run)  # the same few frames below it each time
        thread.start()
        thread.join()
        return found[0]

    plain = depth()
    watch = Watch(monitor("shop.f", **settings))
    watch.clock = time.perf_counter
    watch.apply(shop)
    got = depth()
    watch.undo()
    assert depth() == plain
    if how == "injected":
        assert plain == got
    else:
        assert plain // 2 - 2 <= got <= plain


def test_a_function_in_a_cache_a_partial_and_a_sorted_list_stays_the_key_that_it_was():
    shop = module("def f(a=1): return a\ndef g(): pass\n")
    table = {shop.f: "f", (shop.f, shop.g): "both"}
    cached = functools.lru_cache(maxsize=None)(lambda function: object())
    kept = cached(shop.f)
    partial = functools.partial(shop.f, 2)
    Watch(monitor("shop.f", "shop.g", thresholds=[[5.0, "warning"]])).apply(shop)
    assert (table[shop.f], table[shop.f, shop.g], cached(shop.f) is kept, partial()) == ("f", "both", True, 2)
