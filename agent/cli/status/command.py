"""`status`: whether the monitoring works, what is wrong and what to do, and how the ERP's operations run."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ...sentry_project import links
from .. import options
from ..state import problems as weights
from ..state.problems import Problem, problems
from ..state.whole import Whole
from ..terminal import end_echo, has_cursor, is_terminal, json_text, lines_of, out, put, styled
from . import page, processes
from .operations import Operation, Selection, operations
from .screen import height

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table
    from rich.text import Text

HELP = "show whether the monitoring works, what is wrong and what to do, and how the ERP's operations run"

_LEAST_EVERY = 0.2  # seconds
_ROWS = 20  # of a terminal


class Seen(NamedTuple):
    """All that is shown, read at one time."""

    whole: Whole
    problems: list[Problem]
    rows: list[Operation]
    seconds: float  # of which there are figures

    @property
    def exit_status(self) -> int:
        return int(any(problem.weight >= weights.WRONG for problem in self.problems))


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options. Exit status 0: nothing is wrong; 1: something is; 0 after Ctrl-C with --watch."""
    options.add_config(parser)
    add_selection(parser)
    parser.add_argument(
        "--limit", type=int, metavar="N", help=f"show N operations (default: {_ROWS} on a terminal, else all)"
    )
    parser.add_argument(
        "--processes", action="store_true", help="show each process: what is monitored in it, and what is not"
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="with --processes: every process that has ended, too (default: only the last one)",
    )
    parser.add_argument(
        "--functions", action="store_true", help="with --processes: a line for each function, not each monitor"
    )
    options.add_format(parser)
    parser.add_argument("--watch", action="store_true", help="show it again and again; Ctrl-C ends it")
    parser.add_argument(
        "--every", type=every, default=2.0, metavar="DURATION", help="with --watch: how often (default: 2s)"
    )


def add_selection(parser: argparse.ArgumentParser) -> None:
    """The options that `top` has, too."""
    parser.add_argument(
        "--module", metavar="MODULE", default="*", help="only operations of this ERP module; * is a wildcard"
    )
    parser.add_argument(
        "--monitor", metavar="NAME", default="*", help="only operations of this monitor; * is a wildcard"
    )
    parser.add_argument(
        "--since",
        type=options.duration,
        default=3600.0,
        metavar="DURATION",
        help="figures of this time until now (default: 1h)",
    )


def every(text: str) -> float:
    """Seconds between two looks."""
    seconds = options.duration(text)
    if seconds < _LEAST_EVERY:
        raise argparse.ArgumentTypeError(f"{text[:40]}: at least {_LEAST_EVERY} s")
    return seconds


def run(arguments: argparse.Namespace) -> int:
    """0: nothing is wrong, 1: something is."""
    path = options.config_path(arguments.config)
    if not arguments.watch:
        seen = look(path, arguments)
        _show(seen, arguments)
        return seen.exit_status
    try:
        while True:
            _show(look(path, arguments), arguments, again=True)
            time.sleep(arguments.every)
    except KeyboardInterrupt:
        end_echo()
        return 0


def look(path: str, arguments: argparse.Namespace) -> Seen:
    """Read everything."""
    whole = Whole(path, ended=getattr(arguments, "all", False))
    rows, seconds = operations(whole.figures, arguments.since, Selection(arguments.module, arguments.monitor))
    return Seen(whole, problems(whole), rows, seconds)


def _show(seen: Seen, arguments: argparse.Namespace, *, again: bool = False) -> None:
    if arguments.format == "json":
        out(json_text(as_json(seen, arguments.since), indent=None if again else 2))
        return
    lines = lines_of(_parts(seen, arguments))
    if not again:
        put("".join(line + "\n" for line in lines))
    elif has_cursor():
        # Each line clears what is behind it: nothing flickers.
        put("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines[: height() - 1]) + "\x1b[J")
    else:
        put("".join(line + "\n" for line in [*lines, ""]))


def _parts(seen: Seen, arguments: argparse.Namespace) -> Iterator[Table | Text]:
    yield page.summary(seen.whole, seen.problems)
    if seen.problems:
        yield styled("")
        yield from page.problem_lines(seen.problems)
    if arguments.processes or arguments.functions or arguments.all:
        yield from processes.parts(seen.whole, functions=arguments.functions)
    yield styled("")
    yield from _figures(seen, arguments)


def _figures(seen: Seen, arguments: argparse.Namespace) -> Iterator[Table | Text]:
    when = page.period(seen.seconds, arguments.since)
    chosen = (arguments.module, arguments.monitor) != ("*", "*")
    if not seen.rows:
        if not seen.seconds:
            yield styled("no monitored operation has been counted yet")
        else:
            yield styled(f"{'no such operation ran' if chosen else 'no monitored operation ran'} {when}")
        return
    limit = arguments.limit or (_ROWS if is_terminal() else len(seen.rows))
    shown = seen.rows[:limit]
    yield styled(("operations ", "dim"), f"{when}: those with errors first, then by time spent")
    yield page.operation_table(shown, seen.whole.at)
    if len(shown) < len(seen.rows):
        yield styled((f"and {len(seen.rows) - len(shown)} more: --limit {len(seen.rows)}", "dim"))


def as_json(seen: Seen, since: float) -> dict[str, Any]:
    """The document of `--json`, described in docs/operations.md. Keys are added, and not renamed or removed."""
    whole = seen.whole
    state, words = page.verdict(whole, seen.problems)
    older = {process.pid for process in whole.older}
    restart = {process.pid for process in whole.restarts_needed()}
    index = whole.index
    pages = links.of(whole.settings.sentry) if whole.settings is not None else None
    return {
        "version": 1,
        "at": whole.at,
        "config": whole.path,
        "state": whole.state,
        "verdict": {"state": state, "text": words},
        "plan": {
            "identity": index.identity,
            "monitors": len(index.all_monitors()),
            "age": whole.plans.age(index),
        } if index is not None else None,
        "borrowed": whole.borrowed,
        "problems": [{**problem._asdict(), "severity": problem.severity} for problem in seen.problems],
        "delivery": [each._asdict() for each in whole.deliveries],
        "dashboards": pages.dashboards() if pages is not None else None,
        "lost": whole.lost(),
        "programs": _programs(whole, older, restart),
        "window": {"wanted": since, "seconds": seen.seconds, "until": whole.at},
        "operations": [row.as_json() for row in seen.rows],
        "processes": [
            {**process.as_json(), "older_plan": process.pid in older, "restart_needed": process.pid in restart}
            for process in whole.shown
        ],
        "elsewhere": [other._asdict() for other in whole.elsewhere],
    }  # fmt: skip


def _programs(whole: Whole, older: set[int], restart: set[int]) -> list[dict[str, Any]]:
    found: dict[str, list[int]] = {}
    for process in whole.living:
        found.setdefault(process.program, []).append(process.pid)
    return [
        {
            "program": program,
            "running": len(pids),
            "older_plan": [pid for pid in pids if pid in older],
            "restart_needed": [pid for pid in pids if pid in restart],
        }
        for program, pids in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
