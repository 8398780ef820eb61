from __future__ import annotations

import datetime  # noqa: ICN001
import decimal
import enum
import http
import json
import sys
import tracemalloc
import uuid
from collections import OrderedDict, UserDict, defaultdict, deque, namedtuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.observe.event import represent as represent_module
from agent.observe.event.represent import exception_text, instance_dict, represent, status_of

touched: list[str] = []


class Hostile:
    """Raises from everything, and remembers that it was called."""

    def _touch(self, *args, **kwargs):
        touched.append("called")
        raise RuntimeError("the host was called")

    __repr__ = __str__ = __len__ = __iter__ = __bool__ = __eq__ = __hash__ = __format__ = __int__ = _touch
    __getattr__ = __getattribute__ = __call__ = __getitem__ = __contains__ = __bytes__ = __index__ = __float__ = _touch
    id = pk = property(_touch)
    __class__ = property(_touch)


class LyingMeta(type):
    def _touch(cls, *args, **kwargs):
        touched.append("called")
        raise RuntimeError("the metaclass was called")

    __getattribute__ = __instancecheck__ = __subclasscheck__ = __repr__ = __hash__ = __eq__ = _touch
    __class__ = property(_touch)


class Lying(metaclass=LyingMeta):
    pass


class OwnDict:
    def __init__(self):
        self.id = 5

    @property
    def __dict__(self):
        touched.append("called")
        raise RuntimeError("the host was called")


def _overriding(base, **more):
    names = (
        "__repr__",
        "__str__",
        "__len__",
        "__iter__",
        "__getitem__",
        "__bool__",
        "__eq__",
        "items",
        "keys",
        "values",
        "__format__",
        "__int__",
        "__index__",
        "__float__",
        "isoformat",
        "__reduce__",
        "__getattribute__",
        "utcoffset",
    )
    body = {name: Hostile._touch for name in names if hasattr(base, name)}
    return type("Own" + base.__name__, (base,), {**body, "__hash__": base.__hash__, **more})


class Zone(datetime.tzinfo):
    def _touch(self, when):
        touched.append("called")
        raise RuntimeError("the host was called")

    utcoffset = tzname = dst = _touch


def hostile_values():
    cycle: list[object] = []
    cycle.append(cycle)
    moment = (2024, 1, 31, 10, 20, 30)
    return [
        Hostile(),
        Lying(),
        OwnDict(),
        Lying,
        Hostile,
        cycle,
        _overriding(str)("text"),
        _overriding(int)(7),
        _overriding(float)(1.5),
        _overriding(bytes)(b"ab"),
        _overriding(dict)(a=1),
        _overriding(list)([1]),
        _overriding(tuple)((1,)),
        _overriding(set)({1}),
        _overriding(frozenset)({1}),
        _overriding(bytearray)(b"ab"),
        _overriding(datetime.datetime)(*moment),
        _overriding(datetime.date)(2024, 1, 31),
        _overriding(datetime.time)(10),
        datetime.datetime(*moment, tzinfo=Zone()),
        datetime.time(10, tzinfo=Zone()),
        _overriding(datetime.timedelta)(1),
        _overriding(decimal.Decimal)("1.50"),
        _overriding(uuid.UUID)(int=5),
        _overriding(ValueError)("text"),
        _overriding(OrderedDict)(a=1),
        defaultdict(Hostile._touch),
        UserDict(a=1),
        deque([1]),
        range(10**30),
    ]


@pytest.mark.parametrize("number", range(len(hostile_values())))
def test_no_code_of_the_host_runs(number):
    touched.clear()
    for value in (hostile_values()[number], [hostile_values()[number]], {"a": hostile_values()[number]}):
        json.dumps(represent(value), allow_nan=False)
    assert touched == []


