"""What a monitor inherits.

Its own word wins over its module's defaults, those over its pack's, those over the file's, those over what its kind
implies. What `packs` says of a pack's monitor is its own word; what a pack says of a module counts below what the files
say of it.

Built in: severity `error` (kind security: `warning`), no threshold (kind api: 5s, kind database: 1s), rate_limit
30/min, sample 1, span auto, no escalation. `off` (or null, or false) for a threshold, a rate limit or `escalate` ends
the search: there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...language import units
from ...language.monitor_keys import INHERITED, KEYS, KIND_SEVERITY, KIND_THRESHOLD
from .merge import Placed, layer

if TYPE_CHECKING:
    from ..findings import Findings
    from .merge import Entry, Settings

_DEFAULTS = {key.name: key.default for key in KEYS if key.inherited}


class Inherited(NamedTuple):
    severity: str
    thresholds: list[tuple[float, str]]  # ascending
    rate_limit: tuple[float, float] | None
    sample: float
    span: str
    escalate: tuple[float, float] | None


def inherit(entry: Entry, kind: str, settings: Settings, findings: Findings) -> Inherited:
    chosen = choose(entry, settings, findings)
    severity = KIND_SEVERITY.get(kind, _DEFAULTS["severity"])
    if "severity" in chosen:
        severity = units.severity(chosen["severity"].value)
    return Inherited(
        severity,
        _thresholds(chosen.get("threshold"), severity, kind),
        _rate(chosen.get("rate_limit"), _DEFAULTS["rate_limit"]),
        float(chosen["sample"].value) if "sample" in chosen else _DEFAULTS["sample"],
        str(chosen["span"].value) if "span" in chosen else _DEFAULTS["span"],
        _rate(chosen.get("escalate"), None),
    )


def choose(entry: Entry, settings: Settings, findings: Findings) -> dict[str, Placed]:
    """The word that counts for each of `INHERITED`, where anybody says one."""
    own = {key: value for key, value in entry.value.items() if key not in entry.changes}
    changes = {key if key != "thresholds" else "threshold": placed for key, placed in entry.changes.items()}
    layers = [changes, layer(entry.document, entry.path, own, findings)]
    for declared in settings.module(entry.value.get("module")):
        path = (*declared.path, "defaults")
        layers.append(layer(declared.document, path, declared.value.get("defaults"), findings))
    if entry.pack:
        layers.append(layer(entry.document, ("defaults",), entry.document.value.get("defaults"), findings))
    layers.append(settings.defaults)
    chosen: dict[str, Placed] = {}
    for one in layers:
        for key in INHERITED:
            if key in one:
                chosen.setdefault(key, one[key])
    return chosen


def check_ladder(placed: Placed, findings: Findings) -> None:
    """A milder severity must have the shorter duration, or it could never be seen."""
    steps: list[tuple[int, float, str]] = []
    try:
        for key, value in placed.value.items():
            steps.append((units.rank(units.severity(key)), units.duration(value), key))
    except units.UnitError:
        return  # the schema has said so
    steps.sort(key=lambda step: step[0])
    for (mild, short, milder), (severe, long, key) in zip(steps, steps[1:]):
        if severe == mild:
            findings.add(
                placed.document,
                (*placed.path, key),
                "bad-ladder",
                f"`{milder}` and `{key}` are the same severity",
                "keep one of them",
                of_key=True,
            )
        elif long <= short:
            findings.add(
                placed.document,
                (*placed.path, key),
                "bad-ladder",
                f"`{key}` is more severe than `{milder}`, so it needs a duration longer than "
                f"{units.format_duration(short)}, not {units.format_duration(long)}",
                "did you swap the two?" if long < short else "",
            )


def _thresholds(placed: Placed | None, severity: str, kind: str) -> list[tuple[float, str]]:
    slow = min("warning", severity, key=units.rank)
    if placed is None:
        return [(KIND_THRESHOLD[kind], slow)] if kind in KIND_THRESHOLD else []
    return ladder(placed.value, slow)


def ladder(value: object, slow: str = "warning") -> list[tuple[float, str]]:
    """(seconds, severity), ascending, of a ladder or of a single duration, which is told as `slow`; [] for `off`."""
    if isinstance(value, dict):
        return sorted((units.duration(each), units.severity(key)) for key, each in value.items())
    return [] if units.is_off(value) else [(units.duration(value), slow)]


def _rate(placed: Placed | None, built_in: tuple[float, float] | None) -> tuple[float, float] | None:
    if placed is None:
        return built_in
    return None if units.is_off(placed.value) else units.rate(placed.value)
