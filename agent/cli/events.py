"""`events`: the events in the spool, grouped as Sentry would group them; `events ID`: one event in detail."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base.errors import AgentError
from ..deliver import wire
from . import options, story
from .spool.places import fate, fate_of
from .state import other_folders
from .terminal import STYLES, console, counted, cut, err, is_terminal, json_text, out, show_table, styled, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..deliver.spool.spool import Spool, SpoolEntry

HELP = "show the events in the spool, or one of them in detail"

_ORDER = {"fatal": 0, "error": 1, "warning": 2, "info": 3, "debug": 4}

#: Categories of envelopes that hold events, unlike sessions and metrics.
_EVENTS = ("error", "transaction")

_SHORT = 8  # characters of an id on a terminal
_WIDE = 110  # columns of a terminal from which a group is one line


class Seen(NamedTuple):
    entry: SpoolEntry
    event: dict[str, Any]
    size: int  # of its envelope, bytes


class Group:
    """Equal events in the list: their number and the last one. They are never all in memory at once."""

    def __init__(self) -> None:
        self.count = 0
        self.last: Seen | None = None

    def add(self, seen: Seen) -> None:
        self.count += 1 + _suppressed(seen.event)
        self.last = seen


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_config(parser)
    parser.add_argument("--module", metavar="MODULE", help="only events of this ERP module")
    parser.add_argument("--operation", metavar="OPERATION", help="only events of this operation")
    options.add_format(parser)
    parser.add_argument(
        "--json", action="store_const", const="json", dest="format", help="print events as they are sent to Sentry"
    )
    parser.add_argument(
        "what", nargs="*", metavar="[show] ID", help="ID of one event, or its first characters; `last` for the newest"
    )


def run(arguments: argparse.Namespace) -> int:
    """0: shown, even if there is no event; 2: there is no event with this ID, or could not run."""
    words = arguments.what[1:] if arguments.what[:1] in (["list"], ["show"]) else arguments.what
    if len(words) > 1 or (words and arguments.what[0] == "list"):
        raise AgentError(f"only one event can be shown: python -m agent events {words[-1]}")
    if arguments.what == ["show"]:
        raise AgentError("no ID was given: python -m agent events ID (the last column of `python -m agent events`)")
    where = options.configured(arguments)
    spool = where.spool()
    entries = [entry for entry in spool.entries() if entry.category in _EVENTS]
    if words:
        return _show(spool, entries, words[0], arguments)
    wanted = _Filter(arguments)
    if arguments.format == "json":
        for seen in filter(wanted, _read(spool, entries)):
            out(json_text(seen.event))
    elif entries:
        _list(filter(wanted, _read(spool, entries)))
    else:
        out(f"No event is in the spool {spool.directory}.")
        out("Nothing was reported, or everything was delivered, or nothing is monitored: see python -m agent status")
    if entries and not wanted.hits:
        err(wanted.missed())
    for other in other_folders.readable(where.config, where.state):
        err(other.line("events"))
    return 0


class _Filter:
    """Selects events by `--module` and `--operation`, and counts the others for the message if none matches."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._wanted = {"module": arguments.module, "operation": arguments.operation}
        self._others: dict[str, Counter[str]] = {name: Counter() for name in self._wanted}
        self.hits = 0

    def __call__(self, seen: Seen) -> bool:
        found = True
        for name, wanted in self._wanted.items():
            tag = _tag(seen.event, "erp." + name)
            self._others[name][tag or "-"] += 1
            found = found and wanted in (None, tag)
        self.hits += found
        return found

    def missed(self) -> str:
        wanted = {name: value for name, value in self._wanted.items() if value is not None}
        if not wanted:
            return "no event in the spool can be read; see: python -m agent spool show"
        missing = " and ".join(f"{name} {value}" for name, value in wanted.items())
        there = [
            f"{name}s: {', '.join(f'{tag} {number}' for tag, number in self._others[name].most_common(10))}"
            for name in wanted
        ]
        return f"no event of {missing} is in the spool; it has events of the {'; of the '.join(there)}"


def _read(spool: Spool, entries: list[SpoolEntry]) -> Iterator[Seen]:
    """Yield one event at a time. Delivery sets aside what cannot be read, and keeps the reason."""
    for entry in entries:
        try:
            envelope = spool.read(entry)
            items = wire.decode(envelope.data).items if envelope is not None else []
        except (OSError, AgentError):
            continue
        for item in items:
            if item.type in ("event", "transaction"):
                try:
                    event = json.loads(item.payload)
                except (ValueError, RecursionError):
                    continue
                if isinstance(event, dict):
                    yield Seen(entry, event, sum(len(each.payload) for each in items))


