"""`top`: the ERP's operations, live in the terminal; sorted, filtered, with the last events of one."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, NamedTuple

from ...base.errors import AgentError
from ...deliver.history.events import local_events
from .. import options
from ..state import problems as weights
from ..terminal import counted, cut, is_terminal, lines_of, moment, one_line, put, styled, table
from . import numbers, page
from .command import Seen, add_selection, every, look
from .operations import ORDERS, Name, Operation, Selection, ordered
from .screen import Interrupted, can_draw, drawing, height

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from rich.table import Table
    from rich.text import Text

    from ...deliver.history.events import LocalEvent
    from .screen import Screen

HELP = "show the ERP's operations live, sorted by errors, time spent, calls or durations"

_HEAD = 4  # lines above the rows: two of the whole, an empty one, the head of the table
_FOOT = 1  # lines below them
_EVENTS = 50  # that are read of a row
_MOVES = {"down": 1, "j": 1, "up": -1, "k": -1, "page down": 10, "page up": -10, "home": -(10**9), "end": 10**9}
_HELP = "c calls e errors t time p p95 m max n name r reverse / find Enter events q quit"
_SHORT = 8  # characters of an event's id


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options. Exit status 0; 128 + its number after a signal, as in shells."""
    options.add_config(parser)
    add_selection(parser)
    names = {name: letter for letter, (name, _) in ORDERS.items()}
    parser.add_argument("--sort", choices=tuple(names), default="errors", help="what is shown first (default: errors)")
    parser.add_argument("--once", action="store_true", help="print it once, for pipes and scripts")
    parser.add_argument(
        "--every", type=every, default=2.0, metavar="DURATION", help="how often it is read (default: 2s)"
    )


class View(NamedTuple):
    """What a person has chosen. `name` is the row that is marked, `events` shows those of it."""

    order: str  # a letter of ORDERS
    reverse: bool = False
    text: str = ""  # that names must contain
    editing: bool = False  # is the text being typed?
    name: Name | None = None
    events: bool = False
    over: bool = False


def run(arguments: argparse.Namespace) -> int:
    """0, also where something is wrong: `status` is for scripts."""
    path = options.config_path(arguments.config)
    order = next(letter for letter, (name, _) in ORDERS.items() if name == arguments.sort)
    view = View(order)
    if arguments.once or not can_draw():
        seen = look(path, arguments)
        rows = visible(seen, view)
        room = height() - _HEAD - _FOOT if is_terminal() else len(rows)
        put("".join(line + "\n" for line in lines_of(_parts(seen, rows[:room], view, arguments.since))))
        return 0
    try:
        with drawing() as screen:
            _live(screen, path, arguments, view)
    except KeyboardInterrupt:
        return 0
    except EOFError:
        return 128 + signal.SIGHUP
    except Interrupted as signalled:
        return 128 + signalled.number
    return 0


def _live(screen: Screen, path: str, arguments: argparse.Namespace, view: View) -> None:
    while not view.over:
        seen = look(path, arguments)
        until = time.monotonic() + arguments.every
        while not view.over and (left := until - time.monotonic()) > 0:
            rows = visible(seen, view)
            view = marked(view, rows)
            screen.draw(_frame(seen, rows, view, arguments.since))
            for key in screen.keys(left):
                view = after(view, key, rows)


# -------------------------------------------------------------------------------------------------------- the view


def visible(seen: Seen, view: View) -> list[Operation]:
    selection = Selection(text=view.text)
    return ordered([row for row in seen.rows if selection.has(row.name)], view.order, reverse=view.reverse)


def marked(view: View, rows: list[Operation]) -> View:
    """The same with a row that is there."""
    names = [row.name for row in rows]
    if view.name in names:
        return view
    return view._replace(name=names[0] if names else None, events=view.events and bool(names))


def after(view: View, key: str, rows: list[Operation]) -> View:
    """What a key does."""
    if view.editing:
        return _typed(view, key)
    if view.events:
        return view._replace(events=key not in ("escape", "enter", "q", "backspace"))
    if key in ("q", "Q"):
        return view._replace(over=True)
    if key in _MOVES and rows:
        at = next((number for number, row in enumerate(rows) if row.name == view.name), 0)
        return view._replace(name=rows[min(max(at + _MOVES[key], 0), len(rows) - 1)].name)
    if key in ORDERS:
        return view._replace(order=key, reverse=False)
    if key == "r":
        return view._replace(reverse=not view.reverse)
    if key == "/":
        return view._replace(editing=True)
    if key == "escape":
        return view._replace(text="")
    if key == "enter":
        return view._replace(events=view.name is not None)
    return view


