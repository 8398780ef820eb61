"""From an `Observation` to an `Event`: everything that leaves, in the ERP's words, and nothing else.

`build` represents and scrubs as it goes; `encode` makes the bytes. An event carries no argument, no local variable and
no value that the monitor does not capture.

An exception's mechanism says `handled: false` where it left a monitored operation: whether somebody further up deals
with it cannot be known when the event is made.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from ...base.guard import swallow
from ...base.interrupts import ours
from ...base.model import Platform
from ...base.version import __version__
from ...privacy.patterns import Patterns
from ...privacy.redact import SCRUBBED, clip, is_secret
from ...privacy.scrub import Clean, scrub, scrub_json
from . import exceptions
from .represent import Budget, represent, type_name
from .stack import stacktrace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import CodeType

    from ...base.model import Event, Json, Observation, SentryData

#: Bounds of one event: Sentry takes a megabyte, and one that is refused helps nobody.
_MOST_VALUES = 600
_LONGEST_TAG = 200
_LONGEST_TAG_NAME = 32
_LONGEST_MESSAGE = 1_000
_LONGEST_FILLING = 200

_LEVELS = frozenset(("debug", "info", "warning", "error", "fatal"))
#: What monitors.yaml says itself. `reset_password: …` in such a place is a name and not a password.
_FROM_THE_PLAN = frozenset(
    ("contexts.erp.monitor", "contexts.erp.function", "contexts.erp.operation", "contexts.erp.defined",
     "tags.erp.monitor", "tags.erp.operation")
)  # fmt: skip
_USER_FIELDS = {"id": "id", "username": "username", "email": "email", "ip": "ip_address", "permissions": "permissions"}


def platform_here(agent_version: str, *, release: str | None = None, in_app: tuple[str, ...] = ()) -> Platform:
    """The facts of this process. Call it once."""
    try:
        name: str | None = os.uname().nodename
    except ours(AttributeError, OSError):  # Windows
        name = os.environ.get("COMPUTERNAME")
    return Platform(agent_version, name, release, in_app)


_platform: Platform | None = None


def _here() -> Platform:
    global _platform
    if _platform is None:
        _platform = platform_here(__version__)
    return _platform


def build(
    observation: Observation,
    *,
    sentry: SentryData,
    context: Mapping[str, object],
    own: Callable[[CodeType], bool],
    platform: Platform | None = None,
    event_id: str | None = None,
) -> Event:
    """The event of one observation; the same input and `event_id` give the same event.

    `context` is what `context.collect` gave. `own` says which code objects are the agent's. Without `platform`, it is
    that of this process.
    """
    platform = platform or _here()
    budget = Budget(_MOST_VALUES)
    captured = {name: _represented(value, budget) for name, value in observation.captured.values.items()}
    filling = _filling(observation, captured)
    payload = _head(observation, sentry, context, platform, event_id)
    payload["contexts"] = _contexts(observation, context, captured, platform, budget)
    _add_user(payload, context, sentry, budget)
    _add_request(payload, context)
    crumbs = context.get("breadcrumbs")
    if type(crumbs) is list and crumbs:
        payload["breadcrumbs"] = {"values": _represented(crumbs, budget)}

    function = ""
    if observation.report == "error" and observation.exception is not None:
        values, function = exceptions.values_of(observation, own, platform.in_app)
        payload["exception"] = {"values": values}
    else:
        payload["logentry"] = _message(observation, filling)
        trace = stacktrace(None, observation.frame, own=own, in_app=platform.in_app)
        if trace is not None:
            thread = {"id": 0, "current": True, "crashed": False, "stacktrace": trace}
            payload["threads"] = {"values": [thread]}
    payload["fingerprint"] = _fingerprint(observation, filling, function or payload["transaction"])
    configured = ["user." + _USER_FIELDS[field] for field in sentry["user"] if field in ("username", "email")]
    return scrub(payload, keep=_FROM_THE_PLAN.union(configured))


def reduced(
    observation: Observation,
    *,
    sentry: SentryData,
    own: Callable[[CodeType], bool],
    platform: Platform,
    why: str,
    stack: bool,
) -> Event:
    """What is left of an event that cannot be made whole: the plan's own words and the type of the exception.

    With `stack`, the places that the exception passed as well. No text, value or line of source of the host's is
    looked at. `why` is what the whole one failed with; it stands in the event.
    """
    payload = _head(observation, sentry, {}, platform, None)
    erp = {**_words(observation), "reduced": why}
    payload["contexts"] = {"erp": {name: value for name, value in erp.items() if value is not None}}
    filling = _filling(observation, {})
    function = ""
    if observation.report == "error" and observation.exception is not None:
        value, function = exceptions.reduced(observation, own, platform.in_app, stack=stack)
        payload["exception"] = {"values": [value]}
    else:
        payload["logentry"] = _message(observation, filling)
    payload["fingerprint"] = _fingerprint(observation, filling, function or payload["transaction"])
    return scrub(payload, keep=_FROM_THE_PLAN)


def _head(
    observation: Observation,
    sentry: SentryData,
    context: Mapping[str, object],
    platform: Platform,
    event_id: str | None,
) -> dict[str, Any]:
    """What every event begins with, up to its tags."""
    payload: dict[str, Any] = {
        "event_id": event_id or os.urandom(16).hex(),
        "timestamp": observation.ended,
        "platform": "python",
        "level": observation.severity if observation.severity in _LEVELS else "error",
        "logger": "erp",
        "sdk": {"name": "erp-sentry-agent", "version": platform.agent_version},
    }
    where = {
        "environment": sentry["environment"],
        "release": sentry["release"] or platform.release,
        "server_name": platform.server_name,
    }
    payload.update((name, value) for name, value in where.items() if value)
    place = context.get("transaction")
    payload["transaction"] = place if type(place) is str and place else observation.operation
    payload["tags"] = _tags(observation, sentry, context)
    return payload


#: id of a frame that events share → that frame and its JSON.
_frames: dict[int, tuple[Clean, str]] = {}
_MOST_FRAMES_KNOWN = 2_000
_PLACE = "\0"


def encode(event: Event) -> bytes:
    """Compact JSON in UTF-8. A frame is spelt out once, however many events it is in."""
    held = cast("dict[str, Any]", event)
    told: list[str] = []
    shallow = dict(held)
    for holder in ("exception", "threads"):
        section: dict[str, Any] = held.get(holder) or {}
        if type(section.get("values")) is list:
            shallow[holder] = {**section, "values": [_shallow(each, told) for each in section["values"]]}
    whole = to_json(shallow)
    if told:
        first, *rest = whole.split('"\\u0000"')
        if len(rest) == len(told):
            whole = first + "".join([frames + after for frames, after in zip(told, rest)])
        else:  # a text of the host's spells our placeholder
            whole = to_json(held)
    return whole.encode("utf-8", "replace")


def _shallow(value: Any, told: list[str]) -> Any:
    trace = value.get("stacktrace") if type(value) is dict else None
    frames = trace.get("frames") if type(trace) is dict else None
    if type(frames) is not list:
        return value
    told.append("[" + ",".join([_frame(frame) for frame in frames]) + "]")
    return {**value, "stacktrace": dict(cast("dict[str, Any]", trace), frames=_PLACE)}


def _frame(frame: Any) -> str:
    if type(frame) is not Clean:
        return to_json(frame)
    known = _frames.get(id(frame))
    if known is None or known[0] is not frame:
        if len(_frames) >= _MOST_FRAMES_KNOWN:
            _frames.clear()
        known = _frames[id(frame)] = (frame, to_json(frame))
    return known[1]


def to_json(value: object, *, ascii_only: bool = False) -> str:
    """Compact, of exact JSON types."""
    return "".join((_ascii_encoder if ascii_only else _encoder)(value, 0))


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is no JSON")


def _make_encoder(*, ascii_only: bool) -> Callable[[object, int], Iterable[str]]:
    """The encoder that `json` makes anew for each call, without `json` itself, which brings a decoder with it."""
    try:
        from _json import encode_basestring, encode_basestring_ascii, make_encoder
    except ours(ImportError):  # a Python without its accelerator
        from json import JSONEncoder

        settings = JSONEncoder(ensure_ascii=ascii_only, check_circular=False, allow_nan=False, separators=(",", ":"))
        return lambda value, _: [settings.encode(value)]
    text_ = encode_basestring_ascii if ascii_only else encode_basestring
    made: Callable[[object, int], Iterable[str]] = make_encoder(
        None, _refuse, text_, None, ":", ",", False, False, False
    )
    return made


_encoder, _ascii_encoder = _make_encoder(ascii_only=False), _make_encoder(ascii_only=True)


# ----------------------------------------------------------------------------------------------------------- words


def duration_text(seconds: float | None) -> str:
    """3.2 s, 320 ms, 2 min 5 s: as a person says it."""
    if seconds is None or not seconds >= 0:
        return ""
    if seconds < 0.001:
        return f"{seconds * 1_000_000:.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _message(observation: Observation, filling: Mapping[str, str]) -> dict[str, str]:
    template = observation.message
    if observation.report == "slow" and not template:
        limit = f" (limit {duration_text(observation.threshold)})" if observation.threshold is not None else ""
        return {
            "message": f"{observation.operation} was slow",
            "formatted": f"{observation.operation} took {duration_text(observation.duration)}{limit}",
        }
    if not template:
        said = observation.monitor["detail"].get("event_type")
        other = said if said != observation.operation else None
        template = f"{observation.operation} ({other})" if other else f"{observation.operation} was called"
        return {"message": template, "formatted": template}
    return {
        "message": clip(template, _LONGEST_MESSAGE),
        "formatted": clip(fill(template, filling), _LONGEST_MESSAGE),
    }


_patterns = Patterns(placeholder=r"(?<!\{)\{([A-Za-z_]\w{0,80})\}(?!\})")


def fill(template: str, values: Mapping[str, str]) -> str:
    """`{name}` replaced where `values` knows the name. Nothing else of format's language is understood."""
    if "{" not in template:
        return template
    return _patterns.placeholder.sub(lambda found: values.get(found.group(1), found.group()), template)


