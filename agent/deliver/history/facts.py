"""What a list of events shows of one, and what events are selected by. The index of the history has a line of it.

Reading it again needs no envelope: a list of 20,000 events opens the indexes, not 20,000 files.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from ...base.interrupts import ours
from .. import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

#: From the most severe on, as `monitors.yaml` names them.
SEVERITIES = ("fatal", "error", "warning", "info", "debug")

#: `erp.report` → what a person calls it.
_KINDS = {"audit": "security"}
KINDS = ("error", "slow", "rule", "security", "stuck", "repeats", "budget", "message", "transaction")

_LONGEST = 300  # characters of a title
_USER = ("id", "username", "email", "ip_address")


class Facts(NamedTuple):
    """`users` holds everything that names the user, the id first; `group` is equal for what Sentry would group."""

    severity: str
    module: str
    operation: str
    monitor: str
    kind: str  # one of KINDS
    title: str
    users: list[str]
    release: str
    group: str
    suppressed: int  # equal ones before it that limits have dropped

    @property
    def user(self) -> str:
        """The user's id, or what else names the user; "" if the event has none."""
        return self.users[0] if self.users else ""


class Payload(NamedTuple):
    """The event in an envelope: its bytes as they are sent, and what they mean."""

    data: bytes
    event: dict[str, Any]


def payload_in(envelope: bytes) -> "Payload | None":
    """Return the first event or transaction; None if there is none, or it cannot be read."""
    import json  # here, as in `wire`: no thread of the host needs it

    try:
        items = wire.decode(envelope).items
    except ours(wire.EnvelopeError):
        return None
    for item in items:
        if item.type in ("event", "transaction"):
            try:
                event = json.loads(item.payload)
            except ours(ValueError, RecursionError):
                continue
            if isinstance(event, dict):
                return Payload(item.payload, event)
    return None


def facts_of(event: "Mapping[str, Any]") -> Facts:
    """Of an event of any shape: an older agent, or a client of the host's own, may have made it."""
    tags = section(event, "tags")
    erp = section(event, "contexts", "erp")
    report = str(tags.get("erp.report") or "")
    kind = _KINDS.get(report, report)
    if kind not in KINDS:
        kind = "transaction" if event.get("type") == "transaction" else "error" if event.get("exception") else "message"
    suppressed = erp.get("suppressed")
    user = section(event, "user")
    return Facts(
        severity=_text(event.get("level"), "info"),
        module=_text(tags.get("erp.module")),
        operation=_text(tags.get("erp.operation") or event.get("transaction")),
        monitor=_text(tags.get("erp.monitor") or erp.get("monitor")),
        kind=kind,
        title=_text(_trace(event) if kind == "transaction" else what(event)),
        users=[_text(user[name]) for name in _USER if user.get(name) not in (None, "")],
        release=_text(event.get("release")),
        group=_group(event),
        suppressed=suppressed if isinstance(suppressed, int) else 0,
    )


def as_facts(row: list[Any]) -> "Facts | None":
    """Facts from a line of an index; None for one of another shape."""
    if len(row) != len(Facts._fields) or not isinstance(row[6], list) or not isinstance(row[9], int):
        return None
    return Facts(*map(str, row[:6]), list(map(str, row[6])), *map(str, row[7:9]), row[9])  # type: ignore[arg-type, call-arg]


def what(event: "Mapping[str, Any]") -> str:
    """The exception with its message, or the message of the event."""
    values = section(event, "exception").get("values")
    last = values[-1] if isinstance(values, list) and values else None
    if isinstance(last, dict):
        text = last.get("value")
        return f"{last.get('type')}: {text}" if text else str(last.get("type"))
    message = section(event, "logentry").get("formatted") or event.get("message")
    return str(message) if message else str(event.get("type") or "event")


def _trace(event: "Mapping[str, Any]") -> str:
    """How long a trace took, and why it was kept: `1.32 s, slow`."""
    start, end = event.get("start_timestamp"), event.get("timestamp")
    took = end - start if isinstance(start, (int, float)) and isinstance(end, (int, float)) else 0.0
    why = section(event, "contexts", "trace", "data").get("erp.kept")
    shown = f"{took:.3g} s" if took >= 1 else f"{1000 * took:.3g} ms"
    return f"{shown}, {why if why in ('slow', 'failed') else 'sampled'}"


def section(event: "Mapping[str, Any]", *path: str) -> dict[str, Any]:
    """A mapping inside the event; empty if there is none at this path."""
    found: Any = event
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _text(value: object, default: str = "") -> str:
    return str(value)[:_LONGEST] if value not in (None, "") else default


def _group(event: "Mapping[str, Any]") -> str:
    fingerprint = event.get("fingerprint")
    if isinstance(fingerprint, list) and fingerprint:
        return _text("\n".join(map(str, fingerprint)))
    return _text("\n".join((str(event.get("type") or "event"), str(event.get("transaction")), what(event))))
