"""`events`: what lies in the spool, grouped as Sentry would group it; `events show ID`: everything of one event."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ..deliver import wire
from ..deliver.spool import UnreadableError
from ..errors import AgentError
from ..observe.event import headline
from . import here
from .terminal import STYLES, console, cut, show_table, styled, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from rich.text import Text

HELP = "show what was caught and lies in the spool"

_ORDER = {"fatal": 0, "error": 1, "warning": 2, "info": 3, "debug": 4}


class Seen(NamedTuple):
    event_id: str
    event: dict[str, Any]
    data: bytes
    file: str


def configure(parser: argparse.ArgumentParser) -> None:
    here.add_config(parser)
    parser.add_argument("--module", metavar="MODULE", help="only events of this ERP module")
    parser.add_argument("--operation", metavar="OPERATION", help="only events of this operation")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument("action", nargs="?", choices=("list", "show"), default="list", help="default: list")
    parser.add_argument(
        "id", nargs="?", metavar="ID", help="of one event, or the beginning of it; `last` for the newest (with show)"
    )


def run(arguments: argparse.Namespace) -> int:
    where = here.look(arguments)
    seen = list(_events(where))
    if arguments.module:
        seen = [item for item in seen if _tag(item.event, "erp.module") == arguments.module]
    if arguments.operation:
        seen = [item for item in seen if _tag(item.event, "erp.operation") == arguments.operation]
    if arguments.action == "show":
        return _show(seen, arguments)
    if arguments.format == "json":
        for item in seen:
            print(json.dumps(item.event, ensure_ascii=False))
        return 0
    if not seen:
        _say_nothing(where)
        return 0
    _table(seen, where)
    return 0


def _events(where: here.Here) -> Iterator[Seen]:
    spool = where.spool()
    for entry in spool.entries():
        try:
            envelope = spool.read(entry)
        except (OSError, UnreadableError):
            continue
        if envelope is None:
            continue
        for item in wire.decode(envelope.data).items:
            if item.type not in ("event", "transaction"):
                continue
            try:
                event = json.loads(item.payload)
            except ValueError:
                continue
            yield Seen(envelope.event_id, event, envelope.data, entry.name)


def _table(seen: list[Seen], where: here.Here) -> None:
    groups: dict[tuple[str, ...], list[Seen]] = {}
    for item in seen:
        groups.setdefault(_group(item.event), []).append(item)
    listing = table(
        "SEVERITY", "MODULE", "OPERATION", "WHAT", "COUNT", "LAST SEEN", "ID", right=("COUNT",), folding="WHAT"
    )
    for items in sorted(groups.values(), key=_rank):
        last = items[-1]
        level = str(last.event.get("level", "info"))
        count = sum(1 + _suppressed(item.event) for item in items)
        listing.add_row(
            styled((level, STYLES.get(level, ""))),
            styled(_tag(last.event, "erp.module") or "-"),
            styled(_tag(last.event, "erp.operation") or str(last.event.get("transaction") or "-")),
            cut(_what(last.event)),
            styled(str(count)),
            styled(_ago(last.event)),
            styled(last.event_id[:8]),
        )
    show_table(listing)
    number = len(seen)
    console().print(
        "%d event%s in %d group%s, %s. One of them whole: python -m agent events show ID"
        % (number, "s" * (number != 1), len(groups), "s" * (len(groups) != 1), _fate(where))
    )


def _what(event: dict[str, Any]) -> str:
    """What happened, without what the other columns say already."""
    values = (event.get("exception") or {}).get("values") or []
    if values:
        return f"{values[-1].get('type')}: {values[-1].get('value')}"
    text = (event.get("logentry") or {}).get("formatted") or event.get("message")
    return str(text) if text else str(event.get("type") or "event")


def _title(event: dict[str, Any]) -> str:
    where = " ".join(filter(None, [_tag(event, "erp.module"), _tag(event, "erp.operation")]))
    return f"{where}: {_what(event)}" if where else _what(event)


def _fate(where: here.Here) -> str:
    return "waiting for Sentry" if where.sentry["dsn"] else "kept here (no DSN is set, nothing leaves this machine)"


def _group(event: dict[str, Any]) -> tuple[str, ...]:
    fingerprint = event.get("fingerprint")
    if isinstance(fingerprint, list) and fingerprint:
        return tuple(str(part) for part in fingerprint)
    return (str(event.get("type") or "event"), str(event.get("transaction")), headline(event))  # type: ignore[arg-type]


def _rank(items: list[Seen]) -> tuple[int, float]:
    last = items[-1].event
    return (_ORDER.get(str(last.get("level")), 5), -_time(last))


def _suppressed(event: dict[str, Any]) -> int:
    number = event.get("contexts", {}).get("erp", {}).get("suppressed")
    return number if isinstance(number, int) else 0


def _tag(event: dict[str, Any], name: str) -> str:
    tags = event.get("tags")
    return str(tags.get(name) or "") if isinstance(tags, dict) else ""


def _time(event: dict[str, Any]) -> float:
    stamp = event.get("timestamp")
    return float(stamp) if isinstance(stamp, (int, float)) else 0.0


def _ago(event: dict[str, Any]) -> str:
    stamp = _time(event)
    if not stamp:
        return str(event.get("timestamp") or "-")[:19]
    seconds = max(0, int(time.time() - stamp))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return "%d %s ago" % (seconds // size, unit)
    return "%d s ago" % seconds


def _show(seen: list[Seen], arguments: argparse.Namespace) -> int:
    if not arguments.id:
        raise AgentError("which event? python -m agent events show ID (the last column of `python -m agent events`)")
    found = seen[-1:] if arguments.id == "last" else [item for item in seen if item.event_id.startswith(arguments.id)]
    if not found:
        raise AgentError(f"no event in the spool has an id that begins with {arguments.id!r}")
    if len({item.event_id for item in found}) > 1:
        raise AgentError("%d events begin with %r: give more of the id" % (len(found), arguments.id))
    item = found[0]
    if arguments.format == "json":
        print(json.dumps(item.event, indent=2, ensure_ascii=False))
        return 0
    _whole(item)
    return 0


def _whole(item: Seen) -> None:
    """Everything that would leave the machine: the story first, then the event as it is sent."""
    target = console()
    event = item.event
    level = str(event.get("level", "info"))
    target.print(styled((level.upper(), STYLES.get(level, "")), "  ", (_title(event), "bold")))
    for name, value in _facts(event):
        target.print(styled(("  %-12s " % name, "dim"), value))
    for exception in (event.get("exception") or {}).get("values", []):
        target.print(styled("\n  ", ("{}: ".format(exception.get("type")), "bold"), str(exception.get("value"))))
        for line in _stack((exception.get("stacktrace") or {}).get("frames", [])):
            target.print(line)
    size = len(item.data)
    target.print(styled((f"\nAs it goes over the wire ({size} bytes, scrubbed when it was captured):\n", "bold")))
    print(_folded(event))


def _stack(frames: list[dict[str, Any]]) -> Iterator[Text]:
    """The frames for a person: the ERP's own with their line, runs of library frames in one."""
    strangers: list[dict[str, Any]] = []
    for frame in [*frames, {"in_app": True, "last": True}]:
        if not frame.get("in_app"):
            strangers.append(frame)
            continue
        if len(strangers) > _SHORT_RUN:
            packages = dict.fromkeys(str(item.get("module")).partition(".")[0] for item in strangers)
            yield styled((f"    … {len(strangers)} frames of {', '.join(packages)}", "dim"))
        else:
            for item in strangers:
                yield styled(("    " + _place(item), "dim"))
        strangers = []
        if not frame.get("last"):
            yield styled(("  ▸ ", "bold"), _place(frame))
            if frame.get("context_line"):
                yield styled(("        " + str(frame["context_line"]).strip(), "dim"))


