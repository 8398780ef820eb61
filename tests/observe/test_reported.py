"""One failure is one event, whatever way it takes through monitored calls; and an object raised anew is another one."""

import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Watch, module, monitor

from agent.observe.failure import reported

#: What a program may be made of: how a call deals with what it calls. `{call}` is a call of the next step.
PLAIN = {
    "passes": "return {call}",
    "swallows": "try: return {call}\nexcept Failure: return None",
    "raises again": "try: return {call}\nexcept Failure: raise",
    "raises it again": "try: return {call}\nexcept Failure as error: raise error",
    "forgets the traceback": "try: return {call}\nexcept Failure as error: raise error.with_traceback(None)",
    "keeps it for later": "kept = None\ntry: return {call}\nexcept Failure as error: kept = error\nraise kept",
    "says it otherwise": "try: return {call}\nexcept Failure as error: raise failing(error) from error",
    "says it in its handler": "try: return {call}\nexcept Failure as error: raise failing(error)",
    "fails for itself": "try: return {call}\nexcept Failure: raise failing() from None",
    "reports and swallows": "try: return {call}\nexcept Failure as error: by_hand(error)",
    "reports and raises": "try: return {call}\nexcept Failure as error:\n  by_hand(error)\n  raise",
    "cleans up": "try: return {call}\nfinally: str(1)",
    "tries twice": "for last in (0, 1):\n  try: return {call}\n  except Failure:\n    if last: raise",
    "calls twice": "try: {call}\nexcept Failure: pass\nreturn {call}",
    "in a unit": "with unit(): return {call}",
    "in units": "with unit(), cleaning(), unit(): return {call}",
    "in a class": "with Unit(): return {call}",
    "in a stack": "with contextlib.ExitStack() as stack:\n  stack.enter_context(unit())\n  return {call}",
    "in a decorated one": "@unit()\ndef inner(): return {call}\nreturn inner()",
    "through a generator": "def rows():\n  yield 1\n  yield {call}\nreturn list(rows())",
    "through a monitored generator": "return list(rows(lambda: {call}))",
    "delegates": "def outer(): yield from rows(lambda: {call})\nreturn list(outer())",
    "through map": "return list(map(lambda _: {call}, [1]))",
    "in a thread": "return pool.submit(lambda: {call}).result()",
    "in threads": "return list(pool.map(lambda _: {call}, [1]))",
    "recurses": "def down(n): return down(n - 1) if n else {call}\nreturn down(3)",
    "in a loop of tasks": "async def inner(): return {call}\nreturn pool.submit(lambda: asyncio.run(gathering(inner))).result()",
}
ASYNC = {
    "passes": "return await {call}",
    "swallows": "try: return await {call}\nexcept Failure: return None",
    "raises it again": "try: return await {call}\nexcept Failure as error: raise error",
    "keeps it for later": "kept = None\ntry: return await {call}\nexcept Failure as error: kept = error\nraise kept",
    "says it otherwise": "try: return await {call}\nexcept Failure as error: raise failing(error) from error",
    "reports and raises": "try: return await {call}\nexcept Failure as error:\n  by_hand(error)\n  raise",
    "waits": "await asyncio.sleep(0)\nreturn await {call}",
    "in a unit": "async with aunit(): return await {call}",
    "in units": "async with aunit(), aunit():\n  with unit(): return await {call}",
    "in a stack": "async with contextlib.AsyncExitStack() as stack:\n  await stack.enter_async_context(aunit())\n  return await {call}",
    "as a task": "return await asyncio.ensure_future({call})",
    "gathered": "return await asyncio.gather({call}, asyncio.sleep(0))",
    "waited for": "return await asyncio.wait_for({call}, 60)",
    "shielded": "return await asyncio.shield(asyncio.ensure_future({call}))",
    "in a thread": "return await asyncio.get_running_loop().run_in_executor(pool, lambda: asyncio.run({call}))",
    "through a generator": "async def rows():\n  yield 1\n  yield await {call}\nreturn [row async for row in rows()]",
    "through a monitored generator": "return [row async for row in arows(lambda: {call})]",
}
ROOT = """
import asyncio, concurrent.futures, contextlib, itertools
numbers = itertools.count()
class Failure(Exception): pass
class Slotted(Failure): __slots__ = ()
left, by_hands = set(), set()
def failing(error=None):
    number = next(numbers) if error is None else error.args[0]
    return (Failure, Slotted)[number % 2](number)
def leaves(error): left.add(error.args[0])
@contextlib.contextmanager
def cleaning():
    try: yield
    finally: str(1)
@contextlib.contextmanager
def unit():
    try: yield
    except Failure as error:
        leaves(error)
        raise
@contextlib.asynccontextmanager
async def aunit():
    try: yield
    except Failure as error:
        leaves(error)
        await asyncio.sleep(0)
        raise
class Unit:
    def __enter__(self): return self
    def __exit__(self, kind, error, traceback):
        if error is not None:
            leaves(error)
            raise error
def rows(call):
    yield 1
    try: yield call()
    except Failure as error:
        leaves(error)
        raise
async def arows(call):
    yield 1
    try: yield await call()
    except Failure as error:
        leaves(error)
        raise
async def gathering(inner): return await asyncio.gather(inner(), asyncio.sleep(0))
"""
MONITORED = ["unit", "aunit", "Unit.__exit__", "rows", "arows"]


