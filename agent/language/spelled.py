"""The value that a monitor has for a key, as monitors.yaml would spell it: for `explain` and `list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import learned
from .monitor_keys import REPEATING
from .units import format_duration, format_rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.model import MonitorData
    from .monitor_keys import MonitorKey


def value_of(key: MonitorKey, monitor: MonitorData) -> Any:
    """The value in a compiled monitor; None where the plan does not carry it."""
    if key.kind:
        return monitor["detail"].get(key.name)
    return monitor.get(key.field or key.name)


def explained(key: MonitorKey, monitor: MonitorData) -> str:
    """The value as monitors.yaml would spell it; "" where there is nothing to show."""
    value = value_of(key, monitor)
    if key.name == "threshold" and monitor["learn"] is not None:
        return learned.spelled(monitor["learn"])
    if value in (None, "", [], {}) or (key.value == "flag" and value == key.default):
        return key.off
    return _SPELLED.get(key.value, lambda _: "")(value)


def listed(key: MonitorKey, monitor: MonitorData) -> str:
    """The mention in `list`; "" where the value is the default."""
    value = value_of(key, monitor)
    if not key.mention or value == key.default:
        return ""
    several = value if isinstance(value, (list, dict)) else []
    number = len(several)
    words = {"value": explained(key, monitor), "names": ", ".join(map(str, several)), "number": number}
    return key.mention.format(**words, s="s" * (number != 1))


def _ladder(value: list[tuple[float, str]]) -> str:
    return ", ".join(f"{format_duration(seconds)} → {severity}" for seconds, severity in value)


def _intervals(value: dict[str, float]) -> str:
    if value == dict.fromkeys(REPEATING, value.get(REPEATING[0])):
        return format_duration(value[REPEATING[0]])
    return ", ".join(f"{report}: {format_duration(seconds)}" for report, seconds in value.items())


#: Kind of value → how people write one. Targets have a place of their own in both commands.
_SPELLED: "dict[str, Callable[[Any], str]]" = {
    "text": str,
    "texts": ", ".join,
    "flag": lambda value: str(value).lower(),
    "number": str,
    "share": lambda value: f"{value * 100:g}%",
    "fraction": lambda value: f"{value:g}",
    "audit": str,
    "rate": format_rate,
    "ladder": _ladder,
    "duration": format_duration,
    "intervals": _intervals,
    "graded": lambda value: ", ".join(f"{name} → {severity}" for name, severity in value.items()),
    "tags": lambda value: ", ".join(f"{name}: {text}" for name, text in value.items()),
    "expression": lambda value: str(value["text"]),
    "expressions": lambda value: ", ".join(f"{name}: {each['text']}" for name, each in value.items()),
    "rules": lambda value: ", ".join(rule["when"]["text"] for rule in value),
}
