"""The table of a monitor's keys against the schema, the plan and what its readers show."""

from __future__ import annotations

import ast
import inspect
import json

import pytest

from agent.base import model
from agent.config.read.shipped import schema_path
from agent.language import spelled
from agent.language.monitor_keys import INHERITED, KEYS, KIND_OF, TYPED, plain_monitor

with open(schema_path(), encoding="utf-8") as stream:
    SCHEMA = json.load(stream)["$defs"]
OF_MONITORS = SCHEMA["monitor"]["properties"]

#: Of `MonitorData`, which exists for type checkers only.
FIELDS = {
    field.target.id
    for each in ast.walk(ast.parse(inspect.getsource(model)))
    if isinstance(each, ast.ClassDef) and each.name == "MonitorData"
    for field in each.body
    if isinstance(field, ast.AnnAssign)
}

TABLE = {key.name: key for key in KEYS}


def test_the_table_has_the_keys_of_the_schema():
    assert set(TABLE) - {"owner"} == set(OF_MONITORS) - {"targets", "thresholds"}


def test_the_table_has_the_fields_of_the_plan():
    fields = {key.field or key.name for key in KEYS if key.field is not None and not key.kind}
    assert fields | {"where", "detail", "live", "line", "learn", "learned", "source", "span_data"} == FIELDS


def test_defaults_are_those_that_the_schema_documents():
    for name, schema in OF_MONITORS.items():
        if "default" in schema and TABLE[name].field is not None:
            assert TABLE[name].default == (schema["default"] or TABLE[name].default), name


def test_inherited_keys_are_those_of_defaults():
    assert set(INHERITED) == set(SCHEMA["defaults"]["properties"]) - {"thresholds"}


def test_keys_of_one_kind_are_refused_in_others(look):
    for key, kind in KIND_OF.items():
        for other in ("function", kind):
            text = f"version: 1\nmonitors: [{{target: a.b, kind: {other}, {key}: x}}]\n"
            slugs = [problem.slug for problem in look(text).problems]
            assert slugs == ([] if other == kind else ["misplaced-key"]), (key, other)


def test_typed_keys_are_numbers_or_flags():
    assert {"enabled", "sample", "audit"} <= TYPED
    assert "module" not in TYPED


def test_a_plain_monitor_has_every_field_and_shares_none():
    one, other = plain_monitor(name="a"), plain_monitor(name="b")
    assert set(one) == FIELDS
    assert (one["name"], other["name"], one["operation"]) == ("a", "b", "{name}")
    one["tags"]["x"] = "1"
    one["expect"].append("KeyError")
    assert other == {**plain_monitor(), "name": "b"}


def test_a_plain_monitor_refuses_a_field_that_there_is_not():
    with pytest.raises(TypeError, match="a monitor has no treshold"):
        plain_monitor(treshold=[])


def test_nothing_but_settings_in_effect_is_explained_of_a_plain_monitor():
    shown = {key.name: spelled.explained(key, plain_monitor()) for key in KEYS}
    assert {name: text for name, text in shown.items() if text} == {
        "kind": "function", "operation": "{name}", "severity": "error", "threshold": "off", "sample": "1",
        "rate_limit": "30/min", "span": "auto", "budget": "1%",
    }  # fmt: skip
    assert not any(spelled.listed(key, plain_monitor()) for key in KEYS)


@pytest.mark.parametrize(
    ("key", "value", "explained", "listed"),
    [
        ("threshold", [(2.0, "warning"), (10.0, "error")], "2s → warning, 10s → error", ""),
        ("rate_limit", None, "off", ""),
        ("escalate", (5.0, 3600.0), "5/h", "escalates over 5/h"),
        ("stuck", 60.0, "1m", "stuck after 1m"),
        ("budget", 0.005, "0.5%", "budget 0.5%"),
        ("budget", None, "off", "budget off"),
        ("repeat_interval", {"slow": 600.0}, "slow: 10m", "equal ones after slow: 10m"),
        ("repeat_interval", dict.fromkeys(("error", "slow", "rule", "repeats"), 3600.0), "1h", "equal ones after 1h"),
        ("repeats", 50, "50", "at most 50 times"),
        ("sample", 0.0, "0", "sample 0"),
        ("sample", 0.25, "0.25", "sample 0.25"),
        ("span", "never", "never", "span never"),
        ("exception_text", False, "false", "withholds exception texts"),
        ("subclasses", True, "true", "subclasses"),
        ("expect", ["KeyError", "a.B"], "KeyError, a.B", "expects 2"),
        ("errors", {"KeyError": "info"}, "KeyError → info", "grades 1"),
        ("audit", "info", "info", "audits (info)"),
        ("quiet_inside", ["a", "b"], "a, b", "quiet inside a, b"),
        ("tags", {"tier": "1"}, "tier: 1", ""),
        ("unless", {"text": "a > 1"}, "a > 1", "unless a > 1"),
        ("capture", {"a": {"text": "a.b"}}, "a: a.b", "captures a"),
        ("rules", [{"when": {"text": "a"}}], "a", "1 rule"),
        ("rules", [{"when": {"text": "a"}}, {"when": {"text": "b"}}], "a, b", "2 rules"),
    ],
)  # fmt: skip
def test_each_key_is_spelled_as_the_file_would(key, value, explained, listed):
    row = TABLE[key]
    monitor = plain_monitor(**{row.field or key: value})
    assert (spelled.explained(row, monitor), spelled.listed(row, monitor)) == (explained, listed)
