"""What `status` prints: whether it works, what is wrong and what to do, then the ERP's operations."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from ...sentry_project import links
from ..state import problems as weights
from ..terminal import console, counted, cut, facts, is_terminal, moment, one_line, shown_path, styled, table
from . import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table
    from rich.text import Text

    from ..state.delivery import Delivery
    from ..state.problems import Problem
    from ..state.whole import Whole
    from .operations import Operation

#: Columns of a terminal from which a table has room for all.
WIDE = 110

_TIMES = ("P50", "P95", "P99", "MAX")

_MARKS = {"error": "!!", "warning": "!", "note": "-"}
_STYLES = {"error": "bold red", "warning": "bold yellow", "note": ""}


def verdict(whole: Whole, found: Sequence[Problem]) -> tuple[str, str]:
    """(works, in trouble, broken, or idle; one line of words). Both are known from files only."""
    wrong = [problem for problem in found if problem.weight >= weights.WRONG]
    if wrong and wrong[0].weight >= weights.BROKEN:
        more = f" (and {counted(len(wrong) - 1, 'other problem')})" if len(wrong) > 1 else ""
        return "broken", f"does not work: {wrong[0].text}{more}"
    those = f", {counted(len(wrong), 'problem')}" if wrong else ""
    if whole.living:
        return ("in trouble" if wrong else "works"), "works" + those
    words = "no process of the ERP runs" if whole.shown else "no process has reported in yet"
    return ("in trouble" if wrong else "idle"), words + those


# ------------------------------------------------------------------------------------------------------- the whole


def summary(whole: Whole, found: Sequence[Problem]) -> Table:
    state, words = verdict(whole, found)
    style = {"works": "bold green", "idle": "bold"}.get(state, "bold red" if state == "broken" else "bold yellow")
    rows = [
        ("agent", styled((words, style), f", as of {moment(whole.at)}")),
        ("configuration", styled(_configuration(whole))),
        ("plan", styled(_plan(whole))),
    ]
    for prefix, other in whole.borrowed.items():
        words = f"{shown_path(prefix)} lacks libraries: {shown_path(other)} compiles and delivers for it"
        rows.append(("", styled(one_line(words))))
    for each in whole.deliveries:
        rows.append(("client" if each.is_client else "delivery", styled(one_line(_destination(each, whole)))))
        rows.append(("", styled(one_line(_spool(each, whole)))))
        if each.courier is not None:
            rows.append(("", styled(one_line(_courier(each.courier)))))
    pages = links.of(whole.settings.sentry) if whole.settings is not None else None
    if pages is not None:
        rows.append(("dashboards", styled(one_line(pages.dashboards()))))
    rows.append(("processes", styled(one_line(_programs(whole)))))
    if whole.shown:
        rows.append(("", styled(_reports(whole))))
    rows.append(("state", styled(one_line(whole.state))))
    return facts(rows)


def _configuration(whole: Whole) -> str:
    try:
        saved = f", saved {moment(os.stat(whole.path).st_mtime, '%Y-%m-%d %H:%M')}"
    except OSError:
        saved = ""
    return one_line(shown_path(whole.path)) + saved


def _plan(whole: Whole) -> str:
    index = whole.index
    if index is None:
        not_yet = "none compiled yet for this Python and environment: the first process compiles it"
        return "none" if whole.rejected else not_yet
    taken = [process.plan_since or process.started for process in whole.living if process.plan == index.identity]
    since = f", in force since {moment(min(taken), '%Y-%m-%d %H:%M')}" if taken else ""
    return f"{counted(len(index.all_monitors()), 'monitor')}, {whole.plans.age(index)}{since}"


def _destination(each: Delivery, whole: Whole) -> str:
    name = "the ERP's own Sentry client, " if each.is_client else ""
    if not each.sentry and whole.hands_over:
        to = f", {each.handed_to}, the last {moment(each.accepted)}" if each.handed_to else ""
        return f"no DSN: events go to the ERP's own Sentry client{to}; what it does not take stays on this machine"
    if not each.sentry:
        return name + "no DSN: events stay on this machine"
    if each.accepted is not None and not each.handed_to:
        return f"{name}{each.sentry}, last accepted an event {moment(each.accepted)}"
    return f"{name}{each.sentry}, no accepted event is known"


def _spool(each: Delivery, whole: Whole) -> str:
    oldest = f" since {moment(each.oldest)}" if each.oldest is not None else ""
    traces = f" ({each.held_traces} of them traces)" if each.held_traces else ""
    words = [f"{each.waiting} waiting{oldest}", f"{each.held} held back{traces}", f"{each.aside} set aside"]
    if each.attempts:
        words.insert(2, f"{each.attempts} of attempts that may be repeated")
    if not each.is_client:
        lost = whole.lost()
        words.append(", ".join(f"{number} lost ({reason})" for reason, number in lost.items()) or "0 lost")
    return ", ".join(words)


def _courier(courier: dict[str, object]) -> str:
    return f"courier {courier['pid']} since {moment(courier['since'])}, {courier['delivered']} delivered"


def _reports(whole: Whole) -> str:
    """What became of what these processes had to report."""
    reported = sum(process.reported for process in whole.shown)
    handed, declined, expected, held = (
        sum(process.count(*reasons) for process in whole.shown)
        for reasons in (("handed-over",), ("not-taken",), ("expected",), ("rate", "sample"))
    )
    words = f"{reported} reported{handed_over(handed, declined)}, {expected} expected, {held} held back by limits"
    again = sum(process.count("tried-again") for process in whole.shown)
    return words + (f", {again} of attempts that were repeated" if again else "")


def handed_over(handed: int, declined: int) -> str:
    """What the ERP's own Sentry client made of the reports; "" where it was given none."""
    taken = f"{handed} handed over to the ERP's own Sentry client" if handed or declined else ""
    return f" ({taken}{f', {declined} dropped by it' if declined else ''})" if taken else ""


