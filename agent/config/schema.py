"""A Document against the JSON Schema, with its errors in plain words. The only file that imports jsonschema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, Callable

from ..base.errors import ConfigError
from ..base.model import SEVERITIES
from ..language import hints, learned, units
from ..language.monitor_keys import KIND_OF
from ..language.nearest import did_you_mean, listed
from .findings import Findings
from .fits import Check, compiled
from .read.document import Document, Placed
from .read.shipped import schema_path

_NAMES = {"string": "text", "number": "a number", "integer": "a whole number", "boolean": "true or false",
          "array": "a list", "object": "a mapping", "null": "nothing"}  # fmt: skip

#: Schemas by title → the parser whose error is the message, and the slug.
_UNITS: dict[str, tuple[Callable[[object], object], str]] = {
    "duration": (units.duration, "bad-duration"),
    "duration or off": (units.duration, "bad-duration"),
    "learned, duration or off": (learned.check, "bad-duration"),
    "size": (units.size, "bad-size"),
    "rate or off": (units.rate, "bad-rate"),
    "severity": (units.severity, "bad-severity"),
    "audit": (units.audit, "wrong-type"),
}

#: Rates of which not the monitor's own is meant.
_RATES: dict[str, Callable[[object], object]] = {
    "max_rate": units.spool_rate, "escalate": units.escalation_rate, "memory_recycles": units.escalation_rate,
}  # fmt: skip

#: What is wrong with a name, by the title of its schema.
_NAMING = {
    "capture name": "is not a name that can be captured under: letters, digits and `_`, first a letter",
    "tag name": "is not a tag's name: letters, digits and `_.:-` only",
    "module name": "is not a module's name: letters, digits and `_.-` only",
    "context name": "cannot be a section's name: letters, digits and `_.-`, and none that events have already",
    "fact name": "is not a value's name: letters, digits and `_`, first a letter",
    "user field": "is no field of a user: there are id, username, email, permissions and ip",
}  # fmt: skip


#: What explains a schema and constrains nothing.
_ANNOTATIONS = ("description", "examples", "default")


@cache
def load_schema() -> dict[str, Any]:
    """The schema as it applies after interpolation, where `${NAME}` can no longer be a number or a flag. Its references
    are filled in, which halves the time for 10,000 monitors.
    """
    try:
        with open(schema_path(), encoding="utf-8") as stream:
            schema: dict[str, Any] = json.load(stream)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the schema cannot be read, the installation is incomplete: {error}") from None
    for name in ("flag", "fraction", "count"):
        kinds = schema["$defs"][name]["type"]
        schema["$defs"][name]["type"] = [kind for kind in kinds if kind != "string"]
    definitions = schema.pop("$defs")
    return {key: _inlined(value, definitions) for key, value in schema.items() if key not in _ANNOTATIONS}


def definition(reference: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """What a reference such as `#/$defs/monitor/properties/rules` leads to."""
    found = definitions
    for step in reference.split("/")[2:]:
        found = found[step]
    return found


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if isinstance(reference, str):
        siblings = {key: value for key, value in schema.items() if key != "$ref"}
        return _inlined({**definition(reference, definitions), **siblings}, definitions)
    named = ("properties", "patternProperties")
    return {
        key: {name: _inlined(value, definitions) for name, value in inner.items()} if key in named
        else _inlined(inner, definitions)
        for key, inner in schema.items() if key not in _ANNOTATIONS
    }  # fmt: skip


@cache
def make_validator() -> Any:
    """A validator of jsonschema that steps over the items of lists that are right. Its import takes longer than the
    compile of a usual file.
    """
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.validators import extend
    except ImportError:
        raise ConfigError("the configuration has an error, and naming it needs jsonschema 4 or newer, which this "
                          "Python does not have: python -m pip install 'jsonschema>=4'") from None  # fmt: skip
    made: Any = extend(Draft202012Validator, {"items": _wrong_items})  # type: ignore[no-untyped-call]
    return made(load_schema())


def _wrong_items(validator: Any, items: Any, instance: Any, _: Any) -> Iterator[Any]:
    if isinstance(instance, list):
        fits = _fits.get(id(items)) or _fits.setdefault(id(items), compiled(items, is_item=True))
        for index, item in enumerate(instance):
            if not fits(item):
                yield from validator.descend(item, items, path=index)


#: The identity of a part of `load_schema()` → what it accepts.
_fits: dict[int, Check] = {}


def check(document: Document, findings: Findings) -> None:
    """Raises ConfigError where something is wrong and jsonschema is missing, which names it."""
    if not is_right()(document.value):
        for error in make_validator().iter_errors(document.value):
            _Translation(document, findings, error).add()


@cache
def is_right() -> Check:
    return compiled(load_schema())


class _Translation:
    """One error of jsonschema on its way to a Problem."""

    def __init__(self, document: Document, findings: Findings, error: Any) -> None:
        self.findings = findings
        self.error = error
        self.instance = error.instance
        self.of_key = "propertyNames" in error.absolute_schema_path
        self.placed: Placed = document.at(*error.absolute_path)
        if self.of_key:
            self.placed = self.placed.at(self.instance)
        self.path = self.placed.path
        self.schema: dict[str, Any] = error.schema if isinstance(error.schema, dict) else {}
        self.title = str(self.schema.get("title", ""))

    def add(self) -> None:
        keyword = self.error.validator
        if keyword == "additionalProperties" and self.title not in _UNITS:
            self.unknown_keys()
        elif keyword == "required" and self.title not in _UNITS:
            self.missing_key()
        elif not self.findings.has(self.placed):
            slug, message, hint = self.describe(keyword)
            self.findings.add(self.placed, slug, message, hint, of_key=self.of_key or self.title == "misplaced")

    def unknown_keys(self) -> None:
        known = self.schema.get("properties", {})
        for key in self.instance:
            placed = self.placed.at(key)
            if key in known or (not self.path and key.startswith("x-")) or self.findings.has(placed):
                continue
            hint, _ = hints.for_key(key, known, self.path, self.title)
            self.findings.add(placed, "unknown-key", f"`{key[:100]}` is not a key here", hint, of_key=True)

    def missing_key(self) -> None:
        known = self.schema.get("properties") or {"target": None, "targets": None, "name": None, "tags": None}
        for key in self.error.validator_value:
            title = self.title or ("monitor" if self.path[:1] == ("monitors",) else "")
            strangers = [given for given in self.instance if given not in known]
            mistyped = any(hints.for_key(given, [key], self.path, title)[1] == key for given in strangers)
            if key not in self.instance and not mistyped:
                advice = {
                    "version": "write `version: 1` at the top",
                    "target": "write `target: package.module.function`",
                    "name": "write `name: tenant`, or whatever its section in events shall be called",
                }
                what = {"monitor": "the monitor", "rule": "the rule", "context": "the provider"}.get(self.title, "")
                what = what or ("the file" if not self.path else "the monitor" if key == "target" else "this")
                slug = "wrong-version" if key == "version" else "missing-key"
                self.findings.add(self.placed, slug, f"{what} has no `{key}`", advice.get(key, ""))

    def describe(self, keyword: str) -> tuple[str, str, str]:
        """Slug, message and hint."""
        if self.title == "misplaced":
            return self.misplaced()
        if self.title in _UNITS:
            parse, slug = _UNITS[self.title]
            return self.unit(_RATES.get(self.name(), parse), slug)
        if keyword == "const" and self.path == ("version",):
            hint = "write it without quotes" if self.instance == "1" else ""
            return "wrong-version", f"expected `version: 1`, the only one there is, not {self.given()}", hint
        if self.of_key:
            return "bad-name", self.bad_name(), ""
        if keyword in ("enum", "const"):
            allowed = [str(value) for value in self.error.validator_value]
            hint = hints.for_kind(str(self.instance)) if self.name() == "kind" else ""
            hint = hint or did_you_mean(str(self.instance), allowed)
            return "bad-value", f"expected one of {listed(allowed)}, not {self.given()}", hint
        if self.title == "context name" and keyword != "type":
            return "bad-name", f"{self.given()} {_NAMING[self.title]}", ""
        if keyword == "type" or self.title in ("fraction", "flag", "count"):
            return self.wrong_type()
        limits = {
            "minLength": "is empty", "minItems": "is empty", "minProperties": "is empty",
            "maxLength": f"is longer than {self.error.validator_value} characters",
            "uniqueItems": "names something twice",
        }  # fmt: skip
        if keyword in limits:
            return "bad-value", f"`{self.name()}` {limits[keyword]}", ""
        if keyword == "pattern" and self.title == "target":
            text = self.placed.text
            hint = hints.for_target(text) if text and text == self.instance else ""
            hint = hint or "write `package.module.function`"
            return "bad-target", f"{self.given()} is not a dotted path", hint
        if self.title == "captured name":
            hint = 'give it a name: `{name: "expression"}` in place of the list'
            return "bad-value", f"{self.given()} is no name of a value: a list holds names such as `order.id`", hint
        if keyword == "pattern" and self.title == "integrations":
            hint = f"did you mean `[{self.instance}]`?"
            return "bad-value", f"expected `auto` or a list of names, not {self.given()}", hint
        if self.title == "history":
            hint = "for a maximum age write `history: {max_age: 7d}`"
            return "bad-value", f"expected a mapping or `off`, not {self.given()}", hint
        if keyword == "pattern" and self.title == "form":
            hint = "0 stands for any digit, A for any letter, three at least; between them letters, digits and ` ./_-`"
            return "bad-value", f"{self.given()} is no form", hint
        if keyword == "pattern" and self.title == "private name":
            return "bad-value", f"{self.given()} is no name: letters, digits and ` ._-`, three characters at least", ""
        if keyword == "pattern" and self.title in ("slug", "address"):
            form = "small letters, digits, `-` and `_`" if self.title == "slug" else "https://HOST"
            hint = "copy it from the address of a page of Sentry"
            return "bad-value", f"{self.given()} is no {self.title} of Sentry's: {form}", hint
        if keyword == "pattern" and self.name() == "error_rate":
            return "bad-share", f"expected a share of the calls such as `5%`, or `off`, not {self.given()}", ""
        if keyword == "pattern" and self.name() == "environment":
            return "bad-value", "an environment's name holds no spaces or slashes", ""
        return "bad-value", f"{self.given()} is not allowed here", ""

    def misplaced(self) -> tuple[str, str, str]:
        key = str(self.path[-1])
        if key in KIND_OF:
            kind = self.placed.document.at(*self.path[:-1], "kind").text or "function"
            message = f"`{key}` belongs to monitors of kind `{KIND_OF[key]}`; this one is of kind `{kind}`"
            return "misplaced-key", message, f"write `kind: {KIND_OF[key]}`, or remove `{key}`"
        other = "targets" if key == "target" else "thresholds"
        return "misplaced-key", f"give `{key}` or `{other}`, not both", ""

    def unit(self, parse: Callable[[object], object], slug: str) -> tuple[str, str, str]:
        value = True if self.instance is False else self.instance
        try:
            parse(value)
        except units.UnitError as error:
            hint = error.hint
            if isinstance(value, bool) and self.title.endswith("off"):
                hint = "write `off` to switch an inherited one off"
                if self.path[0] == "delivery":
                    hint = "write `off` for none"
            if self.path[-2:-1] == ("errors",) and self.path[-1] in SEVERITIES:
                hint = f"the exception comes first: `{{package.Error: {self.path[-1]}}}`"
            if isinstance(value, dict) and self.name() == "threshold":
                hint = "write a duration for each severity under `thresholds`"
            message = str(error)
            return slug, f"{message}, not {self.given()}" if message.startswith("expected") else message, hint
        return slug, f"{self.given()} is not allowed here", ""

    def wrong_type(self) -> tuple[str, str, str]:
        if self.title == "fraction":
            hint = hints.for_fraction(self.placed.text)
            return "bad-value", f"expected a number from 0 to 1, not {self.given()}", hint
        if self.title == "count":
            return "bad-value", f"expected a whole number from 1 on, not {self.given()}", ""
        wanted = self.schema.get("type", self.error.validator_value)
        wanted = [wanted] if isinstance(wanted, str) else wanted
        expected = " or ".join(_NAMES[kind] for kind in wanted if kind != "null") or "nothing"
        hint = ""
        text = self.placed.text
        if "boolean" in wanted and isinstance(self.instance, str):
            meant = units.BOOLEANS.get(self.instance.lower())
            hint = f"did you mean `{meant}`?" if meant else ""
            if self.instance.lower() in ("true", "false"):
                hint = "write it without quotes"
        elif "string" in wanted and text and not isinstance(self.instance, str):
            hint = f'quote it: "{text}"'
        elif "array" in wanted and isinstance(self.instance, str):
            hint = f"did you mean `[{text}]`?"
        node = self.placed.node
        items = [child.text for child in node.children] if node and isinstance(node.children, list) else []
        hint = hint or hints.for_shape(self.name(), wanted, self.instance, text, items)
        return "wrong-type", f"expected {expected}, not {self.given()}", hint

    def bad_name(self) -> str:
        return f"`{str(self.instance)[:100]}` {_NAMING.get(self.title, 'is not allowed as a key here')}"

    def name(self) -> str:
        return next((str(key) for key in reversed(self.path) if isinstance(key, str)), "the file")

    def given(self) -> str:
        """The value as the file has it: what came from the environment is not repeated."""
        if self.of_key:
            return f"`{str(self.instance)[:100]}`"
        text = self.placed.text
        if text is not None:
            return f"`{text[:100]}`" if text else "nothing"
        kinds = {"dict": "a mapping", "list": "a list"}
        return kinds.get(type(self.instance).__name__, "nothing")
