"""A record behaves as the `NamedTuple` of the same body, and costs no compiled text of its own."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import NamedTuple, Optional

import pytest

from agent.base.records import Record, template


class Order(Record):
    """Of a customer."""

    number: int
    lines: tuple[str, ...] = ()
    note: Optional[str] = None

    @property
    def is_empty(self) -> bool:
        return not self.lines


class Plain(NamedTuple):
    number: int
    lines: tuple[str, ...] = ()
    note: Optional[str] = None


class Pair(Record):
    left: int
    right: int


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((1,), {}), ((1, ("a",)), {}), ((1, ("a",), "x"), {}), ((), {"number": 1}), ((1,), {"note": "x"})],
)
def test_it_is_made_and_read_like_a_named_tuple(arguments: tuple[object, ...], named: dict[str, object]) -> None:
    order, plain = Order(*arguments, **named), Plain(*arguments, **named)  # type: ignore[arg-type]
    assert order == tuple(order) == plain
    assert hash(order) == hash(plain)
    assert (order.number, order.lines, order.note) == (plain.number, plain.lines, plain.note)
    assert repr(order) == repr(plain).replace("Plain", "Order")
    assert order._replace(note="y") == plain._replace(note="y")
    assert type(order._replace(note="y")) is Order


@pytest.mark.parametrize(("arguments", "named"), [((), {}), ((1, (), None, 2), {}), ((1,), {"weight": 2})])
def test_what_a_named_tuple_refuses_is_refused(arguments: tuple[object, ...], named: dict[str, object]) -> None:
    for kind in (Order, Plain):
        with pytest.raises(TypeError):
            kind(*arguments, **named)  # type: ignore[arg-type]


def test_another_field_is_refused_and_nothing_can_be_set() -> None:
    order = Order(1)
    with pytest.raises(ValueError, match="Order has no weight"):
        order._replace(weight=2)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        order.number = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        order.weight = 2  # type: ignore[attr-defined]


def test_it_is_copied_and_pickled_as_itself() -> None:
    order = Order(1, ("a",))
    for made in (copy.copy(order), copy.deepcopy(order), pickle.loads(pickle.dumps(order))):
        assert made == order
        assert type(made) is Order


def test_the_body_of_the_class_counts() -> None:
    assert Order(1).is_empty
    assert Order.__doc__ == "Of a customer."
    assert Order.__match_args__ == ("number", "lines", "note")
    assert str(inspect.signature(Order)) == "(number, lines=(), note=None)"


def test_one_text_is_compiled_for_each_number_of_fields() -> None:
    assert template(3) is template(3)
    order, pair = Order.__new__.__code__, Pair.__new__.__code__
    assert order.co_code == template(3).co_code
    assert order.co_varnames == ("_cls", "number", "lines", "note")
    assert pair.co_varnames == ("_cls", "left", "right")