def test_the_forms():
    class Order:
        def __init__(self, **fields):
            self.__dict__.update(fields)

    class Colour(enum.Enum):
        RED = "red"

    class Step(enum.IntEnum):
        ONE = 1

    name = f"{__name__}.test_the_forms.<locals>.Order"
    utc = datetime.timezone.utc
    for value, form in [
        (None, None),
        (True, True),
        (3, 3),
        (1.5, 1.5),
        ("a", "a"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (b"x" * 120, "<bytes, 120>"),
        (10**20, "1" + "0" * 20),
        (10**400, "<int, 1,329 bits>"),
        (decimal.Decimal("1.50"), "1.50"),
        (decimal.Decimal("NaN"), "NaN"),
        (decimal.Decimal("1" * 9999), "<decimal.Decimal>"),
        (datetime.date(2024, 1, 31), "2024-01-31"),
        (datetime.datetime(2024, 1, 31, 10, 20, 30, 5, utc), "2024-01-31T10:20:30.000005UTC"),
        (datetime.datetime(2024, 1, 31), "2024-01-31T00:00:00"),  # noqa: DTZ001
        (datetime.time(9), "09:00:00"),
        (datetime.timedelta(days=1, seconds=5), "1 day, 0:00:05"),
        (uuid.UUID(int=10), "00000000-0000-0000-0000-00000000000a"),
        (Colour.RED, "test_the_forms.<locals>.Colour.RED"),
        (Step.ONE, "test_the_forms.<locals>.Step.ONE"),
        (Order(), f"<{name}>"),
        (Order(id=12), f"<{name} id=12>"),
        (Order(pk="A1"), f"<{name} pk=A1>"),
        (Order(id=uuid.UUID(int=10)), f"<{name} id=00000000-0000-0000-0000-00000000000a>"),
        (Order(id=[1]), f"<{name}>"),
        ((1, "a"), [1, "a"]),
        ({1}, [1]),
        ({"a": (1,)}, {"a": [1]}),
        ({1: 2, None: 3}, {"1": 2, "None": 3}),
        ({(1, 2): 3}, {"[1, 2]": 3}),
        (namedtuple("P", "x y")(1, 2), [1, 2]),
        (Order, f"<class '{name}'>"),
        (sys, "<module sys>"),
        (ValueError("no", 1), "ValueError: ('no', 1)"),
    ]:
        assert represent(value) == form, value


def test_everything_is_bounded():
    deep: object = 1
    for _ in range(10_000):
        deep = [deep]
    assert represent(deep, depth=2) == [["<list, 1>"]]
    assert represent(list(range(1000)))[-1] == "… 975 more"
    assert represent({str(n): n for n in range(1000)})["…"] == "975 more"
    assert represent("a b " * 1000) == "a b " * 250 + "… (3,000 more characters)"
    wide = [[[[1] * 1000] * 1000] * 1000] * 1000
    assert len(json.dumps(represent(wide, depth=9, budget=300))) < 20_000
    assert len(json.dumps(represent({"x" * 10**6: 1}))) < 2000


def test_a_hundred_megabytes_are_not_copied():
    class Text(str):  # noqa: SLOT000
        pass

    for value in ("x" * 10**8, Text("x" * 10**8), b"x" * 10**8, bytearray(10**8), [None] * 10**7, 1 << (8 * 10**8)):
        represent(value)
        tracemalloc.start()
        try:
            represent(value)
            assert tracemalloc.get_traced_memory()[1] < 100_000, type(value)
        finally:
            tracemalloc.stop()


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.complex_numbers()
    | st.builds(object)
    | st.characters(categories=["Cs"]),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.dates(), inner)
        | st.sets(st.integers() | st.text())
    ),
)


