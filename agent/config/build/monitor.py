"""One monitor as written → MonitorData, with what is wrong about it told on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...language import expressions, hints, units
from ...language.monitor_keys import KEYS, KIND_OF, plain_monitor
from ...language.nearest import did_you_mean, listed
from ...language.placeholders import PlaceholderError, placeholders
from ...language.targets import TargetError, parse_dotted, parse_exclude, parse_target
from ...language.units import escalation_rate, is_off, severity
from ..read.document import place_within, written
from ..requirements import RequirementError, parse_requirement
from .checks import check_unit
from .inherit import inherit
from .sections import check_inheritable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...base.model import ExpressionData, MonitorData, RuleData, TargetData
    from ..findings import Findings
    from ..read.document import Document
    from ..read.node import Key
    from .merge import Entry, Settings

_OPERATION_NAMES = ("name", "qualname", "module", "class")


def build(entry: Entry, settings: Settings, findings: Findings) -> MonitorData | None:
    """None where anything about the monitor is wrong. Its name may still be "": names.py derives it.

    What `packs` changes and is wrong is left out, and the pack's own word counts.
    """
    built = _Builder(entry, settings, findings).build()
    right = {
        key: placed for key, placed in entry.changes.items() if not findings.is_wrong(placed.document, *placed.path)
    }
    if len(right) == len(entry.changes):
        return built
    monitors = entry.document.value["monitors"]
    value = {**monitors[entry.number], **{key: placed.value for key, placed in right.items()}}
    return build(entry._replace(value=value, changes=right), settings, findings)


def captures(given: Any) -> list[tuple[str, Key, Any]]:
    """(name, key or place, expression) of each: `[a, b.c]` is short for `{a: a, b_c: b.c}`."""
    if isinstance(given, dict):
        return [(name, name, text) for name, text in given.items()]
    listed = enumerate(given) if isinstance(given, list) else ()
    return [(text.replace(".", "_"), index, text) for index, text in listed if isinstance(text, str)]


class _Builder:
    def __init__(self, entry: Entry, settings: Settings, findings: Findings) -> None:
        self.entry = entry
        self.value = entry.value
        self.settings = settings
        self.findings = findings

    def build(self) -> MonitorData | None:
        targets = self.targets()
        exclude = [text for path, given in self.texts("exclude") if (text := self.exclude(path, given)) is not None]
        expect = [given for path, given in self.texts("expect") if self.is_dotted(path, given)]
        errors = self.errors()
        capture = {name: parsed for name, parsed in self.captured() if parsed is not None}
        rules = self.rules(capture)
        unless = self.expression(self.at("unless"), self.value.get("unless"))
        self.check_module()
        self.check_operation()
        self.check_requirement()
        own = {key: value for key, value in self.value.items() if key not in self.entry.changes}
        check_inheritable(self.entry.document, self.entry.path, own, self.findings)
        if self.findings.is_wrong(self.entry.document, *self.entry.path):
            return None
        return self.data(targets, exclude, expect, errors, capture, rules, unless)

    def data(
        self,
        targets: list[TargetData],
        exclude: list[str],
        expect: list[str],
        errors: dict[str, str],
        capture: dict[str, ExpressionData],
        rules: list[RuleData],
        unless: ExpressionData | None,
    ) -> MonitorData:
        value = self.value
        kind = value.get("kind", "function")
        inherited = inherit(self.entry, kind, self.settings, self.findings)
        module = self.module()
        for rule in rules:
            rule["severity"] = rule["severity"] or inherited.severity
        owner = module.get("owner")
        names = [key for key, only in KIND_OF.items() if only == kind] + ["name"] * (kind == "transaction")
        detail = {key: value[key] for key in names if key in value}
        as_given = {
            key.name: value[key.name]
            for key in KEYS
            if key.name in value and key.value in ("flag", "text", "texts") and key.field is not None and not key.kind
        }
        return plain_monitor(**{
            **as_given,
            **inherited._asdict(),
            "where": self.entry.where,
            "targets": targets,
            "exclude": exclude,
            "operation": value.get("operation") or next((detail[key] for key in detail if key != "model"), "{name}"),
            "detail": detail,
            "errors": errors,
            "expect": expect,
            "capture": capture,
            "rules": rules,
            "audit": units.audit(value.get("audit", False)),
            "tags": {**module.get("tags", {}), **value.get("tags", {})},
            "owner": owner if isinstance(owner, str) and owner else None,
            "unless": unless,
        })  # fmt: skip

    # One key after the other. What the schema has refused is passed over in silence.

    def add(self, path: tuple[Key, ...], slug: str, message: str, hint: str = "", *, of_key: bool = False) -> None:
        document = self.document(path)
        if not self.findings.has(document, path):
            self.findings.add(document, path, slug, message, hint, of_key=of_key)

    def at(self, key: str, *more: Key) -> tuple[Key, ...]:
        return self.entry.at(key, *more)[1]

    def document(self, path: tuple[Key, ...]) -> Document:
        """The file that a path of this monitor leads through."""
        changes = self.entry.changes.values()
        found = (placed.document for placed in changes if path[: len(placed.path)] == placed.path)
        return next(found, self.entry.document)

    def texts(self, key: str) -> Iterator[tuple[tuple[Key, ...], str]]:
        """The texts of a list, or the single text, under a key."""
        given = self.value.get(key)
        path = self.at(key)
        items = [((*path, index), item) for index, item in enumerate(given)] if isinstance(given, list) else []
        if isinstance(given, str):
            items = [(path, given)]
        for where, item in items:
            if isinstance(item, str) and item and not self.findings.has(self.document(where), where):
                yield where, item

    def targets(self) -> list[TargetData]:
        found: list[TargetData] = []
        for key in ("target", "targets"):
            for path, text in self.texts(key):
                try:
                    target = parse_target(text)
                except TargetError as error:
                    self.add(path, "bad-target", f"{self.shown(path)}: {error}", self.meant(path, text) or error.hint)
                    continue
                if any(target["path"] == other["path"] for other in found):
                    self.add(path, "duplicate-target", f"{self.shown(path)} is in this list twice", "keep one of them")
                found.append(target)
        return found

    def exclude(self, path: tuple[Key, ...], text: str) -> str | None:
        try:
            return parse_exclude(text)
        except TargetError as error:
            self.add(path, "bad-target", f"{self.shown(path)}: {error}", self.meant(path, text) or error.hint)
            return None

    def is_dotted(self, path: tuple[Key, ...], text: str, *, of_key: bool = False) -> bool:
        try:
            parse_dotted(text)
        except TargetError as error:
            self.add(path, "bad-exception", f"`{text[:100]}`: {error}", error.hint, of_key=of_key)
            return False
        return True

    def errors(self) -> dict[str, str]:
        given = self.value.get("errors")
        found = {}
        for name, level in given.items() if isinstance(given, dict) else ():
            path = self.at("errors", name)
            if not self.findings.has(self.document(path), path) and self.is_dotted(path, name, of_key=True):
                found[name] = severity(level)
                if name in self.listed("expect"):
                    self.add(
                        path,
                        "contradiction",
                        f"`{name}` is in `expect` too: it cannot be both",
                        "keep one of them",
                        of_key=True,
                    )
        return found

    def captured(self) -> Iterator[tuple[str, ExpressionData | None]]:
        names: set[str] = set()
        for name, key, text in captures(self.value.get("capture")):
            path = self.at("capture", key)
            if name in names:
                self.add(path, "bad-value", f"{self.shown(path)} would be captured as `{name}`, as another one is",
                         f"give each a name: `{{{name}: {text}, …}}`")  # fmt: skip
            names.add(name)
            yield name, self.expression(path, text)

    def expression(self, path: tuple[Key, ...], text: object) -> ExpressionData | None:
        document = self.document(path)
        if not isinstance(text, str) or self.findings.has(document, path):
            return None

        def add(slug: str, error: expressions.ExpressionError, severity: str) -> None:
            mark = place_within(document, path, error.column)
            message = f"column {error.column}: {error}"
            self.findings.add(document, path, slug, message, error.hint, severity=severity, mark=mark)

        try:
            return expressions.parse(text, lambda doubt: add("identity-comparison", doubt, "warning"))
        except expressions.ExpressionError as error:
            add("bad-expression", error, "error")
            return None

    def rules(self, capture: dict[str, ExpressionData]) -> list[RuleData]:
        given = self.value.get("rules")
        found: list[RuleData] = []
        for index, rule in enumerate(given if isinstance(given, list) else ()):
            if not isinstance(rule, dict):
                continue
            path = self.at("rules", index)
            when = self.expression((*path, "when"), rule.get("when"))
            message = rule.get("message")
            if isinstance(message, str):
                self.check_message((*path, "message"), message, capture)
            level = rule.get("severity")
            wrong = level is None or self.findings.has(self.document(path), (*path, "severity"))
            often = self.often((*path, "escalate"), rule)
            if when is not None and isinstance(message, str):
                level = "" if wrong else severity(level)
                found.append({"when": when, "message": message, "severity": level, "escalate": often})
        return found

    def often(self, path: tuple[Key, ...], rule: dict[str, Any]) -> tuple[float, float] | None:
        document = self.document(path)
        check_unit(document, path, rule, escalation_rate, "bad-rate", self.findings, switch=True)
        given = rule.get("escalate")
        return None if is_off(given) or self.findings.has(document, path) else escalation_rate(given)

    def check_message(self, path: tuple[Key, ...], message: str, capture: dict[str, ExpressionData]) -> None:
        known = {*capture, *(name for name, _, _ in captures(self.value.get("capture")))}
        try:
            names = placeholders(message)
        except PlaceholderError as error:
            self.add(path, "bad-placeholder", str(error))
            return
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known, f"add `{name}: …` to `capture`")
                self.add(path, "unknown-placeholder", f"`{{{name}}}` is not in this monitor's `capture`", hint)

    def check_module(self) -> None:
        name = self.value.get("module")
        if isinstance(name, str) and name and name not in self.settings.modules:
            known = self.settings.modules
            otherwise = f"declared are {listed(known)}" if known else f"declare it: `modules: {{{name}: {{}}}}`"
            self.add(
                self.at("module"),
                "unknown-module",
                f"the module `{name[:100]}` is not declared",
                did_you_mean(name, known, otherwise),
            )

    def check_operation(self) -> None:
        text = self.value.get("operation")
        if not isinstance(text, str):
            return
        path = self.at("operation")
        try:
            names = placeholders(text)
        except PlaceholderError as error:
            self.add(path, "bad-placeholder", str(error))
            return
        for name in names:
            if name not in _OPERATION_NAMES:
                self.add(
                    path,
                    "unknown-placeholder",
                    f"`{{{name}}}` means nothing in an operation",
                    did_you_mean(name, _OPERATION_NAMES, f"there are {listed(_OPERATION_NAMES)}"),
                )

    def check_requirement(self) -> None:
        for path, text in self.texts("requires"):
            try:
                parse_requirement(text)
            except RequirementError as error:
                message = f"{self.shown(path)} is not a requirement: {error}"
                self.add(path, "bad-requirement", message, "write it as in `Django>=4.2` or `celery>=5.2,<6`")

    def meant(self, path: tuple[Key, ...], text: str) -> str:
        """A hint repeats nothing that came from the environment."""
        return hints.for_target(text) if written(self.document(path), path) == text else ""

    def shown(self, path: tuple[Key, ...]) -> str:
        text = written(self.document(path), path)
        return f"`{(text or '')[:100]}`"

    def listed(self, key: str) -> list[Any]:
        given = self.value.get(key)
        return given if isinstance(given, list) else []

    def module(self) -> dict[str, Any]:
        """What is said of the monitor's module, the nearest word for each key and tag."""
        found: dict[str, Any] = {}
        for placed in reversed(self.settings.module(self.value.get("module"))):
            tags = {**found.get("tags", {}), **self.right_tags(placed.value.get("tags"))}
            found = {**found, **placed.value, "tags": tags}
        return found

    def right_tags(self, tags: Any) -> dict[str, str]:
        given = tags.items() if isinstance(tags, dict) else ()
        return {key: value for key, value in given if isinstance(value, str)}