def _programs(whole: Whole) -> str:
    if not whole.shown:
        return "none"
    if not whole.living:
        last = whole.shown[-1]
        return f"none runs; the last one, {last.program} {last.pid}, started {moment(last.started)}"
    programs = Counter(process.program for process in whole.living)
    words = ", ".join(f"{program} {number}" for program, number in programs.most_common())
    return f"{len(whole.living)} running: {words}"


# -------------------------------------------------------------------------------------------------------- problems


def problem_lines(found: Sequence[Problem]) -> Iterator[Table]:
    """A line for each problem; on a terminal, what to do is on a line of its own."""
    terminal = is_terminal()
    rows: list[tuple[str, Text]] = []
    for problem in found:
        mark = _MARKS[problem.severity]
        where = f" ({problem.where})" if problem.where else ""
        head = (f"{problem.text}{where}", _STYLES[problem.severity])
        if terminal:
            rows.append((f"{mark:>2}", styled(head, (f" [{problem.slug}]", "dim"))))
            if problem.hint:
                rows.append(("", styled("to do: " + problem.hint)))
        else:
            hint = f"; to do: {problem.hint}" if problem.hint else ""
            rows.append((f"{problem.severity}:", styled(head, f" [{problem.slug}]{hint}")))
    if rows:
        yield facts(rows, width=2 if terminal else 8)


# ------------------------------------------------------------------------------------------------------ operations


def operation_table(rows: Sequence[Operation], now: float, *, chosen: int | None = None) -> Table:
    """A row for each operation. `chosen` is the number of the row that is marked, if one can be."""
    wide = not is_terminal() or console().width >= WIDE
    names = ("MODULE", "OPERATION", "MONITOR") if wide else ("OPERATION",)
    matched = any(row.counts.rules for row in rows)  # by a rule: refused sign-ins, pages, forms …
    held = any(row.held for row in rows)
    figures = ("CALLS", "FAILED", *(("MATCHED",) if matched else ()), *(("HELD",) if held else ()), *_TIMES)
    made = table(
        *names, *figures, "LAST ERROR" if wide else "ERROR", "TREND", right=figures, folding="OPERATION", dense=True
    )
    for number, row in enumerate(rows):
        mark = "" if chosen is None else "> " if number == chosen else "  "
        name = row.name
        cells = (mark + (name.module or "-"), name.operation, name.monitor) if wide else (mark + _place(row, rows),)
        space = " " if wide else ""
        times = [row.quantiles[each] for each in ("p50", "p95", "p99")]
        error = row.counts.last_failure
        style = "reverse" if number == chosen else "red" if row.failures else ""
        texts = [cut(cell) for cell in cells]
        texts += [
            styled(each)
            for each in (
                numbers.rate(row.per_minute, at_least=row.counts.uncounted > 0),
                numbers.share(row.failures, row.calls).replace(" ", space),
                *((numbers.share(row.counts.rules, row.calls).replace(" ", space),) if matched else ()),
                *((f"{row.held:,}",) if held else ()),
                *(numbers.duration(each, space=space) for each in (*times, row.counts.longest)),
                (numbers.age(now - error).replace(" ", space) + (" ago" if wide else "")) if error else "-",
                row.trend,
            )
        ]
        made.add_row(*texts, style=style)
    return made


def _place(row: Operation, rows: Sequence[Operation]) -> str:
    """Module and operation; and the monitor, where another row has the same."""
    name = row.name
    prefixed = not name.module or name.operation.startswith(name.module + ".")
    words = name.operation if prefixed else f"{name.module} {name.operation}"
    if sum(each.name[:2] == name[:2] for each in rows) > 1:
        words += f" ({name.monitor})"
    return words


def period(seconds: float, wanted: float) -> str:
    """The time that figures are of: less than what was wanted where counting began later."""
    if seconds < 1:
        return "since a moment ago (all there is)"
    if seconds < 0.9 * wanted:
        return f"in the last {numbers.age(seconds)} (all there is)"
    return f"in the last {numbers.age(wanted)}"