@pytest.mark.slow(reason="a large space")
@settings(max_examples=150, deadline=None)
@given(anything)
def test_any_value_has_a_bounded_json_form(value):
    from agent.privacy.scrub import scrub_json

    form = scrub_json(represent(value))
    encoded = json.dumps(form, allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert json.loads(encoded) == form


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        ValueError("a"),
        ValueError("a", 1, None),
        ValueError(5),
        ValueError(None),
        KeyError("k"),
        KeyError(),
        KeyError("a", "b"),
        FileNotFoundError(2, "No such file", "/x"),
        OSError("just text"),
        OSError(2, "No", "a", None, "b"),
        UnicodeDecodeError("utf-8", b"ab", 0, 1, "bad"),
        UnicodeEncodeError("ascii", "ü", 0, 1, "bad"),
        ImportError("no x"),
        SyntaxError("bad", ("f.py", 3, 1, "x")),
        StopIteration(3),
        ZeroDivisionError("division by zero"),
        ValueError(["a", 1]),
        ValueError({"a": [1]}),
        ValueError((1,), True),
        ValueError([ValueError, ("a", [None, "b"])]),
        KeyError((1, 2)),
        AssertionError("x"),
        ValueError(1.5),
        SystemExit(2),
    ],
)
def test_built_in_exceptions_read_as_python_prints_them(error):
    assert exception_text(error) == str(error)


def test_an_exception_that_keeps_its_first_text_is_given_back_without_it():
    """As glom's: the host reads its text later, when it knows more."""

    class Kept(Exception):
        text = None

        def __str__(self):
            if self.text is None:
                self.text, self.read = f"{self.args[0]} {self.place}", True
                del self.left
            return self.text

    error = Kept("not found")
    error.place, error.left = "in part 1", 1
    assert exception_text(error) == "not found in part 1"
    assert vars(error) == {"place": "in part 1", "left": 1}
    error.place = "in part 1 of order 7"
    assert str(error) == "not found in part 1 of order 7"


def test_exception_texts_of_the_host():
    class Own(Exception):
        def __str__(self):
            return "own words"

    class Raising(Exception):
        def __str__(self):
            raise RuntimeError("no")

    class NotText(Exception):
        def __str__(self):
            return 5  # noqa: PLE0307

    class Static(Exception):
        __str__ = staticmethod(lambda: "static")

    class Huge(Exception):
        def __str__(self):
            return "x y" * 10**6

    touched.clear()
    assert exception_text(Own("a")) == "own words"
    assert exception_text(Raising("arguments", 5)) == "('arguments', 5)"
    assert exception_text(NotText("arguments")) == "arguments"
    assert exception_text(Static()) == "static"
    assert len(exception_text(Huge())) < 2100
    assert exception_text(ValueError(Hostile())) == f"<{__name__}.Hostile>"
    assert exception_text(ValueError("a", Hostile())) == f"('a', <{__name__}.Hostile>)"
    assert exception_text(ValueError([Hostile(), "a"])) == f"[<{__name__}.Hostile>, 'a']"
    assert exception_text(KeyError(Hostile())) == f"<{__name__}.Hostile>"
    assert exception_text(OSError(2, Hostile())) == f"(2, <{__name__}.Hostile>)"
    assert len(exception_text(ValueError("x" * 10**8))) < 2100
    assert exception_text(ValueError(10**5000)).startswith("<int")
    assert "hunter2" not in exception_text(ValueError({"password": ["hunter2"]}))
    assert touched == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with 3.11")
def test_the_text_of_a_group():
    group = ExceptionGroup("several", [ValueError(1), KeyError(2)])  # noqa: F821
    assert exception_text(group) == str(group)


def test_only_the_ordinary_instance_dict_is_read():
    class Slots:
        __slots__ = ("id",)

    class Plain:
        pass

    plain = Plain()
    plain.id = 3
    for _ in range(2):  # the second time, the class is known
        assert instance_dict(plain) is plain.__dict__
    assert instance_dict(Slots()) is None
    for _ in range(2):
        assert instance_dict(OwnDict()) is None
    assert instance_dict(None) is None


def test_classes_are_known_by_what_they_are_and_not_by_what_they_compare_to():
    class Meta(type):
        def __hash__(cls):
            raise AssertionError("the host's code ran")

        def __eq__(cls, other):
            raise AssertionError("the host's code ran")

    made = Meta("Made", (), {})()
    made.x = 1
    for _ in range(2):
        assert instance_dict(made) == {"x": 1}