def _place(frame: dict[str, Any]) -> str:
    return f"{frame.get('filename')}:{frame.get('lineno')} in {frame.get('function')}"


_SHORT_RUN = 2  # library frames that are shown one by one
_FITS = 116  # columns


def _folded(value: Any, indent: str = "") -> str:
    """JSON in which whatever fits on one line stands on one line: an event is long enough."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= _FITS or not value or not isinstance(value, (dict, list)):
        return line
    below = indent + "  "
    if isinstance(value, dict):
        items = [json.dumps(key, ensure_ascii=False) + ": " + _folded(item, below) for key, item in value.items()]
        start, end = "{", "}"
    else:
        items = [_folded(item, below) for item in value]
        start, end = "[", "]"
    return start + "\n" + ",\n".join(below + item for item in items) + "\n" + indent + end


def _facts(event: dict[str, Any]) -> Iterator[tuple[str, str]]:
    erp = (event.get("contexts") or {}).get("erp") or {}
    yield "event", str(event.get("event_id"))
    if erp.get("monitor"):
        yield "monitor", "{} ({})".format(erp["monitor"], erp.get("kind") or "function")
    if _tag(event, "erp.module"):
        yield "module", _tag(event, "erp.module")
    if erp.get("operations"):
        yield "operations", " › ".join(str(part) for part in erp["operations"])
    if erp.get("duration_ms") is not None:
        slow = _tag(event, "erp.report") == "slow" and erp.get("threshold_ms")
        limit = " (limit {} ms)".format(erp["threshold_ms"]) if slow else ""
        yield "duration", "{} ms{}".format(erp["duration_ms"], limit)
    if erp.get("captured"):
        yield "captured", ", ".join("{}={}".format(*pair) for pair in erp["captured"].items())
    if event.get("transaction"):
        yield "transaction", str(event["transaction"])
    if event.get("user"):
        yield "user", ", ".join("{}={}".format(*pair) for pair in event["user"].items())
    request = event.get("request") or {}
    if request:
        yield "request", "{} {}".format(request.get("method", ""), request.get("url", ""))
    for name in ("environment", "release", "server_name"):
        if event.get(name):
            yield name.replace("_name", ""), str(event[name])


def _say_nothing(where: here.Here) -> None:
    target = console()
    target.print(f"Nothing lies in the spool {where.spool().directory}.")
    if where.sentry["dsn"]:
        target.print("What was caught has been delivered; see: python -m agent status")
    else:
        target.print("Either nothing went wrong, or nothing is monitored; see: python -m agent status")