def _filling(observation: Observation, captured: Mapping[str, Json]) -> dict[str, str]:
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
        values[name] = SCRUBBED if is_secret(name) else _spoken(value)
    return values


def _spoken(value: Json) -> str:
    if type(value) is str:
        return clip(value, _LONGEST_FILLING)
    return clip(str(scrub_json(value)), _LONGEST_FILLING)


def _fingerprint(observation: Observation, filling: dict[str, str], function: str) -> list[str]:
    """`function` is the innermost one of the ERP that an exception passed; if it passed none, what was being served."""
    cause = _cause(observation, function)
    template = observation.monitor["fingerprint"]
    if not template:
        return [observation.monitor["name"], observation.report, observation.operation, cause]
    filling["cause"] = cause
    return [fill(part, filling)[:_LONGEST_MESSAGE] for part in template]


def _cause(observation: Observation, function: str) -> str:
    if observation.report == "error" and observation.exception is not None:
        name = type_name(type(observation.exception))
        return f"{name} in {function}"
    if observation.report == "slow":
        return observation.severity
    return observation.message or observation.monitor["detail"].get("event_type") or observation.operation


# ------------------------------------------------------------------------------------------------------ the pieces


def _tags(observation: Observation, sentry: SentryData, context: Mapping[str, object]) -> dict[str, str]:
    monitor = observation.monitor
    detail = monitor["detail"]
    tags: dict[str, str] = {}
    given = context.get("tags")
    for more in (given if type(given) is dict else {}, sentry["tags"], monitor["tags"]):
        for name, value in more.items():
            if type(name) is str:
                _tag(tags, name, represent(value, depth=0))
    _tag(tags, "erp.module", monitor["module"])
    _tag(tags, "erp.operation", observation.operation)
    _tag(tags, "erp.kind", monitor["kind"])
    _tag(tags, "erp.monitor", monitor["name"])
    _tag(tags, "erp.report", observation.report)
    _tag(tags, "erp.owner", monitor["owner"])
    if monitor["kind"] == "database":
        _tag(tags, "db.model", detail.get("model"))
        _tag(tags, "db.operation", observation.operation)
    for name in ("process", "endpoint", "event_type"):
        _tag(tags, name, detail.get(name))
    return tags


