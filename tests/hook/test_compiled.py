"""Functions without Python code are replaced under the name that a monitor gives, or refused."""

import asyncio
import sys

import pytest
from support import Watch, fails, module, monitor

pytestmark = pytest.mark.usefixtures("no_shop_left")


def test_compiled_functions_stand_in_their_place_or_are_refused():
    shop = module("from math import hypot\nfrom _datetime import date\n")
    watch = Watch(monitor("shop.hypot", operation="h"), monitor("shop.date.today", name="today")).apply(shop)
    outcomes = {line[1]: line for line in watch.records}
    assert outcomes["shop.hypot"][0] == "patched"
    assert "references taken before are not monitored" in outcomes["shop.hypot"][3]
    assert outcomes["today"][0] == "failed"
    import math

    assert shop.hypot(3, 4) == 5
    fails(shop.hypot, "x", error=TypeError)
    assert watch.reports() == [("error", "h", "error")]
    watch.undo()
    assert shop.hypot is math.hypot


def test_what_cython_made_of_generators_and_coroutines_is_one_where_it_stands():
    """Its functions have code with flags, though none that could be exchanged; the real one: test_cython_compat.py."""
    shop = module(
        "class cython_function_or_method:\n"
        " def __init__(self, f): self._f, self.__code__, self.__module__ = f, f.__code__, 'shop'\n"
        " def __call__(self, *a): return self._f(*a)\n"
        "@cython_function_or_method\ndef numbers(n):\n got = yield n\n if got: raise ValueError(got)\n return 'end'\n"
        "@cython_function_or_method\nasync def later(n): raise ValueError(n)\n"
    )
    watch = Watch(monitor("shop.numbers", operation="numbers"), monitor("shop.later", operation="later")).apply(shop)
    assert [line[0] for line in watch.records] == ["patched", "patched"]
    assert list(shop.numbers(1)) == [1]
    generator = shop.numbers(2)
    next(generator)
    fails(generator.send, 3)
    fails(asyncio.run, shop.later(4))
    assert [item.operation for item in watch.observed] == ["numbers", "later"]


def test_aliases_of_a_compiled_function_in_imported_modules_are_replaced_with_it():
    import math

    module("from math import hypot\nfrom math import hypot as length\ndefault = [hypot]\n", name="shop_user")
    shop = module("", name="shop")
    hypot = math.hypot
    user = sys.modules["shop_user"]
    watch = Watch(monitor("math.hypot", operation="h")).apply(math)
    try:
        fails(user.length, "x", error=TypeError)
        assert watch.reports() == [("error", "h", "error")]
        assert user.hypot(3, 4) == 5
        assert "shop_user.hypot, shop_user.length" in watch.records[0][3]
        assert user.default == [hypot]  # what a container holds is not seen, as the note says
        assert "references taken before are not monitored" in watch.records[0][3]
    finally:
        watch.undo()
    assert math.hypot is user.hypot is user.length is hypot
    del shop


def test_a_constructor_of_object_is_refused_since_it_takes_arguments_only_where_no_class_replaces_it():
    """A class may define `__new__` for type checkers only; then it has that of `object`."""
    shop = module(
        "class Field:\n def __init__(self, size=0): self.size = size\nclass Text(Field): pass\n"
        "class Own(Field):\n __new__ = object.__new__\n"
    )
    watch = Watch(*[monitor(f"shop.{cls}.__new__", name=cls) for cls in ("Field", "Text", "Own")]).apply(shop)
    assert [line[0] for line in watch.records] == ["failed"] * 3
    assert "is that of `object`" in watch.records[0][3]
    assert "__init__" in watch.records[0][3]
    assert [cls(size=3).size for cls in (shop.Field, shop.Text, shop.Own)] == [3, 3, 3]


def test_a_constructor_of_another_compiled_class_is_replaced_in_the_class_that_is_named():
    shop = module("class Money(int): pass\nclass Tip(Money): pass\nclass Rate(int): pass\n")
    watch = Watch(monitor("shop.Money.__new__", operation="new")).apply(shop)
    assert shop.Money("12") + shop.Tip(3) == 15
    assert type(shop.Tip(3).__new__(shop.Tip, 4)) is shop.Tip
    fails(shop.Rate, "x")
    assert watch.observed == []
    fails(shop.Money, "x")
    assert watch.reports() == [("error", "new", "error")]
    watch.undo()
    assert "__new__" not in vars(shop.Money)
    fails(shop.Money, "x")
    assert len(watch.observed) == 1


@pytest.mark.parametrize(("named", "others"), [("Line", []), ("Edge", ["Line"])])
def test_a_compiled_function_of_a_class_gets_no_instance(named, others):
    shop = module("from math import hypot\nclass Line:\n length = hypot\nclass Edge(Line): pass\n")
    before = {cls: vars(cls).get("length") for cls in (shop.Line, shop.Edge)}
    watch = Watch(monitor(f"shop.{named}.length", operation="length")).apply(shop)
    assert [line[0] for line in watch.records] == ["patched"]
    assert [shop.Line().length(3, 4), shop.Line.length(3, 4), shop.Edge().length(3, 4)] == [5, 5, 5]
    for other in others:
        fails(getattr(shop, other)().length, "x", error=TypeError)
    assert watch.observed == []
    fails(shop.Edge().length, "x", error=TypeError)
    assert watch.reports() == [("error", "length", "error")]
    watch.undo()
    assert {cls: vars(cls).get("length") for cls in (shop.Line, shop.Edge)} == before