def test_no_more_classes_are_remembered_than_some_hundreds():
    for number in range(represent_module.MOST_CLASSES + 10):
        assert instance_dict(type(f"C{number}", (), {})()) == {}
    assert len(represent_module.readers) <= represent_module.MOST_CLASSES


def test_a_lazy_text_of_babels_is_shown_as_written_and_not_translated():
    class LazyString:  # as Flask-Babel keeps it
        def __init__(self, function, *args, **kwargs):
            self._func, self._args, self._kwargs = function, args, kwargs

        def __str__(self):
            return str(self._func(*self._args, **self._kwargs))

    def translate(text, **_):
        touched.append(text)

    touched.clear()
    assert exception_text(ValueError(LazyString(translate, "Order %(n)s is late", n=3))) == "Order %(n)s is late"
    assert exception_text(ValueError(LazyString(translate, string="Late"))) == "Late"
    assert touched == []


def test_lazy_things_of_django_stay_asleep(django, monkeypatch):
    from django.contrib.auth.models import User
    from django.db.models.query import QuerySet
    from django.utils.functional import SimpleLazyObject
    from django.utils.translation import gettext_lazy

    def no(*args, **kwargs):
        raise AssertionError("a query")

    monkeypatch.setattr(QuerySet, "_fetch_all", no)
    monkeypatch.setattr(QuerySet, "__repr__", no)
    queryset = User.objects.filter(username="bob")
    woken: list[int] = []
    lazy = SimpleLazyObject(lambda: woken.append(1))
    assert represent({"q": queryset, "l": lazy, "u": User(id=3, username="bob")}) == {
        "q": "<django.db.models.query.QuerySet>",
        "l": "<django.utils.functional.SimpleLazyObject>",
        "u": "<django.contrib.auth.models.User id=3>",
    }
    assert exception_text(ValueError(queryset)) == "<django.db.models.query.QuerySet>"
    assert exception_text(ValueError(gettext_lazy("Not allowed"))) == "Not allowed"
    assert exception_text(ValueError(gettext_lazy(message="Not allowed"))) == "Not allowed"
    assert "__proxy__" in exception_text(ValueError(gettext_lazy(message=7)))
    assert queryset._result_cache is None
    assert not woken


def test_the_status_of_a_response_is_read_without_a_property(django):
    from django.http import HttpResponse, HttpResponseForbidden

    class Odd:
        @property
        def status_code(self):
            raise AssertionError("called")

    class Enumerated:
        def __init__(self):
            self.status_code = http.HTTPStatus.BAD_GATEWAY

    found = [HttpResponse(status=503), HttpResponse(), HttpResponseForbidden(), Enumerated(), Odd(), None, 7, "200"]
    assert [status_of(each) for each in found] == [503, 200, 403, 502, None, None, None, None]


def test_an_exception_that_is_among_its_own_arguments():
    class Refused(Exception):
        def __init__(self, message):
            super().__init__(self, message)

    name = f"{__name__}.{Refused.__qualname__}"
    assert exception_text(Refused("no credit")) == f"(<{name}>, 'no credit')"
    only = ValueError()
    only.args = (only,)
    assert exception_text(only) == "<ValueError>"
    first, second = ValueError("a"), KeyError("b")
    first.args, second.args = ("a", second), ("b", [first])
    assert exception_text(first).startswith("('a', KeyError: ('b', [ValueError: ('a', <KeyError>)])")
    assert len(exception_text(first)) < 200
    deep = ValueError("x")
    for _ in range(5_000):
        deep = ValueError(deep)
    assert exception_text(deep) == "ValueError: ValueError: ValueError: <ValueError>"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="template strings are new in 3.14")
def test_a_template_string_is_not_rendered():
    touched.clear()
    made = eval("t'{hostile!r} {secret}'", {"hostile": Hostile(), "secret": "s3cret"})
    assert represent({"sql": made}) == {"sql": "<string.templatelib.Template>"}
    assert touched == []