_fitting_names: dict[str, str] = {}


def _tag(tags: dict[str, str], name: str, value: Json) -> None:
    """Sentry drops a tag whose name is too long or odd, or whose value spans lines: such are made to fit."""
    if value is None or value == "":
        return
    fitting = _fitting_names.get(name)
    if fitting is None:
        fitting = "".join(each if each.isascii() and (each.isalnum() or each in "_.:-") else "_" for each in name)
        if len(_fitting_names) < _MOST_FRAMES_KNOWN:
            _fitting_names[name] = fitting
    told = SCRUBBED if is_secret(name) else value if type(value) is str else str(value)
    told = " ".join((clip(told, _LONGEST_TAG) if len(told) > _LONGEST_TAG else told).split())
    tags[fitting[:_LONGEST_TAG_NAME]] = told if len(told) <= _LONGEST_TAG else told[: _LONGEST_TAG - 1] + "…"


def _words(observation: Observation) -> dict[str, Any]:
    """What the plan and the clock say of the call."""
    monitor = observation.monitor
    return {
        "monitor": monitor["name"],
        "defined": monitor["where"],
        "operation": observation.operation,
        "module": monitor["module"],
        "kind": monitor["kind"],
        "function": observation.function,
        "owner": monitor["owner"],
        "duration_ms": _milliseconds(observation.duration),
        "threshold_ms": _milliseconds(observation.threshold),
        "suppressed": observation.suppressed or None,
    }


