"""`status`: what a configuration does in the processes that run, or ran last: patched, waiting, failed and why."""

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
from .state import other_folders, other_processes, processes
from .state.plans import Plans
from .terminal import console, counted, json_text, moment, one_line, out, show_table, shown_path, styled, table

if TYPE_CHECKING:
    import argparse

    from .state.processes import Process

HELP = "show what is monitored in running processes, and what is not and why"

_NOT_IMPORTED = "module not imported yet"
_STYLES = {"failed": "bold red", "waiting": "yellow", "patched": "green"}


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_config(parser)
    parser.add_argument(
        "--all", action="store_true", help="show every process that has ended, too (default: only the last one)"
    )
    parser.add_argument("--functions", action="store_true", help="show a line for each function, not each monitor")
    options.add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """0: no problem is known, 1: something failed or is not in force."""
    path = options.config_path(arguments.config)
    state = places.state_folder(os.environ, path)
    shown = processes.of_the_host(processes.read(os.path.join(state, "run")), all_=arguments.all)
    plans = Plans(state, path)
    older = {process.pid for process in shown if plans.is_older(process)}
    index = plans.of(shown)
    problems = list(index.problems) if index is not None else []
    if not os.path.exists(path):
        problems.insert(0, f"{path}: there is no such file")
    wrong = problems or any(process.failed or process.problems for process in shown)
    status = int(bool(wrong or any(process.alive for process in shown if process.pid in older)))
    others = other_folders.readable(path, state)
    if arguments.format == "json":
        rows = [{**process.as_json(), "restart_needed": process.pid in older} for process in shown]
        report = {"config": path, "state": state, "problems": problems, "processes": rows}
        out(json_text({**report, "elsewhere": [other._asdict() for other in others]}, indent=2))
        return status
    target = console()
    _print_fact("configuration", shown_path(path))
    _print_fact("state", state)
    _show_plan(state, path, plans, index)
    _show_spool(path)
    for other in others:
        _print_fact("elsewhere", other.line("status"))
    for problem in problems:
        target.print(styled(("problem: ", "bold red"), one_line(problem)))
    for process in shown:
        _show_process(process, plans, problems, older=process.pid in older, functions=arguments.functions)
    if not shown:
        out("\nNo process has reported in yet. A process appears once it imports a monitored module.")
        if places.is_on("AGENT_DISABLED"):
            out("  AGENT_DISABLED is set in this shell.")
        for clue in (*(other.hint() for other in other_folders.unreadable(path, state)),
                     *other_processes.reasons_by_process(path)):  # fmt: skip
            out(f"  {one_line(clue)}")
    return status


def _print_fact(name: str, text: object) -> None:
    console().print(styled(("%-14s" % name, "dim"), one_line(text)))


# ----------------------------------------------------------------------------------------------- plan and spool


def _show_plan(state: str, path: str, plans: Plans, index: cache.Index | None) -> None:
    bad = cache.load_bad(state, path)
    if bad is not None and not places.unchanged(bad.header, environment=False):
        bad = None  # the file has been corrected
    if index is None:
        words = "none compiled yet for this Python and environment: the first process compiles it"
        if bad is not None:
            words = "none: " + (bad.problems[0] if bad.problems else "the configuration cannot be used")
        _print_fact("plan", words)
        return
    _print_fact("plan", f"{counted(len(index.all_monitors()), 'monitor')}, {plans.age(index)}")
    if bad is not None:
        allowed = last_good_for(os.environ.get("AGENT_LAST_GOOD"))
        since, until = (moment(at, "%Y-%m-%d %H:%M") for at in (bad.since, bad.since + allowed))
        words = f"the last good plan is in force since {since}, until {until} (AGENT_LAST_GOOD)"
        if time.time() > bad.since + allowed:
            words = f"nothing is monitored: the last good plan was in force until {until} (AGENT_LAST_GOOD)"
        console().print(styled(("problem: ", "bold red"), words))


def _show_spool(path: str) -> None:
    try:
        spool = options.configured_by(path).spool()
    except AgentError as error:
        _print_fact("spool", error)
        return
    aside = spool.quarantined()
    lines = fate(spool.entries()) or ["empty"]
    if aside:
        lines.append("%d set aside (last: %s)" % (len(aside), aside[-1][1] or "no reason was kept"))
    if spool.degraded:
        lines.append(f"problem: {spool.degraded}")
    for number, line in enumerate([*lines, "in " + spool.directory]):
        _print_fact("" if number else "spool", line)