# ----------------------------------------------------------------------------------------------------------------- list


def _list(found: Iterator[Seen]) -> None:
    groups: dict[tuple[str, ...], Group] = {}
    shown: list[SpoolEntry] = []
    for seen in found:
        groups.setdefault(_key(seen.event), Group()).add(seen)
        shown.append(seen.entry)
    if not groups:
        return
    wide = not is_terminal() or console().width >= _WIDE
    where = ("MODULE", "OPERATION") if wide else ()
    listing = table("SEVERITY", *where, "WHAT", "COUNT", "LAST SEEN", "ID", right=("COUNT",), folding="WHAT")
    for seen, count in sorted(((group.last, group.count) for group in groups.values() if group.last), key=_rank):
        event = seen.event
        level = str(event.get("level", "info"))
        place = (
            cut(_tag(event, "erp.module") or "-"),
            cut(_tag(event, "erp.operation") or str(event.get("transaction") or "-")),
        )
        happened = cut(story.what(event))
        if not wide:
            happened.append("\n").append(place[0]).append(" ").append(place[1])
        listing.add_row(
            styled((level, STYLES.get(level, ""))),
            *(place if wide else ()),
            happened,
            styled(str(count)),
            cut(_ago(event)),
            cut(seen.entry.event_id[:_SHORT]),
        )
    show_table(listing)
    what = f"{counted(len(shown), 'event')} in {counted(len(groups), 'group')}, {'; '.join(fate(shown))}."
    console().print(styled(what))
    console().print(styled("Details of one: python -m agent events ID"))


def _key(event: dict[str, Any]) -> tuple[str, ...]:
    fingerprint = event.get("fingerprint")
    if isinstance(fingerprint, list) and fingerprint:
        return tuple(str(part) for part in fingerprint)
    return (str(event.get("type") or "event"), str(event.get("transaction")), story.title(event))


def _rank(row: tuple[Seen, int]) -> tuple[int, int]:
    seen, _ = row
    return (_ORDER.get(str(seen.event.get("level")), 5), -seen.entry.stamp)


def _suppressed(event: dict[str, Any]) -> int:
    number = story.section(event, "contexts", "erp").get("suppressed")
    return number if isinstance(number, int) else 0


def _tag(event: dict[str, Any], name: str) -> str:
    return str(story.section(event, "tags").get(name) or "")


def _ago(event: dict[str, Any]) -> str:
    stamp = event.get("timestamp")
    if not isinstance(stamp, (int, float)) or not stamp:
        return str(stamp or "-")[:19]
    seconds = int(max(0.0, min(time.time() - stamp, 1e12)))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return "%d %s ago" % (seconds // size, unit)
    return "%d s ago" % seconds


# ------------------------------------------------------------------------------------------------------------------ one


def _show(spool: Spool, entries: list[SpoolEntry], wanted: str, arguments: argparse.Namespace) -> int:
    if wanted == "last":
        chosen = _Filter(arguments)
        seen = next(filter(chosen, _read(spool, entries[::-1])), None)
        if seen is None:
            raise AgentError(chosen.missed() if entries else f"no event is in the spool {spool.directory}")
    else:
        found = [entry for entry in entries if entry.event_id.startswith(wanted)]
        ids = sorted({entry.event_id for entry in found})
        if not ids:
            raise AgentError(f"no event in the spool has an ID starting with {wanted!r}; see: python -m agent events")
        if len(ids) > 1:
            some = "".join("\n  " + each for each in ids[:10])
            raise AgentError(f"{len(ids)} events have an ID starting with {wanted!r}:{some}")
        seen = next(_read(spool, found), None)
        if seen is None:
            raise AgentError(f"the event {ids[0]} has just been delivered, or cannot be read")
    if arguments.format == "json":
        out(json_text(seen.event, indent=2))
        return 0
    story.show(seen.event, fate_of(seen.entry))
    size = f"\nAs it is sent to Sentry ({seen.size} bytes, scrubbed when it was captured): "
    console().print(styled((size, "dim"), f"python -m agent events {seen.entry.event_id[:_SHORT]} --json"))
    return 0
