"""The reference of every key, made from the schema: the text of docs/configuration.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..config.read.shipped import schema_path
from ..config.read.tree import resolve_scalar
from ..config.schema import definition

_HEAD = """\
<!-- Generated from schema/monitors.schema.json: python -m agent schema --markdown > docs/configuration.md -->

# monitors.yaml, key by key

`python -m agent validate` checks a file; `python -m agent explain NAME` shows what one monitor does and where each of
its settings comes from. [editors.md](editors.md) explains how an editor completes the keys, [messages.md](messages.md)
what each message of `validate` means.
"""

#: Section of the page → (title, path of keys that leads there, definition; "" for the file itself).
_SECTIONS = (
    ("The file", "", ""),
    ("packs", "packs[].NAME", "pack"),
    ("sentry", "sentry", "sentry"),
    ("sentry.scrub", "sentry.scrub", "scrub"),
    ("sentry.project", "sentry.project", "project"),
    ("sentry.project.alerts", "sentry.project.alerts", "project/alerts"),
    ("delivery", "delivery", "delivery"),
    ("delivery.spool", "delivery.spool", "delivery/spool"),
    ("delivery.history", "delivery.history", "delivery/history"),
    ("processes", "processes", "processes"),
    ("context", "context[]", "context"),
    ("tasks", "tasks", "tasks"),
    ("celery", "celery", "celery"),
    ("web", "web", "web"),
    ("defaults", "defaults", "defaults"),
    ("modules", "modules.NAME", "module"),
    ("monitors", "monitors[]", "monitor"),
    ("rules of a monitor", "monitors[].rules[]", "rule"),
)

_VALUES = ("duration", "size", "severity", "fraction", "target", "expression", "tags")

#: Title of a definition → its type in the reference; "" for the title itself with an article.
_BY_TITLE = {
    **dict.fromkeys(
        (
            "duration",
            "duration or off",
            "learned, duration or off",
            "size",
            "rate or off",
            "target",
            "expression",
            "dotted name",
        ),
        "",
    ),
    "integrations": "`auto` or a list of texts",
    "capture": "a mapping of name → expression, or a list of names",
    "audit": "true, false or a severity",
    "duration, ladder or off": "a duration, a ladder or off",
    "history": "a mapping, see its own section, or off",
    "flag": "true or false",
    "fraction": "a number from 0 to 1",
    "count": "a whole number",
}

_NOTES = """\
## How files are read

- **Places** in lists count from 1: `monitors[2]` is the second monitor.
- **Scalars** follow YAML 1.2: `on`, `off`, `yes`, `no` and `12:30` are text. No tag constructs an object.
- **Variables**: `${NAME}` must be set. `${NAME:-default}` uses the default if the variable is unset or empty. `$$` is a
  dollar sign. Messages do not repeat values from the environment.
- **Anchors and merge keys** (`&x`, `*x`, `<<: *x`) work. Top-level keys that begin with `x-` are a place for anchors.
- **Inheritance**: a monitor's own setting comes first, then its module's `defaults`, then those of the file, then those
  of its kind (kind `security`: severity `warning`; kind `api`: threshold 5s; kind `database`: threshold 1s), then the
  built-in ones. `off` removes an inherited setting.
- **Mistakes** disable only what they concern: a wrong monitor is left out. A wrong `version`, `include`, `delivery`,
  `processes`, or a wrong key of `sentry` that decides what may leave, makes the file unusable; the last good version
  stays in force.
