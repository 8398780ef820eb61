"""Makes an `Event` of an `Observation`: all that leaves the process, in the ERP's own names.

`build` represents and scrubs; `encode` makes the bytes. An event contains no argument, no local variable and no value
that the monitor does not capture.

An exception's mechanism has `handled: false` where it left a monitored operation: when the event is made, it is not
known whether a caller further out handles it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ...base.guard import swallow
from ...base.interrupts import ours
from ...base.model import Platform
from ...base.version import __version__
from ...privacy.redact import SCRUBBED, clip, is_secret
from ...privacy.scrub import scrub
from . import exceptions, wording
from .represent import Budget, represent
from .stack import stacktrace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType

    from ...base.model import Event, Json, Observation, SentryData

#: Bounds of one event: Sentry takes a megabyte, and refuses what is larger.
_MOST_VALUES = 600
_LONGEST_TAG = 200
_LONGEST_TAG_NAME = 32
_MOST_TAG_NAMES = 2_000
_MOST_ENTRIES = 50

_LEVELS = frozenset(("debug", "info", "warning", "error", "fatal"))
#: Texts from monitors.yaml. `reset_password: …` in one of these is a name and not a password.
_FROM_THE_PLAN = frozenset(
    ("contexts.erp.monitor", "contexts.erp.function", "contexts.erp.operation", "contexts.erp.defined",
     "tags.erp.monitor", "tags.erp.operation")
)  # fmt: skip
#: Sections that have places of their own in an event.
NO_CONTEXTS = frozenset(("transaction", "tags", "user", "breadcrumbs", "erp", "runtime", "context_failed"))
USER_FIELDS = {"id": "id", "username": "username", "email": "email", "ip": "ip_address", "permissions": "permissions"}


def platform_here(release: str | None = None) -> Platform:
    """What is the same for every event of this process. Call it once."""
    try:
        name: str | None = os.uname().nodename
    except ours(AttributeError, OSError):  # Windows
        name = os.environ.get("COMPUTERNAME")
    return Platform(__version__, name, release)


def build(
    observation: Observation,
    *,
    sentry: SentryData,
    context: Mapping[str, object],
    own: Callable[[CodeType], bool],
    platform: Platform,
    event_id: str | None = None,
) -> Event:
    """The event of one observation; the same input and `event_id` give the same event.

    `context` is what `context.collect` returned. `own` returns whether a code object is the agent's.
    """
    budget = Budget(_MOST_VALUES)
    captured = {name: _represented(value, budget) for name, value in observation.captured.values.items()}
    payload = _head(observation, sentry, context, platform, event_id)
    payload["contexts"] = _contexts(observation, context, captured, platform, budget)
    add_user(payload, context, sentry, budget)
    add_request(payload, context)
    breadcrumbs = context.get("breadcrumbs")
    if type(breadcrumbs) is list and breadcrumbs:
        payload["breadcrumbs"] = {"values": _represented(breadcrumbs, budget)}

    values: list[dict[str, Any]] = []
    function = ""
    if wording.has_exception(observation):
        values, function = exceptions.values_of(observation, own)
    _add_subject(payload, observation, captured, values, function)
    if not values:
        passed = observation.traceback if observation.exception is None else None
        trace = stacktrace(passed, observation.frame, own=own)
        if trace is not None:
            thread = {"id": 0, "current": True, "crashed": False, "stacktrace": trace}
            payload["threads"] = {"values": [thread]}
    return scrub(payload, keep=_FROM_THE_PLAN.union(configured(sentry)))


def reduced(
    observation: Observation,
    *,
    sentry: SentryData,
    own: Callable[[CodeType], bool],
    platform: Platform,
    why: str,
    stack: bool,
) -> Event:
    """A smaller event, for where `build` fails: the texts of the plan and the type of the exception.

    With `stack`, also the places that the exception passed. Reads no text, value or line of source of the host's.
    The event contains `why`, the reason of the failure.
    """
    payload = _head(observation, sentry, {}, platform, None)
    payload["contexts"] = {"erp": _without_empty({**_facts(observation), "reduced": why})}
    values: list[dict[str, Any]] = []
    function = ""
    if wording.has_exception(observation):
        value, function = exceptions.reduced(observation, own, stack=stack)
        values = [value]
    _add_subject(payload, observation, {}, values, function)
    return scrub(payload, keep=_FROM_THE_PLAN)


def _add_subject(
    payload: dict[str, Any],
    observation: Observation,
    captured: Mapping[str, Json],
    values: list[dict[str, Any]],
    function: str,
) -> None:
    """Add the exception or the message, and the fingerprint."""
    placeholders = wording.placeholders(observation, captured)
    about = wording.subject(observation, payload)
    if values:
        payload["exception"] = {"values": values}
    else:
        payload["logentry"] = wording.message(observation, placeholders, about)
    payload["fingerprint"] = wording.fingerprint(observation, placeholders, function or payload["transaction"], about)


def _head(
    observation: Observation,
    sentry: SentryData,
    context: Mapping[str, object],
    platform: Platform,
    event_id: str | None,
) -> dict[str, Any]:
    """The first fields of every event, up to its tags."""
    payload: dict[str, Any] = {
        "event_id": event_id or os.urandom(16).hex(),
        "timestamp": observation.ended,
        "platform": "python",
        "level": observation.severity if observation.severity in _LEVELS else "error",
        "logger": "erp",
        "sdk": {"name": "erp-sentry-agent", "version": platform.agent_version},
    }
    payload.update(whereabouts(sentry, platform))
    transaction = context.get("transaction")
    payload["transaction"] = transaction if type(transaction) is str and transaction else observation.operation
    payload["tags"] = _tags(observation, sentry, context)
    return payload


def whereabouts(sentry: SentryData, platform: Platform) -> dict[str, str]:
    """Environment, release and server, as far as they are known."""
    where = {
        "environment": sentry["environment"],
        "release": sentry["release"] or platform.release,
        "server_name": platform.server_name,
    }
    return {name: value for name, value in where.items() if value}


def _tags(observation: Observation, sentry: SentryData, context: Mapping[str, object]) -> dict[str, str]:
    monitor = observation.monitor
    detail = monitor["detail"]
    given = context.get("tags")
    own: dict[str, Json] = {
        "erp.module": monitor["module"],
        "erp.operation": observation.operation,
        "erp.kind": monitor["kind"],
        "erp.monitor": monitor["name"],
        "erp.report": observation.report,
        "erp.owner": monitor["owner"],
    }
    if monitor["kind"] == "database":
        own.update({"db.model": detail.get("model"), "db.operation": observation.operation})
    own.update((name, detail.get(name)) for name in ("process", "endpoint", "event_type"))
    tags: dict[str, str] = {}
    for more in (given if type(given) is dict else {}, sentry["tags"], monitor["tags"]):
        for name, value in more.items():
            if type(name) is str:
                add_tag(tags, name, represent(value, depth=0))
    for name, value in own.items():
        add_tag(tags, name, value)
    return tags


_tag_names: dict[str, str] = {}


def add_tag(tags: dict[str, str], name: str, value: Json) -> None:
    """Sentry drops a tag whose name is too long or has other characters, or whose value has several lines."""
    if value is None or value == "":
        return
    fitting = _tag_names.get(name)
    if fitting is None:
        fitting = "".join(each if each.isascii() and (each.isalnum() or each in "_.:-") else "_" for each in name)
        if len(_tag_names) < _MOST_TAG_NAMES:
            _tag_names[name] = fitting
    text = SCRUBBED if is_secret(name) else value if type(value) is str else str(value)
    text = " ".join((clip(text, _LONGEST_TAG) if len(text) > _LONGEST_TAG else text).split())
    tags[fitting[:_LONGEST_TAG_NAME]] = text if len(text) <= _LONGEST_TAG else text[: _LONGEST_TAG - 1] + "…"


def _facts(observation: Observation) -> dict[str, Any]:
    """What the plan and the clock contribute to the context `erp`."""
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


def _without_empty(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value not in (None, [], {})}


def _contexts(
    observation: Observation,
    context: Mapping[str, object],
    captured: dict[str, Json],
    platform: Platform,
    budget: Budget,
) -> dict[str, Any]:
    erp = _without_empty({
        **_facts(observation),
        "operations": list(observation.operations)[:_MOST_ENTRIES],
        "captured": captured,
        "capture_failed": dict(list(observation.captured.failed.items())[:_MOST_ENTRIES]),
        "context_failed": context.get("context_failed"),
        "inside": [
            {"operation": operation, "times": times, "duration_ms": _milliseconds(seconds), "share": round(share, 3)}
            for operation, times, seconds, share in observation.inside
        ],
    })  # fmt: skip
    for fact, plain in observation.more.items():
        erp[fact] = _represented(plain, budget)
    for name, text in observation.monitor["detail"].items():
        erp.setdefault(name, text)
    contexts: dict[str, Any] = {"erp": erp, "runtime": {"name": "CPython", "version": platform.python}}
    contexts.update(sections(context, budget))
    if observation.status is not None:
        contexts["response"] = {"status_code": observation.status}
        if "request" in contexts:
            contexts["request"]["status"] = observation.status
    return contexts


def sections(context: Mapping[str, object], budget: Budget) -> dict[str, Json]:
    """The sections that become contexts by their names, represented."""
    found: dict[str, Json] = {}
    for name, section in context.items():
        if name not in NO_CONTEXTS:
            form = _represented(section, budget)
            if type(form) is dict and form:
                found[name] = form
    return found


def _represented(value: object, budget: Budget) -> Json:
    """One value that cannot be represented must not cost the event."""
    try:
        return represent(value, budget=budget)
    except ours(Exception):
        swallow("representing a value")
        return "<not representable>"


def _milliseconds(seconds: float | None) -> float | None:
    """None where the start of the call is unknown: a full stack had no room to read the clock."""
    return None if seconds is None or not seconds >= 0 else round(seconds * 1000, 3)


def with_suppressed(made: Event, number: int) -> Event:
    """The same event, of which so many equal ones were dropped before it."""
    erp: Any = made["contexts"]
    erp["erp"].pop("suppressed", None)
    if number:
        erp["erp"]["suppressed"] = number
    return made


def add_user(payload: dict[str, Any], context: Mapping[str, object], sentry: SentryData, budget: Budget) -> None:
    """Of the user, the fields that are configured."""
    known = context.get("user")
    if type(known) is not dict:
        return
    user: dict[str, Json] = {}
    for field in sentry["user"]:
        value = known.get(field)
        if field in USER_FIELDS and value is not None:
            form = represent(value, depth=2, budget=budget)
            user[USER_FIELDS[field]] = str(form) if field == "id" else form
    if user:
        payload["user"] = user


def configured(sentry: SentryData) -> list[str]:
    """Where texts are that somebody configured to leave as they are."""
    return ["user." + USER_FIELDS[field] for field in sentry["user"] if field in ("username", "email")]


def add_request(payload: dict[str, Any], context: Mapping[str, object]) -> None:
    """Sentry's `request`: method, path, and the names in the query. The rest stays in the context `request`."""
    known = context.get("request")
    if type(known) is not dict:
        return
    request: dict[str, Any] = {}
    for field, name in (("method", "method"), ("path", "url")):
        value = known.get(field)
        if type(value) is str:
            request[name] = clip(value, wording.LONGEST_MESSAGE)
    names = known.get("parameters")
    if type(names) is list and names:
        request["query_string"] = [[name, ""] for name in names if type(name) is str]
    if request:
        payload["request"] = request
