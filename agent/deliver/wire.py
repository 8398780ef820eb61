"""Encodes and decodes envelopes: one JSON line of headers, then for each item a JSON line and a payload.

https://develop.sentry.dev/sdk/data-model/envelopes/ describes the format. Only decoding imports `json`,
which no thread of the host does.
"""

from typing import TYPE_CHECKING, Any

from ..base.errors import AgentError
from ..base.interrupts import ours
from ..base.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..base.model import Json

#: Item type → Sentry's data category, where the two differ.
_CATEGORIES = {
    "event": "error",
    "sessions": "session",
    "check_in": "monitor",
    "log": "log_item",
    "otel_log": "log_item",
    "statsd": "metric_bucket",
    "metric_buckets": "metric_bucket",
    "client_report": "internal",
    "replay_event": "replay",
    "replay_recording": "replay",
    "replay_video": "replay",
    "user_report": "feedback",
}

#: The category of an envelope of several items: the first of these that is among them.
_FOREMOST = ("error", "security", "feedback", "monitor", "transaction")


class EnvelopeError(AgentError):
    """The bytes are no envelope, or an incomplete one; the text shows where decoding failed."""


class Item(Record):
    headers: dict[str, Any]
    payload: bytes

    @property
    def type(self) -> str:
        kind = self.headers.get("type")
        return kind if isinstance(kind, str) else ""


class Parsed(Record):
    headers: dict[str, Any]
    items: list[Item]


def encode(
    event_id: str,
    item_type: str,
    payload: bytes,
    headers: "Mapping[str, Json] | None" = None,
    item_headers: "Mapping[str, Json] | None" = None,
) -> bytes:
    """Return an envelope with one item; `headers` are those of the envelope, `item_headers` those of the item."""
    if not headers and not item_headers and _is_plain(event_id) and _is_plain(item_type):
        plain = (event_id.encode(), item_type.encode(), len(payload), payload)
        return b'{"event_id":"%s"}\n{"type":"%s","length":%d}\n%s\n' % plain  # the usual case, in half the time
    first = {"event_id": event_id, **(headers or {})}
    second = {"type": item_type, **(item_headers or {}), "length": len(payload)}
    return b"%s\n%s\n%s\n" % (_encoded(first), _encoded(second), payload)


def with_item(envelope: bytes, item_type: str, payload: bytes) -> bytes:
    """An envelope that `encode` made, with one more item."""
    return b'%s{"type":"%s","length":%d}\n%s\n' % (envelope, item_type.encode(), len(payload), payload)


def decode(data: bytes) -> Parsed:
    """Headers and items of an envelope. Raises EnvelopeError for anything torn or foreign."""
    line, at = _until_newline(data, 0)
    headers = _object(line, "the first line")
    items: list[Item] = []
    while at < len(data):
        line, at = _until_newline(data, at)
        if not line.strip():
            continue  # blank lines between items and at the end are allowed
        where = f"item {len(items) + 1}"
        item_headers = _object(line, f"the header of {where}")
        if not isinstance(item_headers.get("type"), str):
            raise EnvelopeError(f"{where} has no type")
        payload, at = _payload(data, at, item_headers.get("length"), where)
        items.append(Item(item_headers, payload))
    return Parsed(headers, items)


def category_of(item_types: "Iterable[str]") -> str:
    """Return Sentry's data category for items of these types, used for limits and counts of losses."""
    categories = [_CATEGORIES.get(kind, kind) for kind in item_types]
    for category in _FOREMOST:
        if category in categories:
            return category
    return categories[0] if categories else "default"


def with_sent_at(data: bytes, now: float) -> bytes:
    """Return the envelope with `sent_at` set to `now` (seconds since the epoch).

    Sentry shifts the timestamps of an event by the difference between `sent_at` and its own clock, so a `sent_at` from
    the time of capture would shift an event by its time in the spool.
    """
    from ..base import clocks

    line, at = _until_newline(data, 0)
    headers = _object(line, "the first line")
    whole = int(now)
    sent = clocks.strftime("%Y-%m-%dT%H:%M:%S", clocks.gmtime(whole))
    headers["sent_at"] = f"{sent}.{int((now - whole) * 1000):03d}Z"
    return _line(headers) + b"\n" + data[at:]


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isalnum()


def _encoded(value: "Mapping[str, Any]") -> bytes:
    from ..observe.event.encode import to_json  # loaded where events are made; a process that delivers makes none

    return to_json(value, ascii_only=True).encode("ascii")


def _line(value: "Mapping[str, Any]") -> bytes:
    import json

    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _until_newline(data: bytes, at: int) -> tuple[bytes, int]:
    end = data.find(b"\n", at)
    return (data[at:], len(data)) if end < 0 else (data[at:end], end + 1)


def _object(line: bytes, what: str) -> dict[str, Any]:
    import json

    try:
        value = json.loads(line)
    except ours(ValueError, RecursionError) as error:
        raise EnvelopeError(f"{what} is not JSON ({type(error).__name__})") from None
    if not isinstance(value, dict):
        raise EnvelopeError(f"{what} is not a JSON object")
    return value


def _payload(data: bytes, at: int, length: object, where: str) -> tuple[bytes, int]:
    if length is None:
        return _until_newline(data, at)
    if not isinstance(length, int) or isinstance(length, bool) or length < 0:
        raise EnvelopeError(f"{where} has an invalid length")
    end = at + length
    if end > len(data):
        raise EnvelopeError(f"{where} ends after {len(data) - at} of {length} bytes")
    if end < len(data) and data[end : end + 1] != b"\n":
        raise EnvelopeError(f"{where} is longer than its {length} bytes")
    return data[at:end], end + 1
