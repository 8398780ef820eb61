"""One monitor as written → MonitorData. What is wrong with it is reported on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...base.model import ExpressionData, MonitorData, RuleData, SpanData, TargetData
from ...language import units
from ...language.monitor_keys import KEYS, KIND_OF, plain_monitor
from ...language.nearest import did_you_mean, listed
from ...language.placeholders import PlaceholderError, placeholders
from ...language.targets import TargetError, parse_exclude
from ..findings import Findings
from ..read.document import Placed
from ..read.node import Key
from ..requirements import RequirementError, parse_requirement
from . import stances, values
from .inherit import inherit
from .merge import Settings, WrittenMonitor

#: Keys whose values are those of the monitor, as they are.
_AS_GIVEN = frozenset(
    key.name for key in KEYS if key.value in ("flag", "text", "texts") and key.field is not None and not key.kind
)
_DETAIL = (*KIND_OF, "name")
_OPERATION_NAMES = ("name", "qualname", "module", "class", "route")


def build(written: WrittenMonitor, settings: Settings, findings: Findings) -> MonitorData | None:
    """None where anything about the monitor is wrong. Its name may still be "": monitor_names derives it.

    Where a change in `packs` is wrong, it is left out, and the pack's own value counts.
    """
    built = Builder(written, settings, findings).build()
    right = {key: placed for key, placed in written.changes.items() if not findings.is_wrong(placed)}
    if len(right) == len(written.changes):
        return built
    value = {**written.placed.value, **{key: placed.value for key, placed in right.items()}}
    return build(written._replace(value=value, changes=right), settings, findings)


def captures(given: Any) -> list[tuple[str, Key, Any]]:
    """(name, key or place, expression) of each: `[a, b.c]` is short for `{a: a, b_c: b.c}`."""
    if isinstance(given, dict):
        return [(name, name, text) for name, text in given.items()]
    listed = enumerate(given) if isinstance(given, list) else ()
    return [(text.replace(".", "_"), index, text) for index, text in listed if isinstance(text, str)]


class Builder:
    def __init__(self, written: WrittenMonitor, settings: Settings, findings: Findings) -> None:
        self.written = written
        self.value = written.value
        self.settings = settings
        self.findings = findings

    def build(self) -> MonitorData | None:
        targets = self.targets()
        exclude = [text for placed in self.texts("exclude") if (text := self.exclude(placed)) is not None]
        exceptions = stances.checked(self.written, self.findings)
        capture = {name: parsed for name, parsed in self.captured() if parsed is not None}
        rules = self.rules(capture)
        unless = self.expression(self.written.at("unless")) if "unless" in self.value else None
        span = self.span()
        self.check_module()
        self.check_operation()
        self.check_requirement()
        values.check_inheritable(self.written.placed, self.findings)
        if self.findings.is_wrong(self.written.placed):
            return None
        return self.data(targets, exclude, exceptions, capture, rules, unless, span)

    def data(
        self,
        targets: list[TargetData],
        exclude: list[str],
        exceptions: dict[str, str],
        capture: dict[str, ExpressionData],
        rules: list[RuleData],
        unless: ExpressionData | None,
        span: SpanData | None,
    ) -> MonitorData:
        value = self.value
        kind = value.get("kind", "function")
        inherited = inherit(self.written, kind, self.settings, self.findings)
        module = self.module()
        for rule in rules:
            rule["severity"] = rule["severity"] or inherited.severity
        owner = module.get("owner")
        detail = {key: value[key] for key in _DETAIL if key in value and KIND_OF.get(key, "transaction") == kind}
        as_given = {key: value[key] for key in value if key in _AS_GIVEN and not isinstance(value[key], dict)}
        return plain_monitor(**{
            **as_given,
            **inherited._asdict(),
            "where": self.written.where,
            "targets": targets,
            "exclude": exclude,
            "operation": value.get("operation") or next((detail[key] for key in detail if key != "model"), "{name}"),
            "detail": detail,
            **stances.lists(exceptions),
            "capture": capture,
            "rules": rules,
            "audit": units.audit(value.get("audit", False)),
            "tags": {**module.get("tags", {}), **value.get("tags", {})},
            "owner": owner if isinstance(owner, str) and owner else None,
            "unless": unless,
            "span_data": span,
        })  # fmt: skip

    # One key after the other. What the schema has reported is passed over in silence.

    def add(self, placed: Placed, slug: str, message: str, hint: str = "", *, of_key: bool = False) -> None:
        if not self.findings.has(placed):
            self.findings.add(placed, slug, message, hint, of_key=of_key)

    def texts(self, key: str) -> Iterator[Placed]:
        if key not in self.value:
            return iter(())
        return (placed for placed in self.written.at(key).texts() if not self.findings.has(placed))

    def expression(self, placed: Placed) -> ExpressionData | None:
        return values.expression(placed, self.findings)

    def targets(self) -> list[TargetData]:
        found: list[TargetData] = []
        for key in ("target", "targets"):
            for placed in self.texts(key):
                target = values.target(placed, self.findings)
                if target is None:
                    continue
                if any(target["path"] == other["path"] for other in found):
                    self.add(placed, "duplicate-target", f"{placed.quoted} is in this list twice", "keep one of them")
                found.append(target)
        return found

    def exclude(self, placed: Placed) -> str | None:
        try:
            return parse_exclude(placed.value)
        except TargetError as error:
            values.bad_target(placed, error, self.findings)
            return None

    def span(self) -> SpanData | None:
        """What the monitor's spans are, where it describes them."""
        if "span" not in self.value:
            return None
        placed = self.written.at("span")
        if not isinstance(placed.value, dict) or not isinstance(placed.value.get("op"), str):
            return None
        description = self.of_span(placed.at("description"))
        fields = {name: self.of_span(each) for name, each in placed.at("data").fields()}
        data = {name: parsed for name, parsed in fields.items() if parsed is not None}
        return {"op": placed.value["op"], "description": description, "data": data}

    def of_span(self, placed: Placed) -> ExpressionData | None:
        parsed = self.expression(placed)
        for name in ("error", "duration") if parsed is not None else ():
            if name in parsed["names"]:  # type: ignore[index]
                message = f"`{name}` is not known to a span: it has parameters and `result`"
                self.add(placed, "bad-expression", message, f"a span has its duration anyway; leave `{name}` out")
        return parsed

    def captured(self) -> Iterator[tuple[str, ExpressionData | None]]:
        names: set[str] = set()
        for name, key, text in captures(self.value.get("capture")):
            placed = self.written.at("capture", key)
            if name in names:
                message = f"{placed.quoted} would be captured as `{name}`, as another one is"
                self.add(placed, "bad-value", message, f"give each a name: `{{{name}: {text}, …}}`")
            names.add(name)
            yield name, self.expression(placed)

    def rules(self, capture: dict[str, ExpressionData]) -> list[RuleData]:
        found: list[RuleData] = []
        for rule in self.written.at("rules").items() if "rules" in self.value else ():
            if not isinstance(rule.value, dict):
                continue
            when = self.expression(rule.at("when"))
            message = rule.value.get("message")
            if isinstance(message, str):
                self.check_message(rule.at("message"), capture)
            severity = rule.at("severity")
            inherits = severity.value is None or self.findings.has(severity)
            often = self.often(rule.at("escalate"))
            each = self.expression(rule.at("each"))
            if each is not None and "escalate" not in rule.value:
                message = "`each` belongs to `escalate`, which this rule does not have"
                self.add(rule.at("each"), "misplaced-key", message, "add `escalate: 10/h`, or remove `each`")
            if when is not None and isinstance(message, str):
                level = "" if inherits else units.severity(severity.value)
                found.append({"when": when, "message": message, "severity": level, "escalate": often, "each": each})
        return found

    def often(self, placed: Placed) -> tuple[float, float] | None:
        values.check_unit(placed, units.escalation_rate, "bad-rate", self.findings, off=True)
        wanted = not units.is_off(placed.value) and not self.findings.has(placed)
        return units.escalation_rate(placed.value) if wanted else None

    def placeholders(self, placed: Placed) -> list[str]:
        try:
            return placeholders(placed.value)
        except PlaceholderError as error:
            self.add(placed, "bad-placeholder", str(error))
            return []

    def check_message(self, placed: Placed, capture: dict[str, ExpressionData]) -> None:
        known = {*capture, *(name for name, _, _ in captures(self.value.get("capture")))}
        for name in self.placeholders(placed):
            if name not in known:
                hint = did_you_mean(name, known, f"add `{name}: …` to `capture`")
                self.add(placed, "unknown-placeholder", f"`{{{name}}}` is not in this monitor's `capture`", hint)

    def check_module(self) -> None:
        name = self.value.get("module")
        known = self.settings.modules
        if isinstance(name, str) and name and name not in known:
            otherwise = f"declared are {listed(known)}" if known else f"declare it: `modules: {{{name}: {{}}}}`"
            hint = did_you_mean(name, known, otherwise)
            self.add(self.written.at("module"), "unknown-module", f"the module `{name[:100]}` is not declared", hint)

    def check_operation(self) -> None:
        if "operation" not in self.value:
            return
        placed = self.written.at("operation")
        for name in self.placeholders(placed) if isinstance(placed.value, str) else ():
            if name not in _OPERATION_NAMES:
                hint = did_you_mean(name, _OPERATION_NAMES, f"there are {listed(_OPERATION_NAMES)}")
                self.add(placed, "unknown-placeholder", f"`{{{name}}}` means nothing in an operation", hint)

    def check_requirement(self) -> None:
        for placed in self.texts("requires"):
            try:
                parse_requirement(placed.value)
            except RequirementError as error:
                message = f"{placed.quoted} is not a requirement: {error}"
                self.add(placed, "bad-requirement", message, "write it as in `Django>=4.2` or `celery>=5.2,<6`")

    def module(self) -> dict[str, Any]:
        """What is declared of the monitor's module; for each key and tag the nearest declaration counts."""
        found: dict[str, Any] = {}
        for placed in reversed(self.settings.module(self.value.get("module"))):
            tags = {key: tag.value for key, tag in placed.at("tags").fields() if isinstance(tag.value, str)}
            found = {**found, **placed.value, "tags": {**found.get("tags", {}), **tags}}
        return found
