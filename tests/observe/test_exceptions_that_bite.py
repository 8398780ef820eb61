"""Exceptions and classes of the host's that run code, or raise, when something is read of them."""

import sys

import pytest
from support import Watch, module, monitor

from agent.hook.code import inject

SHOP = """
class Slots(Exception):
    __slots__ = ("a",)
    def __getattribute__(self, name): raise TypeError(name)

class NoAttributes(Exception):
    def __getattribute__(self, name): raise KeyboardInterrupt(name)
    def __setattr__(self, name, value): raise SystemExit(name)

class Meta(type):
    def __getattribute__(cls, name): raise RuntimeError(name)

Weird = Meta("Weird", (Exception,), {})

class NoText(Exception):
    def __str__(self): raise KeyError(self)
    __repr__ = __str__

class Pretends(Exception):
    __class__ = property(lambda self: int)

class Nameless(Exception):
    __module__ = property(lambda self: 1 / 0)

def fail(error): raise error
def fail_below(error): fail(error)
"""


@pytest.mark.parametrize("trampolines", [False, True], ids=["injected", "trampoline"])
@pytest.mark.parametrize("function", ["fail", "fail_below"])
@pytest.mark.parametrize("name", ["Slots", "NoAttributes", "Weird", "NoText", "Pretends", "Nameless"])
def test_the_hosts_exception_propagates_and_is_reported_once(name, function, trampolines, monkeypatch):
    if trampolines:
        monkeypatch.setattr(inject, "inject", lambda *_: None)
    shop = module(SHOP)
    watch = Watch(monitor("shop:fail"), monitor("shop:fail_below"))
    watch.apply(shop)
    error = getattr(shop, name)()
    raised = None
    try:
        getattr(shop, function)(error)
    except BaseException as caught:
        raised = caught
    assert raised is error
    assert [seen.exception is error for seen in watch.observed] == [True]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with 3.11")
@pytest.mark.parametrize("depth", [5, 99, 101, 900, 20_000])
def test_a_group_is_a_failure_however_deep_it_is_nested(depth):
    shop = module(SHOP)
    watch = Watch(monitor("shop:fail"))
    watch.apply(shop)
    group = ExceptionGroup("innermost", [ValueError("x")])  # noqa: F821
    for _ in range(depth):
        group = ExceptionGroup("one more", [group])  # noqa: F821
    with pytest.raises(ExceptionGroup):  # noqa: F821
        shop.fail(group)
    assert len(watch.observed) == 1
    while group.exceptions and isinstance(group.exceptions[0], ExceptionGroup):  # noqa: F821
        group = group.exceptions[0]  # taken apart from the outside: the interpreter would need a stack as deep


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with 3.11")
def test_a_group_of_expected_ones_is_expected_however_deep():
    shop = module(SHOP)
    watch = Watch(monitor("shop:fail", expect=["ValueError"]))
    watch.apply(shop)
    group = ExceptionGroup("innermost", [ValueError("x")])  # noqa: F821
    for _ in range(300):
        group = ExceptionGroup("one more", [group])  # noqa: F821
    with pytest.raises(ExceptionGroup):  # noqa: F821
        shop.fail(group)
    assert not watch.observed
