"""The decorators that ERPs write for Sentry, and those of this agent, which have the same names (agent/decorate.py)."""

from __future__ import annotations

import ast
import re
from typing import Any

from ...language import expressions, units
from ...language.targets import TargetError, parse_dotted
from .found import NotCarried
from .names import COMPUTED
from .use import Use, keys

#: Decorator → kind of monitor, the arguments that it takes by position.
_DECORATORS = {
    "sentry_monitor": ("function", ("module", "operation")),
    "sentry_database_monitor": ("database", ("model", "operation")),
    "sentry_business_logic_monitor": ("business", ("process", "operation")),
    "sentry_transaction": ("transaction", ("name", "op")),
    "sentry_api_monitor": ("api", ("endpoint",)),
    "sentry_security_monitor": ("security", ("event_type", "severity")),
    "monitor_sales_operation": ("function", ("operation",)),
    "monitor_inventory_operation": ("function", ("operation",)),
    "monitor_production_operation": ("function", ("operation",)),
    "monitor_quality_operation": ("function", ("operation",)),
}
_CAPTURED = re.compile(r"[^\W\d_]\w*(\.[^\W\d_]\w*)*")

INSIDE: frozenset[str] = frozenset()
STAYING: frozenset[str] = frozenset()


def decorator(use: Use) -> dict[str, Any] | None:
    if use.name.endswith("Preset()"):
        raise NotCarried("its module is an argument of a Preset", "name the function in a monitor with that `module`")
    known = _DECORATORS.get(use.last)
    if known is None:
        return None
    kind, positional = known
    use.signature(*positional)
    module = use.module("module")
    if use.last.startswith("monitor_"):
        module = use.last.split("_")[1]
    made = keys(
        kind=kind if kind != "function" else "",
        module=module or ("security" if kind == "security" else ""),
        model=use.operation("model") if kind == "database" else "",
        process=use.operation("process") if kind == "business" else "",
        name=use.operation("name", 200) if kind == "transaction" else "",
        endpoint=use.operation("endpoint") if kind == "api" else "",
        event_type=use.operation("event_type") if kind == "security" else "",
        operation=use.operation("operation") or use.operation("op"),
        severity=use.severity("severity"),
        threshold=use.duration("threshold"),
        capture=_capture(use),
        expect=_expected(use),
        tags=use.tags("tags"),
        audit=_audit(use),
    )
    use.rest()
    return made


def _audit(use: Use) -> Any:
    value = use.value("audit")
    if value in (None, False):
        return None
    try:
        units.audit(value)
    except units.UnitError:
        use.remark(f"audit={value!r:.60}", "it is neither true nor a severity", "write `audit: true` by hand")
        return None
    return value


def _capture(use: Use) -> dict[str, str] | list[str] | None:
    value = use.value("capture")
    if value is None:
        return None
    named = value if isinstance(value, dict) else {each: each for each in value} if _iterable(value) else {"": value}
    good: dict[str, str] = {}
    for name, text in named.items():
        if isinstance(name, str) and _CAPTURED.fullmatch(name) and _is_expression(text):
            good[name.replace(".", "_")] = text
        else:
            use.remark(f"capture: {name!r:.60}", "it is no expression of monitors.yaml", "write one under `capture`")
    return list(good) if all(name == text for name, text in good.items()) else good


def _is_expression(text: object) -> bool:
    try:
        return isinstance(text, str) and bool(expressions.parse(text))
    except expressions.ExpressionError:
        return False


def _iterable(value: object) -> bool:
    return isinstance(value, (list, tuple, set)) and all(isinstance(each, str) for each in value)


def _expected(use: Use) -> list[str]:
    node = use.take("expect")
    node = use.names.expression(node) if node is not None else None
    if node is None:
        return []
    if not isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        use.remark("expect=…", "it is computed when the program runs", "write the exceptions under `expect`")
        return []
    found = []
    for each in node.elts:
        value = use.names.value(each)
        name = value if isinstance(value, str) else use.names.class_name(each) if value is COMPUTED else ""
        try:
            found.append(parse_dotted(name))
        except TargetError:
            use.remark("expect: an exception", "its dotted name is not known", "write it under `expect`")
    return list(dict.fromkeys(found))
