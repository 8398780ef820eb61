"""What `status --processes` prints of each process: what is monitored in it, and what is not and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..terminal import counted, moment, one_line, styled, table
from . import page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table
    from rich.text import Text

    from ..state.processes import Process
    from ..state.whole import Whole

    Rows = dict[str, dict[tuple[str, str], str]]

_NOT_IMPORTED = "module not imported yet"
_STYLES = {"failed": "bold red", "waiting": "yellow", "patched": "green"}


def parts(whole: Whole, *, functions: bool) -> Iterator[Table | Text]:
    """With `functions`, a line for each function; else for each monitor and state."""
    for process in whole.shown:
        yield from _process(process, whole, functions=functions)


def _process(process: Process, whole: Whole, *, functions: bool) -> Iterator[Table | Text]:
    rows: Rows = {"failed": process.failed, "waiting": dict(process.waiting), "patched": process.patched}
    rows["waiting"].update(dict.fromkeys(whole.plans.not_imported(process), _NOT_IMPORTED))
    yield styled("")
    facts = f"pid {process.pid}, {'running' if process.alive else 'ended'}, Python {one_line(process.python)}"
    name = (one_line(process.program) + " ", "bold")
    yield styled(name, f"({facts}, since {moment(process.started)})")
    if process in whole.older:
        what = "the configuration has changed since it started"
        restart = ": restart needed" if process in whole.restarts_needed() else ""
        yield styled(("  older plan: ", "bold yellow"), what + restart)
    for problem in dict.fromkeys(process.problems):
        yield styled(("  problem: ", "bold red"), one_line(problem))
    if process.sdk:
        yield styled(("  Sentry SDK: ", "dim"), one_line(process.sdk))
    for client in process.clients:
        yield styled(("  the host's own Sentry client: ", "dim"), one_line(client))
    yield from _counts(process, rows)
    if not functions:
        rows = {state: _grouped(items) for state, items in rows.items()}
    made = table("STATE", "MONITOR", "TARGET", "NOTE")
    for state, items in rows.items():
        for (monitor, path), note in items.items():
            made.add_row(styled((state, _STYLES[state])), *(styled(one_line(each)) for each in (monitor, path, note)))
    if made.row_count:
        yield made


def _counts(process: Process, rows: Rows) -> Iterator[Text]:
    again = process.count("tried-again")  # failed attempts that a task framework repeated
    handed = page.handed_over(process.count("handed-over"), process.count("not-taken"))
    least = "at least " if process.behind else ""
    yield styled(
        f"  {len(rows['patched'])} patched, {len(rows['waiting'])} waiting, {len(rows['failed'])} failed; {least}"
        f"{process.reported} reported{handed}, {process.count('expected')} expected, "
        f"{process.count('rate')} held back by limits" + (f", {again} of attempts that were repeated" if again else "")
    )
    traces = _traces(process)
    if traces:
        yield styled(("  traces: ", "dim"), traces)
    if process.behind:
        left = "the next counted call writes them" if process.alive else "the process was killed before it wrote them"
        yield styled(("  counts: ", "yellow"), f"the last counts of a burst are missing: {left}")
    lost = process.lost()
    if lost:
        yield styled(
            ("  lost: ", "bold red"), one_line(", ".join(f"{number} {reason}" for reason, number in lost.items()))
        )
    for (monitor, which), (number, why) in sorted(process.expressions.items()):
        words = f"{monitor}, {which}: {counted(number, 'time')}, last: {why}"
        yield styled(("  expression failed: ", "bold red"), one_line(words))
    slow = process.count("slow-disk")
    if slow:
        yield styled(("  slow disk: ", "yellow"), f"writing an event held up other threads {counted(slow, 'time')}")


def _traces(process: Process) -> str:
    """How many traces were kept, by the reason, and how many were not for the rate; "" where none was."""
    of = dict.fromkeys(("sample", "slow", "failed"), 0)
    dropped = 0
    for (reason, what), number in process.counts.items():
        if reason == "trace-kept":
            of[what] = of.get(what, 0) + number
        elif reason == "trace-rate":
            dropped += number
    if not dropped and not any(of.values()):
        return ""
    kept = ", ".join(f"{number:,} {'sampled' if what == 'sample' else what}" for what, number in of.items())
    return f"{kept}" + (f"; {dropped:,} slow or failed ones were dropped: traces.rate_limit" if dropped else "")


def _grouped(items: dict[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """A line for each monitor: a pattern may have a thousand functions."""
    monitors: dict[str, list[tuple[str, str]]] = {}
    for (monitor, path), note in items.items():
        monitors.setdefault(monitor, []).append((path, note))
    grouped: dict[tuple[str, str], str] = {}
    for monitor, found in monitors.items():
        if len(found) == 1:
            path, note = found[0]
            grouped[monitor, path] = note
            continue
        notes = list(dict.fromkeys(note for _, note in found if note))
        others = f" (and {len(notes) - 1} other notes: --functions)" if len(notes) > 1 else ""
        grouped[monitor, f"{len(found)} functions"] = "".join(notes[:1]) + others
    return grouped
