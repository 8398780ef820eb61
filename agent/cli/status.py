"""`status`: what this configuration did in the processes that run, or ran last: patched, waiting, failed and why."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ..base import places
from ..base.errors import AgentError
from ..plan import index as cache
from ..plan.in_force import last_good_for
from . import options
from .spool.places import fate
from .state import elsewhere, other_users, processes
from .state.plans import Plans
from .terminal import console, json_text, moment, one_line, out, show_table, shown_path, styled, table

if TYPE_CHECKING:
    import argparse

    from rich.text import Text

    from .state.processes import Process

HELP = "show what the configuration did in running processes: patched, waiting for import, failed and why"

_NOT_IMPORTED = "its module has not been imported"
_STYLES = {"failed": "bold red", "waiting": "yellow", "patched": "green"}


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_config(parser)
    parser.add_argument("--all", action="store_true", help="also processes that have ended (default: the last of them)")
    parser.add_argument("--functions", action="store_true", help="every function, and not a line for each monitor")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")


def run(arguments: argparse.Namespace) -> int:
    """0: all that ran did what the configuration says, 1: something failed or is not in force."""
    path = options.config_of(arguments.config)
    state = places.state_folder(os.environ, path)
    shown = processes.of_the_host(processes.read(os.path.join(state, "run")), all_=arguments.all)
    plans = Plans(state, path)
    older = {process.pid for process in shown if plans.is_older(process)}
    index = plans.of(shown)
    problems = list(index.problems) if index is not None else []
    wrong = problems or any(process.failed or process.problems for process in shown)
    status = int(bool(wrong or any(process.alive for process in shown if process.pid in older)))
    others = other_users.look(path, state)
    if arguments.format == "json":
        rows = [{**process.as_json(), "restart_needed": process.pid in older} for process in shown]
        answer = {"config": path, "state": state, "problems": problems, "processes": rows}
        out(json_text({**answer, "elsewhere": [other._asdict() for other in others]}, indent=2))
        return status
    target = console()
    target.print(styled(("configuration ", "dim"), one_line(shown_path(path))))
    target.print(styled(("state         ", "dim"), one_line(state)))
    _show_plan(state, path, plans, index)
    _show_spool(path)
    for other in others:
        target.print(styled(("elsewhere     ", "dim"), one_line(other.line("status"))))
    for problem in problems:
        target.print(styled(("problem: ", "bold red"), one_line(problem)))
    for process in shown:
        _show_process(process, plans, problems, older=process.pid in older, functions=arguments.functions)
    if not shown:
        out("\nNo process has reported in: none has imported a module that a monitor names.")
        for clue in elsewhere.clues(path, state):
            out(f"  {one_line(clue)}")
    return status


# --------------------------------------------------------------------------------------------------------- what holds


def _show_plan(state: str, path: str, plans: Plans, index: cache.Index | None) -> None:
    bad = cache.load_bad(state, path)
    if bad is not None and not places.unchanged(bad.header, environment=False):
        bad = None  # it has been corrected since
    target = console()
    if index is None:
        words = "none compiled yet for this Python and environment: the first process makes it"
        if bad is not None:
            words = "none: " + (bad.problems[0] if bad.problems else "the configuration gives no plan")
        target.print(styled(("plan          ", "dim"), one_line(words)))
        return
    number = len(index.all_monitors())
    words = "%d monitor%s, %s" % (number, "s" * (number != 1), plans.age(index))
    target.print(styled(("plan          ", "dim"), one_line(words)))
    if bad is not None:
        allowed = last_good_for(os.environ.get("AGENT_LAST_GOOD"))
        since, until = (moment(at, "%Y-%m-%d %H:%M") for at in (bad.since, bad.since + allowed))
        words = f"the last good plan is in force since {since}, until {until} (AGENT_LAST_GOOD)"
        if time.time() > bad.since + allowed:
            words = f"nothing is monitored: the last good plan was in force until {until} (AGENT_LAST_GOOD)"
        target.print(styled(("problem: ", "bold red"), words))


def _show_spool(path: str) -> None:
    target = console()
    try:
        spool = options.settings(path).spool()
    except AgentError as error:
        target.print(styled(("spool         ", "dim"), one_line(error)))
        return
    aside = spool.quarantined()
    lines = fate(spool.entries()) or ["empty"]
    if aside:
        lines.append("%d set aside (last: %s)" % (len(aside), aside[-1][1] or "no reason kept"))
    if spool.degraded:
        lines.append(f"in trouble: {spool.degraded}")
    for number, line in enumerate([*lines, "in " + spool.directory]):
        target.print(styled(("" if number else "spool", "dim"), " " * (14 if number else 9), one_line(line)))


# -------------------------------------------------------------------------------------------------------- one process


def _show_process(process: Process, plans: Plans, told: list[str], *, older: bool, functions: bool) -> None:
    target = console()
    target.print(
        styled("\n", (one_line(process.program) + " ", "bold"), "(pid %d, %s, Python %s, since %s)" % (
            process.pid, "running" if process.alive else "ended", one_line(process.python), moment(process.started)))
    )  # fmt: skip
    if older:
        what = "the configuration has changed since it started"
        target.print(styled(("  older plan: ", "bold yellow"), what + (": restart needed" if process.alive else "")))
    for problem in dict.fromkeys(item for item in process.problems if item not in told):
        target.print(styled(("  problem: ", "bold red"), one_line(problem)))
    if process.sdk:
        target.print(styled(("  Sentry SDK: ", "dim"), one_line(process.sdk)))
    for said in process.clients:
        target.print(styled(("  the host's own Sentry client: ", "dim"), one_line(said)))
    rows = {"failed": process.failed, "waiting": dict(process.waiting), "patched": process.patched}
    rows["waiting"].update(dict.fromkeys(plans.not_imported(process), _NOT_IMPORTED))
    _show_counts(process, rows)
    _show_measured(process)
    _show_functions(rows) if functions else _show_monitors(rows)


def _show_counts(process: Process, rows: dict[str, dict[tuple[str, str], str]]) -> None:
    target = console()
    again = process.count("tried-again")  # errors of attempts that a task framework repeated
    least = "at least " if process.behind else ""
    target.print(
        f"  {len(rows['patched'])} patched, {len(rows['waiting'])} waiting, {len(rows['failed'])} failed; {least}"
        f"{process.count('captured')} reported, {process.count('expected')} expected, "
        f"{process.count('rate')} held back by limits" + (f", {again} tried again" if again else "")
    )
    if process.behind:
        left = (
            "the next call that is counted writes the rest"
            if process.alive
            else "it was killed with the rest unwritten"
        )
        target.print(styled(("  counts: ", "yellow"), f"of a burst, not all are written: {left}"))
    lost = process.lost()
    if lost:
        words = ", ".join("%d %s" % (number, reason) for reason, number in lost.items())
        target.print(styled(("  lost: ", "bold red"), one_line(words)))
    for (monitor, which), (number, why) in sorted(process.expressions.items()):
        times = "%d time%s, last: " % (number, "s" * (number != 1))
        target.print(styled(("  expression failed: ", "bold red"), one_line(f"{monitor}, {which}: {times}{why}")))
    slow = process.count("slow-disk")
    if slow:
        words = "%d time%s it held up other threads while events were written" % (slow, "s" * (slow != 1))
        target.print(styled(("  slow disk: ", "yellow"), words + " (delivery.spool.keep_interpreter)"))


def _show_monitors(rows: dict[str, dict[tuple[str, str], str]]) -> None:
    """A line for each monitor and state: a pattern has a thousand functions."""
    made = table("STATE", "MONITOR", "TARGET", "NOTE")
    for state, items in rows.items():
        monitors: dict[str, list[tuple[str, str]]] = {}
        for (monitor, path), note in items.items():
            monitors.setdefault(monitor, []).append((path, note))
        for monitor, found in monitors.items():
            path, note = found[0]
            if len(found) > 1:
                notes = dict.fromkeys(note for _, note in found if note)
                path = f"{len(found)} functions"
                note = next(iter(notes), "")
                if len(notes) > 1:
                    note += f" (and {len(notes) - 1} other notes: --functions)"
            made.add_row(*_cells(state, monitor, path, note))
    if made.row_count:
        show_table(made)


def _show_functions(rows: dict[str, dict[tuple[str, str], str]]) -> None:
    made = table("STATE", "MONITOR", "TARGET", "NOTE")
    for state, items in rows.items():
        for (monitor, path), note in items.items():
            made.add_row(*_cells(state, monitor, path, note))
    if made.row_count:
        show_table(made)


def _cells(state: str, *rest: str) -> list[Text]:
    return [styled((state, _STYLES[state])), *(styled(one_line(each)) for each in rest)]


def _show_measured(process: Process) -> None:
    """What is most of the process's time first."""
    if not process.measured:
        return
    numbers = ("CALLS", "FAILED", "P50", "P95", "MAX")
    rows = table("MONITOR", *numbers, right=numbers)
    for name, (calls, failures, p50, p95, _, longest) in sorted(
        process.measured.items(), key=lambda item: -item[1][0] * (item[1][2] or 0.0)
    ):
        times = [_time(seconds) for seconds in (p50, p95, longest)]
        rows.add_row(styled(one_line(name)), *map(styled, (f"{calls:,}", f"{failures:,}", *times)))
    show_table(rows)


def _time(seconds: float | None) -> str:
    """Two digits: more are not known."""
    if seconds is None:
        return "-"
    seconds = float(f"{seconds:.2g}")
    size, unit = next((each for each in ((1.0, "s"), (1e-3, "ms")) if seconds >= each[0]), (1e-6, "µs"))
    return f"{float(f'{seconds / size:.2g}'):,g} {unit}"