- **Bounds**: 10 MB for each file, 1,000 files, 500,000 values after aliases are expanded, 40 levels.
"""


def markdown() -> str:
    with open(schema_path(), encoding="utf-8") as stream:
        schema: dict[str, Any] = json.load(stream)
    definitions = schema["$defs"]
    lines = [_HEAD]
    for title, path, name in _SECTIONS:
        section = _section(schema, name)
        lines += [f"## {title}", ""]
        if section.get("description"):
            lines += [section["description"], ""]
        required = section.get("required", [])
        for key, value in section["properties"].items():
            lines += _key(key, f"{path}.{key}" if path else key, value, definitions, needed=key in required)
    lines += ["## Values", ""]
    for name in _VALUES:
        definition = definitions[name]
        lines += [f"### {definition.get('title', name)}", "", definition["description"], ""]
        lines += _examples(definition)
    return "\n".join([*lines, _NOTES])


def _section(schema: dict[str, Any], name: str) -> dict[str, Any]:
    section: dict[str, Any] = schema if not name else schema["$defs"][name.partition("/")[0]]
    inner = name.partition("/")[2]
    return section["properties"][inner] if inner else section


def _key(key: str, path: str, value: dict[str, Any], definitions: dict[str, Any], *, needed: bool) -> Iterator[str]:
    whole = _resolved(value, definitions)
    yield f"### `{key}`"
    yield ""
    yield f"`{path}` · {_type(whole, definitions)}{' · required' if needed else ''}{_default(whole)}"
    yield ""
    yield whole.get("description", "")
    yield ""
    yield from _examples(whole, key)


def _resolved(value: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A key's schema, completed by the definition that it refers to."""
    whole = dict(value)
    while "$ref" in whole:
        reference = whole.pop("$ref")
        found = definition(reference, definitions)
        whole = {**found, "type name": found.get("title", reference.rpartition("/")[2]), **whole}
    return whole


def _type(whole: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "enum" in whole:
        return "one of " + ", ".join(f"`{item}`" for item in whole["enum"])
    if "const" in whole:
        return f"`{whole['const']}`"
    title = whole.get("title") or whole.get("type name")
    kinds = whole.get("type", "")
    if kinds == "array":
        kind = _type(_resolved(whole.get("items", {}), definitions), definitions)
        return "a list of " + ("values" if kind == "one" else _plural(kind))
    if kinds == "object":
        inner = whole if "properties" in whole else _resolved(whole.get("additionalProperties") or {}, definitions)
        if "properties" not in inner:
            return f"a mapping of name → {_type(inner, definitions)}"
        return f"a mapping{'' if inner is whole else ' of name → mapping'}, see its own section"
    if title in _BY_TITLE:
        return _BY_TITLE[title] or f"{'an' if title == 'expression' else 'a'} {title}"
    names = {"string": "text", "null": "null", "number": "number", "boolean": "true or false", "object": "mapping"}
    listed = [kinds] if isinstance(kinds, str) else kinds
    return " or ".join(names.get(kind, kind) for kind in listed) or "any"


def _plural(kind: str) -> str:
    if kind.startswith("a mapping"):
        return "mappings, see their own section"
    if kind.startswith("one of "):
        return kind[len("one of ") :]
    return kind.replace("a ", "", 1) + "s" if kind.startswith("a ") else kind + "s"


def _default(whole: dict[str, Any]) -> str:
    if "default" not in whole:
        return ""
    return f" · default `{_flow(whole['default'])}`"


def _examples(whole: dict[str, Any], key: str = "") -> Iterator[str]:
    examples = whole.get("examples", [])
    if not examples:
        return
    yield "```yaml"
    for example in examples:
        yield f"{key}: {_flow(example)}" if key else _flow(example)
    yield "```"
    yield ""


def _flow(value: Any, *, nested: bool = False) -> str:
    """A value as YAML on one line, as a person writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item, nested=True)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item, nested=True) for item in value) + "]"
    if isinstance(value, str):
        risky = (
            not value
            or value != value.strip()
            or any(mark in value for mark in "{}[],&*#?|<>=!%@`\"'")
            or ": " in value
            or resolve_scalar(value) != value
        )
        return json.dumps(value, ensure_ascii=False) if risky and (nested or not value.startswith("${")) else value
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else f"{value}"
