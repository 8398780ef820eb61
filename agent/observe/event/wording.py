"""The texts of an event: its message, its fingerprint, and the placeholders that both may contain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...privacy.patterns import Patterns
from ...privacy.redact import SCRUBBED, clip, is_secret
from ...privacy.scrub import scrub_json
from ..failure.severity import PACK
from .represent import type_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...base.model import Json, Observation

LONGEST_MESSAGE = 1_000
_LONGEST_VALUE = 200

_patterns = Patterns(placeholder=r"(?<!\{)\{([A-Za-z_]\w{0,80})\}(?!\})")


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace `{name}` where `values` contains the name. The rest of `str.format`'s language has no meaning here."""
    if "{" not in template:
        return template
    return _patterns.placeholder.sub(lambda found: values.get(found.group(1), found.group()), template)


def placeholders(observation: Observation, captured: Mapping[str, Json]) -> dict[str, str]:
    """The values of the placeholders in messages and fingerprints."""
    monitor = observation.monitor
    error = observation.exception
    values = {
        "monitor": monitor["name"],
        "operation": observation.operation,
        "module": monitor["module"] or "",
        "function": observation.function,
        "report": observation.report,
        "severity": observation.severity,
        "duration": duration_text(observation.duration),
        "error": type_name(type(error)) if error is not None else "",
    }
    for name, value in captured.items():
        text = value if type(value) is str else str(scrub_json(value))
        values[name] = SCRUBBED if is_secret(name) else clip(text, _LONGEST_VALUE)
    return values


def subject(observation: Observation, made: Mapping[str, Any]) -> str:
    """What a report is about: its operation; method and route, if the monitor is a pack's for all routes.

    `made` is the event with its transaction and contexts.
    """
    monitor = observation.monitor
    names = observation.operation, f"{observation.operation}_async"  # the pack's monitors, of either kind of view
    everything = monitor["kind"] == "api" and monitor["where"].startswith(PACK) and monitor["name"] in names
    if not everything:
        return observation.operation
    request = made["contexts"].get("request", {})
    routed = request.get("method") and request.get("route") and "operation" not in request  # that of GraphQL
    return f"{request['method']} {made['transaction']}" if routed else str(made["transaction"])


def message(observation: Observation, values: Mapping[str, str], about: str) -> dict[str, str]:
    """Sentry's `logentry` of a report that is about no exception. `about` is its subject."""
    template = observation.message
    if template and template.startswith(f"{observation.operation} "):
        template = about + template[len(observation.operation) :]
    if template:
        return {"message": clip(template, LONGEST_MESSAGE), "formatted": clip(fill(template, values), LONGEST_MESSAGE)}
    if observation.report == "slow":
        limit = f" (limit {duration_text(observation.threshold)})" if observation.threshold is not None else ""
        return {
            "message": f"{about} was slow",
            "formatted": f"{about} took {duration_text(observation.duration)}{limit}",
        }
    event_type = observation.monitor["detail"].get("event_type")
    other = event_type if event_type != observation.operation else None
    text = f"{observation.operation} ({other})" if other else f"{observation.operation} was called"
    return {"message": text, "formatted": text}


def fingerprint(observation: Observation, values: dict[str, str], function: str, about: str) -> list[str]:
    """`function` is the innermost one of the ERP that an exception passed, or else the endpoint or task that ran."""
    cause = _cause(observation, function)
    if not has_exception(observation) and about != observation.operation:
        cause = f"{cause} in {about}"
    template = observation.monitor["fingerprint"]
    if not template:
        return [observation.monitor["name"], observation.report, observation.operation, cause]
    values["cause"] = cause
    return [fill(part, values)[:LONGEST_MESSAGE] for part in template]


def has_exception(observation: Observation) -> bool:
    return observation.report == "error" and observation.exception is not None


def _cause(observation: Observation, function: str) -> str:
    if has_exception(observation):
        return f"{type_name(type(observation.exception))} in {function}"
    if observation.report == "slow":
        return observation.severity
    return observation.message or observation.monitor["detail"].get("event_type") or observation.operation


def duration_text(seconds: float | None) -> str:
    """3.2 s, 320 ms, 2 min 5 s; "" where the duration is unknown."""
    if seconds is None or not seconds >= 0:
        return ""
    if seconds < 0.001:
        return f"{seconds * 1_000_000:.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
