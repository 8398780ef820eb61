"""What expressions ask of collections that are made when they are read: nothing that would load them."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import unittest.mock

import pytest

from agent.language.expressions import parse
from agent.observe.expression.evaluate import compile_expression

ASKING = [
    "not a",
    "a and 1",
    "a or 1",
    "1 if a else 2",
    "len(a)",
    "a[0]",
    "a[-1]",
    "1 in a",
    "any(a)",
    "sum(a)",
    "str(a)",
]


def run(text, value, *, condition=False):
    return compile_expression(parse(text), condition=condition)(value)


class Lazy:
    """As Django's QuerySet is written."""

    def __init__(self):
        self._result_cache = None
        self._prefetch_related_lookups = ()
        self._prefetch_done = False
        self.queries = 0

    def _fetch_all(self):
        if self._result_cache is None:
            self.queries += 1
            self._result_cache = [1, 2]

    def __len__(self):
        self._fetch_all()
        return len(self._result_cache)

    def __bool__(self):
        self._fetch_all()
        return bool(self._result_cache)

    def __iter__(self):
        self._fetch_all()
        return iter(self._result_cache)

    def __getitem__(self, number):
        if self._result_cache is not None:
            return self._result_cache[number]
        return list(self)[number]

    def __repr__(self):
        return repr(list(self))


@pytest.mark.parametrize("text", ASKING)
def test_a_lazy_collection_is_not_loaded(text):
    lazy = Lazy()
    with pytest.raises(TypeError, match=r"of .*Lazy may take a query, which no expression runs"):
        run(text, lazy)
    assert lazy.queries == 0
    assert run("a is None", lazy) is False


def test_what_a_condition_returns_is_not_asked_either():
    lazy = Lazy()
    for text in ("a", "1 and a", "a if a is not None else a"):
        with pytest.raises(TypeError, match="the truth of"):
            run(text, lazy, condition=True)
        assert run(text, lazy) is lazy  # of a capture, whose value nobody asks for its truth
    assert lazy.queries == 0


def test_a_loaded_collection_is_asked():
    lazy = Lazy()
    list(lazy)
    results = [run(text, lazy) for text in ASKING]
    assert results == [False, 1, lazy, 1, 2, 1, 2, True, True, 3, "[1, 2]"]
    lazy._prefetch_related_lookups = ("lines",)  # the next reader runs those queries
    with pytest.raises(TypeError):
        run("len(a)", lazy)
    assert lazy.queries == 1


class Basket:
    """A class of an ERP, whose length is that of what it holds."""

    kind = "basket"

    def __init__(self, *lines):
        self.lines = list(lines)
        self.open = True
        self.prices = {"a": {"amount": 3}}

    def __len__(self):
        return len(self.lines)

    def __iter__(self):
        return iter(self.lines)

    def __getitem__(self, number):
        return self.lines[number]


class Truthful(Basket):
    @property
    def is_filled(self):
        return len(self) > 0

    def __bool__(self):
        return self.open and self.is_filled and not self.kind == ""


class Amounts(Basket):
    def __len__(self):
        return sum(item["amount"] for item in self.prices.values())


class Slotted:
    __slots__ = ("_ids",)

    def __init__(self, *ids):
        self._ids = ids

    def __len__(self):
        return len(self._ids)

    def __bool__(self):
        return True if self._ids else False

    def __iter__(self):
        for each in self._ids:
            yield Slotted(each)


class Loaded:
    def __init__(self, lines):
        self.inner = Basket(*lines)

    def __bool__(self):
        return len(self.inner) > 0


class Plain:
    pass


def test_a_collection_that_only_reads_what_it_holds_is_asked():
    assert [run(text, Basket(4)) for text in ("not a", "len(a)", "a[0]", "4 in a", "sum(a)")] == [False, 1, 4, True, 4]
    assert run("not a", Basket()) is True
    assert (run("not a", Truthful()), run("not a", Truthful(1))) == (True, False)
    assert run("len(a)", Amounts()) == 3
    assert (run("len(a)", Slotted(1, 2)), run("not a", Slotted())) == (2, True)
    assert (run("not a", Loaded([])), run("not a", Loaded([1]))) == (True, False)