def program(steps):
    """Source of functions that call one another: each step is (what it does, is it monitored). Below is what fails."""
    lines, names = [ROOT], list(MONITORED)
    below, waits = "fails", False
    lines.append("def fails(): raise failing()\n")
    for number, (kind, what, watched) in enumerate(reversed(steps)):
        if kind == "async":
            if not waits:
                lines.append(f"async def a{number}(): return {below}()\n")
                below, waits = f"a{number}", True
            body = ASYNC[what]
        else:
            if waits:
                lines.append(f"def s{number}(): return pool.submit(lambda: asyncio.run({below}())).result()\n")
                below, waits = f"s{number}", False
            body = PLAIN[what]
        name = f"step{number}"
        lines.append(("async " if waits else "") + f"def {name}():")
        body = body.format(call=below + "()")
        if watched:
            names.append(name)
            indented = "\n".join("    " + line for line in body.splitlines())
            body = f"try:\n{indented}\nexcept Failure as error:\n    leaves(error)\n    raise"
        lines += ["    " + line for line in body.splitlines()]
        below = name
    lines.append(f"def run(): return asyncio.run({below}())" if waits else f"def run(): return {below}()")
    return "\n".join(lines), names


steps = st.one_of(
    st.tuples(st.just("plain"), st.sampled_from(sorted(PLAIN)), st.booleans()),
    st.tuples(st.just("async"), st.sampled_from(sorted(ASYNC)), st.booleans()),
)


def is_known(way):
    """Except for what counts as two failures in docs/limits.md."""
    kinds = [what for _, what, _ in way]
    if kinds.count("in a class") > 1:
        return False
    others = ("in a thread", "in threads", "in a loop of tasks", "says it in its handler")
    return "forgets the traceback" not in kinds or not any(kind == "async" or what in others for kind, what, _ in way)


@pytest.mark.slow(reason="a large space: 200 examples")
@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(steps, min_size=1, max_size=7).filter(is_known))
def test_a_failure_that_leaves_a_monitored_call_or_is_reported_by_hand_is_one_event(pool, way):
    source, names = program(way)
    seen = []

    def by_hand(error):
        shop.by_hands.add(error.args[0])
        if not reported.is_reported_within(error, error.__traceback__):
            seen.append(error.args[0])
            reported.remember(error, error.__traceback__)

    shop = module(source, pool=pool, by_hand=by_hand)
    watch = Watch(*(monitor(f"shop.{name}") for name in names)).apply(shop)
    for _ in range(2):
        try:
            shop.run()
        except shop.Failure:
            pass
    seen += [each.exception.args[0] for each in watch.observed]
    assert Counter(seen) == Counter(shop.left | shop.by_hands), source[len(ROOT) :]


@pytest.fixture(scope="module")
def pool():
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(16) as made:
        yield made


CONSTANTS = """
import asyncio, contextlib
class Denied(Exception): pass
ERROR = {error}
def check(): raise ERROR
def helper(): raise ERROR
def above(): helper()
async def acheck(): raise ERROR
async def ahelper(): raise ERROR
async def aabove(): await ahelper()
async def endpoint(call):
    await asyncio.sleep(0)
    return await call()
def cleared(): raise ERROR.with_traceback(None)
@contextlib.contextmanager
def unit():
    try: yield
    except Exception: raise
def with_unit():
    with unit(): helper()
"""