# -------------------------------------------------------------------------------------------------------- one process


def _show_process(process: Process, plans: Plans, printed: list[str], *, older: bool, functions: bool) -> None:
    target = console()
    target.print(
        styled("\n", (one_line(process.program) + " ", "bold"), "(pid %d, %s, Python %s, since %s)" % (
            process.pid, "running" if process.alive else "ended", one_line(process.python), moment(process.started)))
    )  # fmt: skip
    if older:
        what = "the configuration has changed since it started"
        target.print(styled(("  older plan: ", "bold yellow"), what + (": restart needed" if process.alive else "")))
    for problem in dict.fromkeys(item for item in process.problems if item not in printed):
        target.print(styled(("  problem: ", "bold red"), one_line(problem)))
    if process.sdk:
        target.print(styled(("  Sentry SDK: ", "dim"), one_line(process.sdk)))
    for client in process.clients:
        target.print(styled(("  the host's own Sentry client: ", "dim"), one_line(client)))
    rows = {"failed": process.failed, "waiting": dict(process.waiting), "patched": process.patched}
    rows["waiting"].update(dict.fromkeys(plans.not_imported(process), _NOT_IMPORTED))
    _show_counts(process, rows)
    _show_functions(rows) if functions else _show_monitors(rows)


def _show_counts(process: Process, rows: dict[str, dict[tuple[str, str], str]]) -> None:
    target = console()
    again = process.count("tried-again")  # failed attempts that a task framework repeated
    least = "at least " if process.behind else ""
    target.print(
        f"  {len(rows['patched'])} patched, {len(rows['waiting'])} waiting, {len(rows['failed'])} failed; {least}"
        f"{process.count('captured')} reported, {process.count('expected')} expected, "
        f"{process.count('rate')} held back by limits" + (f", {again} tried again" if again else "")
    )
    if process.behind:
        left = "the next counted call writes them" if process.alive else "the process was killed before it wrote them"
        target.print(styled(("  counts: ", "yellow"), f"the last counts of a burst are missing: {left}"))
    lost = process.lost()
    if lost:
        words = ", ".join("%d %s" % (number, reason) for reason, number in lost.items())
        target.print(styled(("  lost: ", "bold red"), one_line(words)))
    for (monitor, which), (number, why) in sorted(process.expressions.items()):
        words = f"{monitor}, {which}: {counted(number, 'time')}, last: {why}"
        target.print(styled(("  expression failed: ", "bold red"), one_line(words)))
    slow = process.count("slow-disk")
    if slow:
        words = f"writing an event held up other threads {counted(slow, 'time')} (delivery.spool.keep_interpreter)"
        target.print(styled(("  slow disk: ", "yellow"), words))


def _show_monitors(rows: dict[str, dict[tuple[str, str], str]]) -> None:
    """Print a line for each monitor and state: a pattern may have a thousand functions."""
    grouped: dict[str, dict[tuple[str, str], str]] = {}
    for state, items in rows.items():
        monitors: dict[str, list[tuple[str, str]]] = {}
        for (monitor, path), note in items.items():
            monitors.setdefault(monitor, []).append((path, note))
        grouped[state] = dict(_grouped(monitor, found) for monitor, found in monitors.items())
    _show_functions(grouped)


def _grouped(monitor: str, found: list[tuple[str, str]]) -> tuple[tuple[str, str], str]:
    if len(found) == 1:
        path, note = found[0]
        return (monitor, path), note
    notes = list(dict.fromkeys(note for _, note in found if note))
    others = f" (and {len(notes) - 1} other notes: --functions)" if len(notes) > 1 else ""
    return (monitor, f"{len(found)} functions"), "".join(notes[:1]) + others


def _show_functions(rows: dict[str, dict[tuple[str, str], str]]) -> None:
    made = table("STATE", "MONITOR", "TARGET", "NOTE")
    for state, items in rows.items():
        for (monitor, path), note in items.items():
            made.add_row(styled((state, _STYLES[state])), *(styled(one_line(each)) for each in (monitor, path, note)))
    if made.row_count:
        show_table(made)
