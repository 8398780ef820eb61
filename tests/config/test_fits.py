from __future__ import annotations

import copy
import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.fits import compiled
from agent.config.schema import load_schema

SCHEMA = load_schema()
FITS = compiled(SCHEMA)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
MONITOR = SCHEMA["properties"]["monitors"]["items"]

RIGHT = {
    "version": 1,
    "sentry": {"sample_rate": 0.5, "debug": False, "release": "1.10"},
    "delivery": {"spool": {"max_size": "256MB"}, "history": "off"},
    "defaults": {"threshold": "2s", "rate_limit": "30/min"},
    "modules": {"sales": {"owner": "a", "tags": {"tier": 1}, "defaults": {"threshold": {"auto": {"floor": "5ms"}}}}},
    "packs": ["django"],
    "context": [{"name": "tenant", "target": "a.b", "read": {"x": "result.x"}}],
    "x-own": [1, 2],
    "monitors": [
        {"target": "a.b", "module": "sales", "thresholds": {"warning": "1s", "error": 3}, "capture": ["x.y", "z"],
         "rules": [{"when": "result is None", "message": "none", "escalate": "3/min"}], "enabled": True},
        {"targets": ["a.c", "a.d"], "kind": "api", "endpoint": "GET /", "errors": {"ValueError": "fatal"}, "sample": 1,
         "metrics": "off", "audit": True, "tags": {"a.b": 1.5}, "stuck": None, "repeats": 3.0, "fingerprint": ["a"]},
        {"target": "a.e", "kind": "database", "model": "M", "threshold": False, "requires": "a>=1", "budget": "5%"},
    ],
}  # fmt: skip

_values = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 3), st.sampled_from([0.0, 1.0, 1.5, 1e9, 40_000_000]),
    st.sampled_from(["", "off", "2s", "3/min", "5%", "a.b", "a b", "a/b", "fatal", "database", "on", "x" * 2001, "auto"]),
    # A copy each time: a later change of the same file must not change what other examples are made of.
    st.sampled_from([[], ["a", "a"], [1, True], [1, 1.0], [[1], [True]], {}, {"auto": {}}, {"fatal": "1s"}, {"a": 1}])
    .map(copy.deepcopy),
)  # fmt: skip
_keys = st.sampled_from(
    sorted({*MONITOR["properties"], *SCHEMA["properties"], "x-y", "a b", "auto", "when", "warning"})
)


def places(value, path=()):
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, (*path, key))


@st.composite
def nearly_right(draw):
    """A file that is right, with up to three changes."""
    document = copy.deepcopy(RIGHT)
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from([path for path in places(document) if path]))
        around = document
        for step in path[:-1]:
            around = around[step]
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "replace":
            around[path[-1]] = draw(_values)
        elif change == "remove":
            del around[path[-1]]
        elif isinstance(around, dict):
            around[draw(_keys)] = draw(_values)
        else:
            around.append(copy.deepcopy(around[path[-1]]))
    return document


def test_the_example_is_right_and_so_the_changes_matter():
    assert FITS(RIGHT)


@settings(max_examples=200, deadline=None)
@given(nearly_right())
def test_it_accepts_what_jsonschema_accepts(document):
    assert FITS(document) is VALIDATOR.is_valid(document), json.dumps(document)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(MONITOR["properties"])), _values)
def test_it_agrees_about_each_value_of_a_monitor(key, value):
    schema = MONITOR["properties"][key]
    assert compiled(schema)(value) is jsonschema.Draft202012Validator(schema).is_valid(value)


def test_a_keyword_that_it_does_not_know_is_an_error():
    with pytest.raises(KeyError):
        compiled({"oneOf": [{}]})