@pytest.mark.parametrize("error", ["Denied('x')", "ValueError('x')"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_object_that_is_raised_anew_is_another_failure(pool, error, elsewhere):
    import asyncio

    shop = module(CONSTANTS.format(error=error))
    names = ["check", "above", "acheck", "aabove", "cleared", "unit", "with_unit"]
    watch = Watch(*(monitor(f"shop.{name}") for name in names)).apply(shop)
    plain = [shop.check, shop.above, shop.cleared, shop.with_unit]
    calls = plain + [lambda each=each: asyncio.run(shop.endpoint(each)) for each in (shop.acheck, shop.aabove)]
    for number, call in enumerate(calls * 3, 1):
        with pytest.raises((shop.Denied, ValueError)):
            pool.submit(call).result() if elsewhere else call()
        assert len(watch.observed) == number


def test_what_is_remembered_keeps_nothing_of_the_host_alive_and_does_not_grow(monkeypatch):
    import weakref

    monkeypatch.setattr(reported, "known", {})
    monkeypatch.setattr(reported, "bound", reported.FEWEST)

    class Thing:
        pass

    shop = module("def fails(thing, kind): raise kind(thing)\n", Denied=type("Denied", (Exception,), {}))
    watch = Watch(monitor("shop.fails")).apply(shop)
    gone = []
    for number in range(1_000):
        thing = Thing()
        gone.append(weakref.ref(thing))
        with pytest.raises((shop.Denied, ValueError)):
            shop.fails(thing, shop.Denied if number % 2 else ValueError)
        watch.observed.clear()
    del thing
    assert [each() for each in gone] == [None] * 1_000
    assert len(reported.known) <= reported.FEWEST


def test_what_could_not_be_written_is_reported_further_out():
    shop = module("def inner(): raise ValueError\ndef outer(): inner()\n")
    Watch(monitor("shop.inner"), monitor("shop.outer")).apply(shop)
    seen = []

    def report(observation):
        seen.append(observation.operation)
        return "id" if observation.operation == "outer" else None

    for terms in {each.owner.terms for each in layers(shop.inner, shop.outer)}:
        terms.report = report
    with pytest.raises(ValueError):
        shop.outer()
    assert seen == ["inner", "outer"]


def test_what_a_limit_holds_back_is_held_back_further_out_as_well():
    shop = module("def inner(): raise ValueError\ndef outer(): inner()\n")
    watch = Watch(monitor("shop.inner", rate_limit=(1, 3600)), monitor("shop.outer")).apply(shop)
    for _ in range(5):
        with pytest.raises(ValueError):
            shop.outer()
    assert watch.reports() == [("error", "inner", "error")]
    assert watch.counted == {("rate", "shop.inner"): 4}


RECURSION = """
def tree(n): return tree(n + 1)
PARTS = {"desk": [("leg", 4), ("top", 1)], "leg": [], "top": [("desk", 1)]}
def explode(article, quantity):
    found = {article: quantity}
    for part, number in PARTS[article]:
        for name, many in explode(part, number * quantity).items(): found[name] = many
    return found
class Node:
    def __getattr__(self, name): return self.missing
def missing(): return Node().x
def ends(): return tree(0)
"""


@pytest.mark.parametrize(
    ("call", "name"), [("tree(0)", "tree"), ("explode('desk', 1)", "explode"), ("Node().x", "Node.__getattr__"),
                       ("ends()", "tree")],
)  # fmt: skip
def test_a_recursion_without_end_is_one_event(call, name):
    shop = module(RECURSION)
    watch = Watch(*(monitor(f"shop.{each}") for each in ("tree", "explode", "Node.__getattr__", "ends"))).apply(shop)
    for _ in range(2):
        with pytest.raises(RecursionError):
            eval(call, shop.__dict__)
    assert [item.function for item in watch.observed] == [f"shop.{name}"] * 2
    assert [type(item.exception) for item in watch.observed] == [RecursionError] * 2


def test_the_reason_of_a_new_failure_may_be_an_old_one():
    """A circuit breaker gives the last failure as its reason each time."""
    shop = module(
        "last = None\n"
        "class Open(Exception): pass\n"
        "def backend(): raise ValueError\n"
        "def asks():\n"
        "  global last\n"
        "  if last is not None: raise Open from last\n"
        "  try: backend()\n"
        "  except ValueError as error: last = error\n"
    )
    watch = Watch(monitor("shop.backend"), monitor("shop.asks")).apply(shop)
    shop.asks()
    for _ in range(3):
        with pytest.raises(shop.Open):
            shop.asks()
    assert [each[1] for each in watch.reports()] == ["backend", "asks", "asks", "asks"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with 3.11")
def test_a_group_that_holds_another_one_again_and_again():
    shop = module("def fails(error): raise error\ndef outer(error): fails(error)\n")
    group = ValueError(1)
    for _ in range(40):
        group = ExceptionGroup("twice", [group, group])  # noqa: F821
    watch = Watch(monitor("shop.fails", expect=["KeyError"]), monitor("shop.outer")).apply(shop)
    with pytest.raises(ExceptionGroup):  # noqa: F821
        shop.outer(group)
    assert watch.reports() == [("error", "fails", "error")]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with 3.11")
def test_what_is_expected_of_a_large_group_is_not_what_nobody_has_looked_at():
    shop = module("def fails(error): raise error\n")
    watch = Watch(monitor("shop.fails", expect=["KeyError"])).apply(shop)
    usual = [KeyError(number) for number in range(100)]
    for members in (usual, [*usual, ValueError(1)]):
        with pytest.raises(ExceptionGroup):  # noqa: F821
            shop.fails(ExceptionGroup("many", members))  # noqa: F821
    assert watch.reports() == [("error", "fails", "error")]


def layers(*functions):
    from agent.hook.code import patch

    return [layer for function in functions for layer in patch.layers_of(function)]