def _contexts(
    observation: Observation,
    context: Mapping[str, object],
    captured: dict[str, Json],
    platform: Platform,
    budget: Budget,
) -> dict[str, Any]:
    monitor = observation.monitor
    erp: dict[str, Any] = {
        **_words(observation),
        "operations": list(observation.operations)[:50],
        "captured": captured,
        "capture_failed": dict(list(observation.captured.failed.items())[:50]),
        "context_failed": context.get("context_failed"),
        "inside": [
            {"operation": operation, "times": times, "duration_ms": _milliseconds(seconds), "share": round(share, 3)}
            for operation, times, seconds, share in observation.inside
        ],
    }
    contexts: dict[str, Any] = {
        "erp": {name: value for name, value in erp.items() if value not in (None, [], {})},
        "runtime": {"name": "CPython", "version": platform.python},
    }
    contexts["erp"].update((name, value) for name, value in monitor["detail"].items() if name not in contexts["erp"])
    for name, section in context.items():
        if name in ("transaction", "tags", "user", "breadcrumbs", "erp", "runtime", "context_failed"):
            continue
        form = _represented(section, budget)
        if type(form) is dict and form:
            contexts[name] = form
    if observation.status is not None:
        contexts["response"] = {"status_code": observation.status}
        if "request" in contexts:
            contexts["request"]["status"] = observation.status
    return contexts


def _represented(value: object, budget: Budget) -> Json:
    """One value that cannot be represented must not cost the event."""
    try:
        return represent(value, budget=budget)
    except ours(Exception):
        swallow("representing a value")
        return "<not representable>"


def _milliseconds(seconds: float | None) -> float | None:
    """None where it is not known when the call began: a full stack had no room to read the clock."""
    return None if seconds is None or not seconds >= 0 else round(seconds * 1000, 3)


def _add_user(payload: dict[str, Any], context: Mapping[str, object], sentry: SentryData, budget: Budget) -> None:
    known = context.get("user")
    if type(known) is not dict:
        return
    user: dict[str, Json] = {}
    for field in sentry["user"]:
        value = known.get(field)
        if field in _USER_FIELDS and value is not None:
            form = represent(value, depth=2, budget=budget)
            user[_USER_FIELDS[field]] = str(form) if field == "id" else form
    if user:
        payload["user"] = user


def _add_request(payload: dict[str, Any], context: Mapping[str, object]) -> None:
    """Sentry's `request`: method and path; of the query the names alone. The rest stays in the context `request`."""
    known = context.get("request")
    if type(known) is not dict:
        return
    request: dict[str, Any] = {}
    for field, name in (("method", "method"), ("path", "url")):
        value = known.get(field)
        if type(value) is str:
            request[name] = clip(value, _LONGEST_MESSAGE)
    names = known.get("parameters")
    if type(names) is list and names:
        request["query_string"] = [[name, ""] for name in names if type(name) is str]
    if request:
        payload["request"] = request
