"""Removes from the Sentry SDK's own envelopes what must not leave, whatever its version and integrations put there.

Our own events are private by construction. The SDK's are made by other people's code, which changes from version to
version; so each item is taken apart here, what is known to hold values (headers, cookies, bodies, query strings, SQL
literals, local variables, arguments) is left out, and all the rest is scrubbed.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ..observe.around.breadcrumbs import as_written
from ..observe.event.encode import encode
from ..observe.event.event import USER_FIELDS
from ..privacy.redact import text
from ..privacy.scrub import scrub
from ..privacy.sql import without_values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..base.model import SentryData

#: Items that hold nothing but numbers, ids and names of ours.
_PLAIN = frozenset(("client_report", "check_in", "sessions", "session"))
_EVENTS = frozenset(("event", "transaction"))
#: `{"items": […]}` of spans, logs and metrics in the newer protocol.
_CONTAINERS = frozenset(("span", "log", "trace_metric"))
_PROFILES = frozenset(("profile", "profile_chunk"))
#: Everything else (attachments, replays, feedback) may hold anything.

#: Data of spans and attributes that describe what was done, not with which values: names, and beginnings of names.
_DESCRIBING = frozenset((
    "db.name", "db.namespace", "db.query.text", "db.query.summary", "db.statement", "http.method",
    "http.request.method", "http.response.status_code", "http.status_code", "http.route", "messaging.system",
    "messaging.message.id",
    "messaging.message.receive.latency", "messaging.message.retry.count", "process.pid", "cache.hit", "cache.item_size",
    "template_name", "status", "reason", "url.path", "middleware_name", "profiler_id", "logger.name", "db.driver.name",
))  # fmt: skip
_DESCRIBING_PREFIXES = (
    "sentry.", "thread.", "code.", "db.system", "db.operation", "db.collection", "server.", "messaging.destination",
    "messaging.destination.", "process.runtime.", "erp.", "rpc.",
)  # fmt: skip
_NEVER = ("sentry.message.parameter",)  # what was filled into a log line

#: Under which name of its data a breadcrumb has the place where it was logged: file, line, without arguments.
LINE = "erp.line"
_CONTEXTS = frozenset(("trace", "runtime", "os", "device", "app", "profile", "monitor", "flags", "otel", "erp"))
#: The parts that an event may have. What a later release of the SDK adds is dropped until somebody has reviewed it.
_PARTS = frozenset((
    "event_id", "type", "timestamp", "start_timestamp", "platform", "level", "logger", "sdk", "environment", "release",
    "dist", "server_name", "transaction", "transaction_info", "tags", "request", "user", "extra", "contexts", "message",
    "logentry", "exception", "threads", "breadcrumbs", "spans", "fingerprint", "measurements", "modules",
))  # fmt: skip
_MECHANISM = frozenset((
    "type", "handled", "source", "exception_id", "parent_id", "is_exception_group", "synthetic", "meta",
))  # fmt: skip
_HEADERS = frozenset(("event_id", "sent_at", "trace", "sdk"))
_ITEM_HEADERS = frozenset(("type", "item_count", "content_type"))


def envelope(
    headers: dict[str, Any], items: Iterable[tuple[dict[str, Any], bytes]], sentry: SentryData
) -> bytes | None:
    """The bytes that may leave; None where nothing of it may."""
    kept = []
    for item_headers, payload in items:
        kind = item_headers.get("type")
        clean = _item(str(kind), payload, sentry)
        if clean is not None:
            first = {name: value for name, value in item_headers.items() if name in _ITEM_HEADERS}
            kept.append((_line({**first, "length": len(clean)}), clean))
    if not kept:
        return None
    outer = scrub({name: value for name, value in headers.items() if name in _HEADERS})
    return _line(outer) + b"\n" + b"".join(b"%s\n%s\n" % each for each in kept)


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), default=str).encode("ascii")


def _item(kind: str, payload: bytes, sentry: SentryData) -> bytes | None:
    if kind in _EVENTS:
        return encode(scrub(_event(json.loads(payload), sentry), keep=_kept(sentry)))
    if kind in _CONTAINERS:
        held = json.loads(payload)
        held["items"] = [_part(item) for item in held.get("items", ())]
        return encode(scrub(held))
    if kind in _PLAIN:
        held = json.loads(payload)
        attributes = held.get("attrs")
        if isinstance(attributes, dict):
            held["attrs"] = {name: attributes[name] for name in ("release", "environment") if name in attributes}
        held.pop("did", None)
        return encode(scrub(held))
    if kind in _PROFILES:
        held = json.loads(payload)
        for transaction in [held.get("transaction"), *(held.get("transactions") or ())]:
            if isinstance(transaction, dict) and isinstance(transaction.get("name"), str):
                transaction["name"] = text(transaction["name"])
        return encode(held)
    return None


def _kept(sentry: SentryData) -> set[str]:
    return {"user." + USER_FIELDS[name] for name in sentry["user"] if name in ("username", "email")}


def _event(event: dict[str, Any], sentry: SentryData) -> dict[str, Any]:
    event = {name: value for name, value in event.items() if name in _PARTS and value not in (None, "")}
    event["tags"] = {**sentry["tags"], **_pairs(event.get("tags"))}
    request = event.pop("request", None)
    if isinstance(request, dict):
        event["request"] = _request(request)
    user = event.pop("user", None)
    if isinstance(user, dict):
        allowed = {USER_FIELDS[name] for name in sentry["user"] if name in USER_FIELDS}
        event["user"] = {name: value for name, value in user.items() if name in allowed}
    extra = event.pop("extra", None)
    job = extra.get("celery-job") if isinstance(extra, dict) else None
    if isinstance(job, dict) and isinstance(job.get("task_name"), str):
        event["extra"] = {"celery-job": {"task_name": job["task_name"]}}
    contexts = event.get("contexts")
    if isinstance(contexts, dict):
        event["contexts"] = {name: _context(name, each) for name, each in contexts.items() if name in _CONTEXTS}
    if isinstance(event.get("logentry"), dict):
        event["logentry"] = {name: value for name, value in event["logentry"].items() if name == "message"}
    for holder in ("exception", "threads"):
        for value in _values(event.get(holder)):
            for frame in _values(value.get("stacktrace"), "frames"):
                frame.pop("vars", None)
            mechanism = value.get("mechanism")
            if isinstance(mechanism, dict):
                value["mechanism"] = {name: each for name, each in mechanism.items() if name in _MECHANISM}
    crumbs = event.get("breadcrumbs")
    if crumbs:
        event["breadcrumbs"] = {"values": [crumb(each) for each in _values(crumbs)]}
    if isinstance(event.get("spans"), list):
        event["spans"] = [_span(each) for each in event["spans"] if isinstance(each, dict)]
    return event


def _pairs(tags: Any) -> dict[str, Any]:
    if isinstance(tags, dict):
        return tags
    pairs = [each for each in tags if isinstance(each, list) and len(each) == 2] if isinstance(tags, list) else []
    return {name: value for name, value in pairs if isinstance(name, str)}


def _values(held: Any, name: str = "values") -> list[dict[str, Any]]:
    found = held.get(name) if isinstance(held, dict) else held
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _request(request: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    if isinstance(request.get("method"), str):
        kept["method"] = request["method"]
    if isinstance(request.get("url"), str):
        kept["url"] = _address(request["url"])
    return kept


def _address(url: str) -> str:
    """Without query, fragment and credentials."""
    url = re.split(r"[?#]", url, maxsplit=1)[0]
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    host, slash, path = rest.partition("/")
    return scheme + separator + host.rpartition("@")[2] + slash + path


def _context(name: str, context: Any) -> Any:
    if name == "trace" and isinstance(context, dict):
        return _span(context)
    return context


def _span(span: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in span.items() if name not in ("data", "description")}
    if isinstance(span.get("description"), str):
        kept["description"] = _described(span)
    data = _data(span.get("data"))
    if data:
        kept["data"] = data
    return kept


def _described(span: dict[str, Any]) -> str:
    description = str(span["description"])
    operation = str(span.get("op") or "")
    if operation.startswith("db"):
        return without_values(description)
    if operation.startswith(("cache", "subprocess", "file")):
        return operation  # keys, command lines, paths
    return _address(description) if "?" in description or "://" in description else description


def _data(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        return {}
    kept = {
        name: value
        for name, value in data.items()
        if name in _DESCRIBING or (name.startswith(_DESCRIBING_PREFIXES) and not name.startswith(_NEVER))
    }
    for name in ("db.query.text", "db.statement"):
        held = kept.get(name)
        if isinstance(held, dict) and isinstance(held.get("value"), str):
            kept[name] = {**held, "value": without_values(held["value"])}
        elif isinstance(held, str):
            kept[name] = without_values(held)
    return kept


def _part(item: dict[str, Any]) -> dict[str, Any]:
    """One span, log or metric of the newer protocol."""
    attributes = item.get("attributes")
    held = {**item, "attributes": _data(attributes)}
    operation = _plain((attributes or {}).get("sentry.op"))
    if isinstance(item.get("name"), str):
        held["name"] = _described({"description": item["name"], "op": operation})
    if "body" in item:
        held["body"] = _logged(item["body"], {name: _plain(each) for name, each in (attributes or {}).items()})
    return held


def _plain(attribute: Any) -> Any:
    return attribute.get("value") if isinstance(attribute, dict) else attribute


def _logged(body: Any, attributes: dict[str, Any]) -> str:
    """A log line without what was filled into it."""
    template = attributes.get("sentry.message.template")
    parameters = any(name.startswith(_NEVER) for name in attributes)
    place = attributes.get("code.file.path"), attributes.get("code.line.number")
    return as_written(str(body if template is None else template), *place, filled=template is None or not parameters)


def crumb(raw: dict[str, Any]) -> dict[str, Any]:
    """A breadcrumb without its data, and a statement without its values."""
    kept: dict[str, Any] = {name: raw[name] for name in ("timestamp", "type", "category", "level") if name in raw}
    message = raw.get("message")
    if isinstance(message, str):
        place = raw["data"].get(LINE) if isinstance(raw.get("data"), dict) else None
        if raw.get("category") == "query":
            message = without_values(message)
        elif isinstance(place, list) and len(place) == 3:
            message = as_written(message, place[0], place[1], filled=bool(place[2]))
        kept["message"] = message
    return kept