class Tree:
    def __init__(self, *children):
        self.children = list(children)

    def __len__(self):
        return sum(len(each) for each in self.children)


def test_what_one_object_may_be_asked_another_of_its_class_may_not():
    lazy, basket, truthful = Lazy(), Basket(1), Truthful(1)
    for value in (basket, truthful):
        assert [run(text, value) for text in ("not a", "len(a)", "a[0]")] == [False, 1, 1]
        value.lines = lazy
        for text in ("not a", "len(a)", "a[0]"):
            with pytest.raises(TypeError, match="may take a query"):
                run(text, value)
        del value.lines
        with pytest.raises(TypeError, match="may take a query"):
            run("len(a)", value)
        value.lines = []
        assert [run(text, value) for text in ("not a", "len(a)")] == [True, 0]
    assert run("len(a)", Tree(Tree(), Tree([1, 2]))) == 2
    inner = Tree()
    inner.children = lazy
    with pytest.raises(TypeError, match="may take a query"):
        run("len(a)", Tree(inner))
    assert lazy.queries == 0


@pytest.mark.parametrize(
    "value",
    [
        "", b"", 0, 0.0, decimal.Decimal(), dt.timedelta(), [], {}, (), set(), range(0), None,
        collections.deque(), collections.OrderedDict(), collections.UserDict(), collections.UserList(), collections.Counter(),
    ],
)  # fmt: skip
def test_values_are_asked(value):
    assert run("not a", value) is True
    assert run("a or 1", value) == 1
    if hasattr(value, "__len__"):
        assert run("len(a)", value) == 0


def test_objects_without_a_length_are_true():
    assert run("not a", Plain()) is False
    assert run("a and 1", Plain) == 1
    assert run("not a", unittest.mock.Mock()) is False


class Reading(Basket):
    def __len__(self):
        return len(read_all())


class Counting(Basket):
    asked = 0

    def __len__(self):
        self.asked += 1
        return 1


class Chained(Basket):
    """The collections in it are lazy."""

    def __len__(self):
        return sum(len(each) for each in self.lines)


class Emptied(Basket):
    """Its truth is whether there is a first item, which takes reading it."""

    def __bool__(self):
        for _ in self:
            return True
        return False

    def __iter__(self):
        return iter(read_all())


class Inherited(Reading):
    def __len__(self):
        return super().__len__()


class Holding(Basket):
    """It holds what reads."""

    def __init__(self):
        super().__init__()
        self.lines = Lazy()


class Called(Basket):
    def __init__(self):
        super().__init__()
        self.load = read_all

    def __len__(self):
        return len(self.load())


class Intercepting(Basket):
    def __getattribute__(self, name):
        return read_all()


class Proxy:
    def __init__(self, wrapped):
        self.__dict__["_wrapped"] = wrapped

    __class__ = property(lambda self: read_all())

    def __bool__(self):
        return bool(self._wrapped)


def read_all():
    raise AssertionError("something was read")


MAKERS = {
    "reading": Reading, "counting": Counting, "chained": lambda: Chained(Lazy()), "emptied": Emptied, "inherited": Inherited,
    "holding": Holding, "called": Called, "intercepting": lambda: Intercepting.__new__(Intercepting),
    "proxy": lambda: Proxy(object()), "proxy_of_lazy": lambda: Proxy(Lazy()), "mock": unittest.mock.MagicMock,
}  # fmt: skip


@pytest.mark.parametrize("made", MAKERS)
def test_what_runs_or_changes_anything_else_is_not_asked(made):
    value = MAKERS[made]()
    with pytest.raises(TypeError, match="may take a query"):
        run("not a", value)
    if made == "counting":
        assert value.asked == 0
    if made == "mock":
        assert value.mock_calls == []


def test_what_a_loaded_proxy_stands_for_is_asked():
    assert run("not a", Proxy([])) is True
    assert run("not a", Proxy(Plain())) is False


def test_a_key_in_quotes_and_a_look_up_are_attributes_to_the_one_who_wrote_them():
    class Headers(Basket):
        def __getitem__(self, name):
            return {"host": "here"}[name.lower()]

        def __contains__(self, name):
            return name.lower() == "host"

    assert run("a['Host'] if 'Host' in a else None", Headers()) == "here"
