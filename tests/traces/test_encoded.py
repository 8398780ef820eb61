"""Parts of transactions that are cleaned and encoded once."""

import json

import pytest

from agent.privacy import names, redact
from agent.traces import encoded


def made_once(place, part, keep=()):
    """The JSON of the part, and how often it was made in two turns."""
    made = []

    def make():
        made.append(part)
        return {"contexts": {"request": part}}

    texts = {encoded.part_of(place, encoded.key_of(part), make, keep) for _ in range(2)}
    assert len(texts) == 1
    return json.loads("{" + texts.pop() + "}")["contexts"]["request"], len(made)


@pytest.fixture(autouse=True)
def forgotten():
    names.configure(())


def test_an_equal_part_is_made_once_and_cleaned():
    part = {"path": "/mail/anna@example.com/", "password": "hunter2", "parameters": ["page", "q"], "number": 7}
    shown, times = made_once("request", part)
    assert times == 1
    assert shown == {**part, "path": "/mail/[email]/", "password": "[Filtered]"}


@pytest.mark.parametrize("value", [{"deep": 1}, [1], [["a"]], 1.5, ("a", "b"), object, b"x"])
def test_a_part_with_other_values_has_no_key(value):
    assert encoded.key_of({"value": value}) is None


def test_values_of_the_host_are_not_asked_for_a_hash_or_a_comparison():
    class Text(str):
        __slots__ = ()

        def __hash__(self):
            raise AssertionError

        def __eq__(self, other):
            raise AssertionError

    assert encoded.key_of({"value": Text("a")}) is None


@pytest.mark.parametrize(("one", "other"), [({"a": 1}, {"a": True}), ({"a": 0}, {"a": False}), ({"a": "1"}, {"a": 1})])
def test_equal_values_of_two_kinds_are_two_parts(one, other):
    assert made_once("request", one) == (one, 1)
    assert made_once("request", other) == (other, 1)


def test_equal_keys_of_two_places_are_two_parts():
    assert encoded.part_of("one", (1,), lambda: {"a": 1}) != encoded.part_of("two", (1,), lambda: {"b": 1})


def test_what_is_known_is_bounded_and_forgotten_with_what_is_private(monkeypatch):
    monkeypatch.setattr(encoded, "MOST_PARTS", 3)
    for number in range(10):
        made_once("request", {"path": f"/orders/{number}/"})
    assert 1 <= len(encoded.known_parts) <= 3
    assert made_once("request", {"path": "/" + "long/" * 1000})[1] == 2, "a large part is not remembered"
    redact.configure({"names": ["tier"], "national_ids": [], "forms": []})
    assert encoded.known_parts == {}
    redact.configure(None)
