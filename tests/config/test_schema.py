from __future__ import annotations

import json

import jsonschema
import pytest

from agent.config.read.shipped import schema_path

with open(schema_path(), encoding="utf-8") as stream:
    SCHEMA = json.load(stream)


def keys(schema, path=()):
    """Every key that a person may write, with its schema and all that its reference adds."""
    for name, value in schema.get("properties", {}).items():
        resolved = {**SCHEMA["$defs"].get(value.get("$ref", "").rpartition("/")[2], {}), **value}
        yield (*path, name), resolved
        yield from keys({key: item for key, item in resolved.items() if key == "properties"}, (*path, name))


EVERY = list(keys(SCHEMA)) + [
    found for name in ("monitor", "module", "rule", "sentry", "delivery", "defaults", "processes", "context")
    for found in keys(SCHEMA["$defs"][name], (name,))
]  # fmt: skip


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("path", "schema"), EVERY, ids=lambda value: ".".join(value) if isinstance(value, tuple) else ""
)
def test_every_key_is_described_and_exemplified(path, schema):
    assert schema.get("description"), path
    assert schema.get("examples"), path
    validator = jsonschema.Draft202012Validator({**schema, "$defs": SCHEMA["$defs"]})
    for example in schema["examples"]:
        assert list(validator.iter_errors(example)) == [], (path, example)
    if "default" in schema:
        assert list(validator.iter_errors(schema["default"])) == [], path


def test_no_mapping_takes_unknown_keys():
    def walk(node):
        if isinstance(node, dict):
            if "properties" in node and "if" not in node and node.get("type") == "object":
                assert node.get("additionalProperties") is False, node.get("title")
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(SCHEMA)