def _typed(view: View, key: str) -> View:
    if key == "enter":
        return view._replace(editing=False)
    if key == "escape":
        return view._replace(editing=False, text="")
    if key == "backspace":
        return view._replace(text=view.text[:-1])
    return view._replace(text=view.text + key) if len(key) == 1 else view


# ------------------------------------------------------------------------------------------------------- the frame


def _frame(seen: Seen, rows: list[Operation], view: View, since: float) -> list[str]:
    lines = height()
    if view.events and view.name is not None:
        body = lines_of(_events(seen, view.name, max(lines - 4, 1)))
    else:
        room = max(lines - _HEAD - _FOOT, 1)
        at = next((number for number, row in enumerate(rows) if row.name == view.name), 0)
        first = max(min(at - room // 2, len(rows) - room), 0)
        body = lines_of(_parts(seen, rows[first : first + room], view, since, chosen=at - first))
    body = body[: lines - 1]
    return [*body, *[""] * (lines - 1 - len(body)), *lines_of([_foot(view)])[:1]]


def _parts(
    seen: Seen, rows: list[Operation], view: View, since: float, *, chosen: int | None = None
) -> Iterator[Table | Text]:
    whole = seen.whole
    state, _ = page.verdict(whole, seen.problems)
    calls = sum(row.per_minute or 0.0 for row in seen.rows)
    failures, total = sum(row.failures for row in seen.rows), sum(row.calls for row in seen.rows)
    order = ORDERS[view.order][0] + (", reversed" if view.reverse else "")
    chosen_text = f" with {view.text!r}" if view.text else ""
    running = counted(len(whole.living), "process", "processes")
    head = f"{moment(whole.at, '%H:%M:%S')} by {order}{chosen_text}: {running}, {numbers.rate(calls)}, "
    head += f"{numbers.share(failures, total)} failed {page.period(seen.seconds, since)}"
    yield cut(head)
    wrong = [problem for problem in seen.problems if problem.weight >= weights.WRONG]
    words = f"{counted(len(wrong), 'problem')}: {wrong[0].text}" if wrong else "no problem is known"
    line = cut(words if len(wrong) < 2 else f"{words} (all: python -m agent status)")
    line.stylize({"broken": "bold red", "in trouble": "bold yellow"}.get(state, ""))
    yield line
    yield styled("")
    if rows:
        yield page.operation_table(rows, whole.at, chosen=chosen)
    else:
        yield styled("no operation has this text in its names" if view.text else "no monitored operation was counted")


def _foot(view: View) -> Text:
    if view.editing:
        return cut(f"filter: {view.text}_   (Enter: keep it, Escape: clear it)")
    if view.events:
        return cut("q back; one of them in full: python -m agent events ID")
    return cut(_HELP)


def _events(seen: Seen, name: Name, room: int) -> Iterator[Table | Text]:
    yield styled((f"{one_line(name.monitor)}: ", "bold"), "its last events on this machine")
    yield styled("")
    found = last_events(seen, name, room)
    if not found:
        yield styled("none: no call of it was worth a report, or they are older than delivery.history keeps")
        return
    rows = table("WHEN", "SEVERITY", "WHAT", "STATE", "ID", folding="WHAT", dense=True)
    for event in found:
        when = moment(event.at, "%m-%d %H:%M:%S")
        rows.add_row(*map(cut, (when, event.facts.severity, event.facts.title, event.fate.state, event.id[:_SHORT])))
    yield rows


def last_events(seen: Seen, name: Name, number: int) -> list[LocalEvent]:
    """The newest events of a monitor's operation, delivered or not."""
    if seen.whole.settings is None:
        return []
    directory = seen.whole.settings.spool().directory
    found = []
    try:
        for event in local_events([directory], newest_first=True, monitor=name.monitor, operation=name.operation):
            found.append(event)
            if len(found) >= min(number, _EVENTS):
                break
    except (OSError, AgentError):
        pass
    return found
