"""Functions that run so often that the interpreter specialises their code: with a monitor in them, all stays the same.

References are counted too. From 3.14 on a function lends its local variables to the stack, where the monitor copies them.
"""

import asyncio
import contextlib
import sys
import warnings
from types import FunctionType

import pytest
from test_inject import EVERY, Spy

from agent.hook.code import inject, patch

pytestmark = [
    pytest.mark.skipif(not inject.AVAILABLE, reason="this interpreter's bytecode is not injected into"),
    pytest.mark.skipif(sys.version_info < (3, 11), reason="nothing is specialised"),
]

SOURCE = """
class Shop:
    __slots__ = ("price",)
    def __init__(self, price): self.price = price
    def __enter__(self): return self
    def __exit__(self, *_): return False
    def total(self, number): return self.price + number
def same(a, b): return a
def changed(a, b):
    a = b
    return a
def chosen(a, b=None, *c, d=0, **e):
    if a and not c: return a
    return b if b else c or e or d
def constant(a, b): return 7
def large(a, b): return 70000
def nothing(a, b): pass
def subtracts(a, b): return len(a) - len(b)
def compares(a, b): return len(a) > len(b)
def loops(a, b):
    found = []
    for x, y in zip(a, b):
        if x == 3: continue
        found.append(x)
    else:
        found.append(b)
    return found
def leaves(a, b):
    for x in a:
        with Shop(x) as shop:
            if x > 1: return shop.total(x), b
def cleans(a, b):
    try: return a
    finally: len(b)
def fails(a, b): raise ERROR
def handles(a, b):
    try: fails(a, b)
    except ValueError as error: return error, a
def fails_deep(a, b):
    for x in a:
        with Shop(x): 1 / (x - 1)
def closes(a, b):
    def inner(): return a, b
    return inner()
def unpacks(a, b):
    (x, *y), z = a, b
    return {**dict(first=x), 'z': z}, [each for each in y if each in z]
def generates(a, b):
    try:
        for x in a: yield x
    finally: len(b)
    return b
def delegates(a, b):
    result = yield from generates(a, b)
    return result, a
async def waits(a, b):
    await asyncio.sleep(0)
    return a
async def waits_in_a_loop(a, b):
    async with Area() as area:
        async for x in anumbers(a): area.append((x, b))
    return area
async def anumbers(a):
    for x in a: yield x
class Area(list):
    async def __aenter__(self): return self
    async def __aexit__(self, *_): return False
def groups(a, b):
    try: raise ExceptionGroup('g', [ValueError(1), KeyError(2)])
    except* ValueError as group: return_value = len(group.exceptions)
    except* KeyError: b = a
    return return_value, b
"""
if sys.version_info >= (3, 12):
    SOURCE += "def generic[T](a: T, b: T) -> T: return f'{a!r} {f'{len(b)}'}'\n"
if sys.version_info >= (3, 14):
    SOURCE += """
def template(a, b): return list(t'{a} and {b!r:>9}').__len__()
def ends(a, b):
    while True:
        try: raise ERROR
        finally: return a
def either(a, b):
    try: return a[5]
    except IndexError, KeyError: return b
def annotated(a: Unknown, b: Unknown) -> Unknown: return a
"""

CALLS = 400


def rounds(space, name):
    """What each of many calls does, the objects themselves included."""
    function, a, b = space[name], space["A"], space["B"]
    kinds = function.__code__.co_flags & 0x2A0
    found = []
    for _ in range(CALLS):
        try:
            result = function(a, b)
            if kinds & 0x20:
                result = list(result)
            elif kinds & 0x80:
                result = asyncio.run(result) if not found else _finish(result)
        except (ValueError, ZeroDivisionError) as error:
            frames = []
            at = error.__traceback__.tb_next
            while at is not None:
                frames.append((at.tb_frame.f_code.co_name, at.tb_lineno))
                at = at.tb_next
            result = type(error), frames
        space["ERROR"].__traceback__ = None  # it would grow with each `raise`
        found.append((id(result) if result is a or result is b else repr(result), sys.exc_info()[1]))
    return found


def _finish(coroutine):
    try:
        while True:
            coroutine.send(None)
    except StopIteration as end:
        return end.value


def space_of():
    space = {"asyncio": asyncio, "ERROR": ValueError("x"), "A": [1, 2, 3], "B": [3, 4]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # `return` in `finally`
        exec(compile(SOURCE, "<shop>", "exec", dont_inherit=True), space)
    return space


def counts(space):
    return [sys.getrefcount(space[name]) for name in ("A", "B", "ERROR")]


@pytest.mark.parametrize("features", EVERY)
@pytest.mark.parametrize("slow", [False, True])
def test_many_calls_do_what_they_did_and_keep_nothing(features, slow):
    space = space_of()
    for name in [name for name, each in space.items() if isinstance(each, FunctionType) and name != "anumbers"]:
        spy = Spy(limit=-1.0 if slow else 99.0)
        before = counts(space)
        expected = rounds(space, name)
        assert counts(space) == before
        with contextlib.suppress(AssertionError):  # a kind that gets a trampoline with these features
            layer = spy.on(space[name], features)
            assert rounds(space, name) == expected, name
            spy.calls.clear()
            assert counts(space) == before, name
            layer.undo()
        assert patch.original_code(space[name]) is space[name].__code__


@pytest.mark.parametrize("features", EVERY)
def test_warm_code_that_gets_a_monitor_and_loses_it(features):
    space = space_of()
    expected = {name: rounds(space, name)[-1] for name in ("same", "leaves", "handles", "unpacks", "cleans")}
    for name, last in expected.items():
        for _ in range(3):
            layer = Spy().on(space[name], features)
            assert rounds(space, name)[-1] == last
            assert layer.undo()
            assert rounds(space, name)[-1] == last
