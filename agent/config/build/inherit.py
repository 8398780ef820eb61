"""What a monitor inherits.

Its own value wins over its module's defaults, those over its pack's, those over the file's, those over what its kind
implies. Lists of exceptions add up instead: see `stances`. What `packs` gives for a pack's monitor counts as its own
value; a module's declaration in a pack counts below those in the files.

Built in: severity `error` (kind security: `warning`), no threshold (kind api: 5s, kind database: 1s), rate_limit
30/min, sample 1, span auto, metrics on, budget 1%, no escalation, no repeat_interval (packs: 10 minutes). `off` (or
null, or false) for a threshold, a rate limit, an interval or `escalate` ends the search: there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from ...base.model import LearnData
from ...language import learned, units
from ...language.monitor_keys import INHERITED, KEYS, KIND_SEVERITY, KIND_THRESHOLD, PACKS_REPEAT, REPEATING
from ..findings import Findings
from ..read.document import Placed
from .merge import ADDING, Settings, WrittenMonitor, layer

_Value = TypeVar("_Value")

_DEFAULTS = {key.name: key.default for key in KEYS if key.inherited}


class Inherited(NamedTuple):
    severity: str
    thresholds: list[tuple[float, str]]  # ascending
    rate_limit: tuple[float, float] | None
    sample: float
    span: str
    metrics: bool
    escalate: tuple[float, float] | None
    stuck: float | None
    learn: LearnData | None  # where the threshold is learned
    repeats: int | None
    budget: float | None
    repeat_interval: dict[str, float]


def inherit(monitor: WrittenMonitor, kind: str, settings: Settings, findings: Findings) -> Inherited:
    chosen = choose(monitor, settings, findings)
    severity = KIND_SEVERITY.get(kind, _DEFAULTS["severity"])
    if "severity" in chosen:
        severity = units.severity(chosen["severity"].value)
    return Inherited(
        severity,
        _thresholds(chosen.get("threshold"), severity, kind),
        _rate(chosen.get("rate_limit"), _DEFAULTS["rate_limit"]),
        float(chosen["sample"].value) if "sample" in chosen else _DEFAULTS["sample"],
        _span(chosen.get("span")),
        not units.is_off(chosen["metrics"].value) if "metrics" in chosen else _DEFAULTS["metrics"],
        _rate(chosen.get("escalate"), None),
        _switched(chosen.get("stuck"), units.duration),
        _learn(chosen.get("threshold")),
        _switched(chosen.get("repeats"), int),
        _switched(chosen["budget"], units.share) if "budget" in chosen else _DEFAULTS["budget"],
        _intervals(chosen, dict(PACKS_REPEAT) if monitor.pack and kind != "security" else {}),
    )


def choose(monitor: WrittenMonitor, settings: Settings, findings: Findings) -> dict[str, Placed]:
    """The value that counts for each of `INHERITED`, where one is given."""
    given = monitor.value.get("module")
    about = (given if isinstance(given, str) else None, monitor.document.file if monitor.pack else None)
    chosen = settings.beneath.get(about)
    if chosen is None:
        layers = [layer(module.at("defaults"), findings) for module in settings.module(about[0])]
        if monitor.pack:
            layers.append(layer(monitor.document.at("defaults"), findings))
        layers += [settings.defaults, settings.running]
        chosen = settings.beneath[about] = _overlaid(layers)
    written = monitor.placed
    own = {
        key if key != "thresholds" else "threshold": written.at(key)
        for key in written.value
        if (key in _DEFAULTS or key == "thresholds") and not findings.is_wrong(written.at(key))
    }
    changes = {key if key != "thresholds" else "threshold": placed for key, placed in monitor.changes.items()}
    return {**chosen, **own, **_overlaid([changes])} if changes else {**chosen, **own}


def _overlaid(layers: list[dict[str, Placed]]) -> dict[str, Placed]:
    """What the first of them that has a key gives for it."""
    return {key: one[key] for one in reversed(layers) for key in INHERITED if key in one and key not in ADDING}


def _thresholds(placed: Placed | None, severity: str, kind: str) -> list[tuple[float, str]]:
    slow = min("warning", severity, key=units.rank)
    if placed is None:
        return [(KIND_THRESHOLD[kind], slow)] if kind in KIND_THRESHOLD else []
    return ladder(placed.value, slow)


def ladder(value: object, slow: str = "warning") -> list[tuple[float, str]]:
    """(seconds, severity), ascending, of a ladder or of a single duration, whose severity is `slow`; [] for `off`."""
    if learned.is_learned(value):
        return []
    if isinstance(value, dict):
        return sorted((units.duration(each), units.severity(key)) for key, each in value.items())
    return [] if units.is_off(value) else [(units.duration(value), slow)]


def _intervals(chosen: dict[str, Placed], built_in: dict[str, float]) -> dict[str, float]:
    """Report → seconds, of a mapping or of one duration for all reports. Without a rate limit, all is reported."""
    if "rate_limit" in chosen and units.is_off(chosen["rate_limit"].value):
        return {}
    if "repeat_interval" not in chosen:
        return built_in
    value = chosen["repeat_interval"].value
    given = value if isinstance(value, dict) else dict.fromkeys(REPEATING, value)
    return {report: units.duration(each) for report, each in given.items() if not units.is_off(each)}


def _span(placed: Placed | None) -> str:
    """A mapping describes the span, which is made where a trace is on."""
    return str(placed.value) if placed is not None and isinstance(placed.value, str) else str(_DEFAULTS["span"])


def _learn(placed: Placed | None) -> LearnData | None:
    return learned.parse(placed.value) if placed is not None and learned.is_learned(placed.value) else None


def _switched(placed: Placed | None, parse: Callable[[Any], _Value]) -> _Value | None:
    """None where it is `off`, or nowhere given."""
    return parse(placed.value) if placed is not None and not units.is_off(placed.value) else None


def _rate(placed: Placed | None, built_in: tuple[float, float] | None) -> tuple[float, float] | None:
    if placed is None:
        return built_in
    return None if units.is_off(placed.value) else units.rate(placed.value)
