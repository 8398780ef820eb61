"""`events`: what was caught on this machine, grouped as Sentry would group it; `events ID`: one event in detail.

Shown are the events of the agent's own spool and its history: waiting, held back, set aside, handed over, and sent.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ..base.errors import AgentError
from ..deliver.history import fates, forgetting
from ..deliver.history.events import Follower, LocalEvent, Wanted, local_events
from ..deliver.history.facts import KINDS, SEVERITIES, section
from ..deliver.history.fates import Fate
from ..sentry_project import links
from ..sentry_project.links import Links
from . import options, story, waterfall
from .spool.confirmed import confirmed
from .spool.places import check_usable, places
from .state import other_folders
from .status import numbers
from .terminal import (
    STYLES,
    console,
    counted,
    cut,
    end_echo,
    err,
    is_terminal,
    json_as_sent,
    moment,
    one_line,
    out,
    show_table,
    styled,
    table,
)

HELP = "show the events that were caught on this machine, sent or not, or one of them in detail"

_SHORT = 8  # characters of an id on a terminal
_WIDE = 110  # columns of a terminal from which a group is one line
_LOOK = 0.3  # seconds between looks of `--follow`
_LONGEST_TRACE = 3600.0  # seconds between an event and the end of its trace, for one that is looked for
_MOST_REASONS = 3  # for one state, below the list
_NOUNS = {"transaction": "trace"}  # kind → what one is called; all others are events


class Group:
    """Equal events in the list: their number and the last one. They are never all in memory at once."""

    def __init__(self, first: LocalEvent) -> None:
        self.count = 0
        self.last = first

    def add(self, event: LocalEvent) -> None:
        self.count += 1 + event.facts.suppressed
        self.last = max(self.last, event, key=lambda each: each.at)


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_config(parser)
    add = parser.add_argument
    add("--since", type=options.point_in_time, metavar="WHEN", help="only events captured since: 1h, 7d, 14:30, a date")
    add("--until", type=options.point_in_time, metavar="WHEN", help="only events captured before that")
    add("--severity", choices=SEVERITIES, help="only events of this severity and above")
    add("--module", metavar="MODULE", default="", help="only events of this ERP module")
    add("--operation", metavar="OPERATION", default="", help="only events of this operation")
    add("--monitor", metavar="NAME", default="", help="only events of this monitor")
    add("--kind", choices=KINDS, metavar="KIND", default="", help=f"only events of this kind: {', '.join(KINDS)}")
    add("--user", metavar="ID", default="", help="only events of this user")
    add(
        "--text", metavar="WORDS", default="", help="only events with all these words in message, exception or captures"
    )
    add("--state", metavar="STATE", choices=fates.STATES, help=f"only events in this state: {', '.join(fates.STATES)}")
    add("--limit", type=_number, metavar="N", help="only the newest N of them")
    add("--follow", action="store_true", help="print events as they are captured, until Ctrl-C")
    add("--delete", action="store_true", help="with --user: delete this user's events from this machine")
    add("--yes", action="store_true", help="with --delete: do not ask for confirmation")
    options.add_format(parser, json="print events exactly as they are sent, one a line")
    parser.add_argument(
        "what", nargs="*", metavar="[show] ID", help="ID of one event, or its first characters; `last` for the newest"
    )


def _number(text: str) -> int:
    import argparse

    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number of events; example: 20")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """0: shown, even if there is no event; 1: not confirmed; 2: there is no event with this ID, or could not run."""
    words = arguments.what[1:] if arguments.what[:1] in (["list"], ["show"]) else arguments.what
    if len(words) > 1 or (words and arguments.what[0] == "list"):
        raise AgentError(f"only one event can be shown: python -m agent events {words[-1]}")
    if arguments.what == ["show"]:
        raise AgentError("no ID was given: python -m agent events ID (the last column of `python -m agent events`)")
    where = options.configured(arguments)
    spool = where.spool()
    wanted = _wanted(arguments)
    spool.usable()
    check_usable(spool)
    if arguments.delete:
        return _delete(where, wanted, arguments)
    if words:
        return _show([spool.directory], words[0], wanted, arguments, links.of(where.sentry))
    if arguments.follow:
        return _follow([spool.directory], wanted, json=arguments.format == "json")
    shown = _list([spool.directory], wanted, arguments, has_dsn=bool(where.sentry["dsn"]))
    pages = links.of(where.sentry)
    if shown and pages is not None and arguments.format != "json":
        out(f"In Sentry: {pages.issues(arguments.module) if arguments.module else pages.dashboards()}")
    if not shown:
        missed = _missed([spool.directory], wanted)
        if missed:
            err(missed)
        elif arguments.format != "json":
            out(f"No event is in the spool {spool.directory}, and none in its history.")
            out("Nothing was reported, or nothing is monitored: see python -m agent status")
    for other in other_folders.readable(where.config, where.state):
        err(other.line("events"))
    return 0


def _wanted(arguments: argparse.Namespace) -> Wanted:
    fields = ("since", "until", "module", "operation", "monitor", "kind", "user", "text")
    states = (arguments.state,) if arguments.state else ()
    return Wanted(
        **{name: getattr(arguments, name) for name in fields}, severity=arguments.severity or "", states=states
    )


def _missed(directories: list[str], wanted: Wanted) -> str:
    """What there is instead of what was wanted; "" if there is nothing at all, or nothing was asked for."""
    there = list(local_events(directories))
    if not there or wanted == Wanted():
        return ""
    names = [name for name in ("module", "operation", "monitor", "kind", "severity") if getattr(wanted, name)]
    asked = " and ".join(f"{name} {getattr(wanted, name)}" for name in names)
    others = []
    for name in names:
        counts = Counter(getattr(event.facts, name) or "-" for event in there).most_common(10)
        listed = ", ".join(f"{one_line(value)} {number}" for value, number in counts)
        others.append(f"{name.replace('ty', 'tie')}s: {listed}")
    text = f"no event{f' of {asked}' if asked else ''} {'matches' if not asked else 'is here'}"
    since = f"there are {counted(len(there), 'event')} since {moment(there[0].at)}"
    return f"{text}; {since}" + (f", of the {'; of the '.join(others)}" if others else "")


# ----------------------------------------------------------------------------------------------------------------- list


def _list(directories: list[str], wanted: Wanted, arguments: argparse.Namespace, *, has_dsn: bool) -> int:
    """Print them. Return how many."""
    events: Iterable[LocalEvent] = local_events(directories, wanted)
    if arguments.limit:
        newest = local_events(directories, wanted, newest_first=True)
        events = [event for event, _ in zip(newest, range(arguments.limit))][::-1]
    number = 0
    if arguments.format == "json":
        for event in events:
            number += _print_json(event)
        return number
    groups: dict[str, Group] = {}
    reasons: dict[str, Counter[str]] = {}
    nouns: Counter[str] = Counter()
    for event in events:
        number += 1
        nouns[_NOUNS.get(event.facts.kind, "event")] += 1
        groups.setdefault(event.facts.group, Group(event)).add(event)
        reasons.setdefault(event.fate.state, Counter())[event.fate.reason] += 1
    if number:
        _show_groups(groups)
        listed = " and ".join(counted(many, noun) for noun, many in nouns.most_common())
        what = f"{listed} in {counted(len(groups), 'group')}"
        console().print(
            styled(f"{what}: {', '.join(f'{sum(some.values())} {state}' for state, some in reasons.items())}.")
        )
        for state, some in reasons.items():
            for reason, many in some.most_common(_MOST_REASONS):
                if reason:
                    console().print(styled(one_line(f"  {many} {state}: {reason}")))
        if fates.WAITING in reasons and not has_dsn:
            console().print(
                styled("  no DSN is set in this shell or file: only a process that has one sends what waits")
            )
        console().print(styled("Details of one: python -m agent events ID"))
    return number


def _show_groups(groups: dict[str, Group]) -> None:
    wide = not is_terminal() or console().width >= _WIDE
    where, state = (("MODULE", "OPERATION"), ("STATE",)) if wide else ((), ())
    listing = table("SEVERITY", *where, "WHAT", "COUNT", "LAST SEEN", *state, "ID", right=("COUNT",), folding="WHAT")
    for group in sorted(groups.values(), key=_rank):
        event = group.last
        place = (cut(event.facts.module or "-"), cut(event.facts.operation or "-"))
        happened, ago, became = (
            cut(event.facts.title),
            cut(numbers.age(time.time() - event.at) + " ago"),
            cut(event.fate.state),
        )
        if not wide:
            happened.append("\n").append(place[0]).append(" ").append(place[1])
            ago.append("\n").append(became)
        listing.add_row(
            styled((one_line(event.facts.severity), STYLES.get(event.facts.severity, ""))),
            *(place if wide else ()),
            happened,
            styled(str(group.count)),
            ago,
            *((became,) if wide else ()),
            cut(event.id[:_SHORT]),
        )
    show_table(listing)


def _rank(group: Group) -> tuple[int, float]:
    severity = group.last.facts.severity
    return (SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES), -group.last.at)


def _print_json(event: LocalEvent) -> bool:
    data = event.payload()
    if data is not None:
        out(json_as_sent(data))
    return data is not None


# --------------------------------------------------------------------------------------------------------------- follow


def _follow(directories: list[str], wanted: Wanted, *, json: bool) -> int:
    follower = Follower(directories, wanted)
    since = f"since {moment(wanted.since)}" if wanted.since is not None else "from now on"
    err(f"Events that are captured {since}, in {' and '.join(directories)}. Ctrl-C ends this.")
    try:
        while True:
            for event in follower.look():
                if json:
                    _print_json(event)
                else:
                    _print_line(event)
            sys.stdout.flush()
            time.sleep(_LOOK)
    except KeyboardInterrupt:
        end_echo()
        return 0


def _print_line(event: LocalEvent) -> None:
    state = "" if event.fate.state in (fates.WAITING, fates.SENT, fates.HANDED) else f"  ({event.fate.state})"
    place = " ".join(filter(None, (event.facts.module, event.facts.operation)))
    severity = (one_line("%-7s" % event.facts.severity), STYLES.get(event.facts.severity, ""))
    text = one_line(f"{place}: {event.facts.title}" if place else event.facts.title)
    console().print(styled(moment(event.at), " ", severity, " ", f"{event.id[:_SHORT]}  {text}{state}"))


# ------------------------------------------------------------------------------------------------------------------ one


def _show(directories: list[str], id_: str, wanted: Wanted, arguments: argparse.Namespace, pages: Links | None) -> int:
    if id_ == "last":
        event = next(local_events(directories, wanted, newest_first=True), None)
        if event is None:
            raise AgentError(_missed(directories, wanted) or f"no event is in the spool {directories[0]}")
    else:
        found = list(local_events(directories, id=id_.lower()))
        ids = sorted({each.id for each in found})
        if not ids:
            raise AgentError(f"no event here has an ID starting with {id_!r}; see: python -m agent events")
        if len(ids) > 1:
            some = "".join("\n  " + each for each in ids[:10])
            raise AgentError(f"{len(ids)} events have an ID starting with {id_!r}:{some}")
        event = found[-1]
    data = event.payload()
    content = event.data()
    if data is None or content is None:
        raise AgentError(f"the event {event.id} has just been removed, or cannot be read")
    if arguments.format == "json":
        out(json_as_sent(data))
        return 0
    trace = _trace_of(directories, event, content)
    story.show(content, words_of(event.fate), pages if event.fate.state == fates.SENT else None, trace)
    how = "was handed over" if event.fate.state == fates.HANDED else "is sent to Sentry"
    size = f"\nAs it {how} ({len(data)} bytes, scrubbed): "
    console().print(styled((size, "dim"), f"python -m agent events {event.id[:_SHORT]} --json"))
    return 0


def _trace_of(directories: list[str], event: LocalEvent, content: dict[str, Any]) -> str:
    """How to see the trace that the event belongs to; "" if it was not kept."""
    trace_id = section(content, "contexts", "trace").get("trace_id")
    if not trace_id or event.facts.kind == "transaction":
        return ""
    wanted = Wanted(kind="transaction", since=event.at, until=event.at + _LONGEST_TRACE)
    traces = local_events(directories, wanted)
    found = next((each for each in traces if str(trace_id).encode() in (each.payload() or b"")), None)
    if found is None:
        return ""
    return f"{waterfall.headline(waterfall.waterfall(found.data() or {}))}: python -m agent events {found.id[:_SHORT]}"


def words_of(fate: Fate) -> str:
    """What became of an event, with time and reason."""
    when = f"{fate.state} at {moment(fate.at)}" if fate.at is not None else fate.state
    if fate.state == fates.HANDED:
        return f"{when} {fate.reason}"
    if fate.state != fates.SENT:
        return f"{when}: {fate.reason}"
    response = f", HTTP {fate.status} from {fate.host}" if fate.status else ""
    return when + response


# --------------------------------------------------------------------------------------------------------------- delete


def _delete(where: options.Configured, wanted: Wanted, arguments: argparse.Namespace) -> int:
    if not wanted.user:
        raise AgentError("--delete needs the user whose events are to be deleted: events --user ID --delete")
    spools = [place.spool for place in places(where)]
    names = {spool.directory: {each.entry.name for each in local_events([spool.directory], wanted)} for spool in spools}
    number = sum(map(len, names.values()))
    if not number:
        out(f"No event of user {one_line(wanted.user)} is on this machine.")
        return 0
    question = (
        f"Delete {counted(number, 'event')} of user {one_line(wanted.user)} from this machine? "
        "Those that wait will not be sent; what Sentry has stays there."
    )
    if not arguments.yes and not confirmed(question):
        out("Nothing was deleted.")
        return 1
    deleted = sum(forgetting.forget(spool, names[spool.directory]) for spool in spools if names[spool.directory])
    out(f"{counted(deleted, 'event')} deleted.")
    return 0
