"""Output on the terminal: headings, a line that is updated, tables."""

from __future__ import annotations

import os
import shutil
import sys
import time

from .load import Figures, Summary

_ROWS = 24  # of what people did, the most frequent
_EVERY = 5.0  # seconds between two lines where there is no terminal to overwrite


def say(line: str) -> None:
    styled = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print(f"\n\x1b[1m━━ {line}\x1b[0m" if styled else f"\n== {line}")
    sys.stdout.flush()


class Progress:
    """One line about the load, overwritten in a terminal and repeated now and then elsewhere."""

    def __init__(self, figures: Figures, seconds: float) -> None:
        self._figures = figures
        self._seconds = seconds
        self._terminal = sys.stdout.isatty()
        self._next = _EVERY

    def __call__(self) -> None:
        passed = self._figures.seconds
        if not self._terminal and passed < self._next:
            return
        self._next = passed + _EVERY
        line = self._line(min(passed, self._seconds))
        if self._terminal:
            width = shutil.get_terminal_size().columns
            print(f"\r{line[: width - 1]}\x1b[K", end="", flush=True)
        else:
            print(line, flush=True)

    def end(self) -> None:
        if self._terminal:
            print()

    def _line(self, passed: float) -> str:
        done = int(passed / self._seconds * 20)
        bar = "━" * done + "╌" * (20 - done)
        now = self._figures.summary(last=3.0)
        failed = sum(count for status, count in self._figures.summary().statuses.items() if status >= 500)
        return (
            f"{bar} {passed:3.0f} of {self._seconds:.0f} s   {now.rate:5.0f} requests/s   "
            f"median {_ms(now.median)}   p99 {_ms(now.p99)}   {failed} server error{'' if failed == 1 else 's'}"
        )


def table_of(figures: Figures) -> None:
    """What people did, how often, how long it took, and what was answered."""
    found = figures.by_what()
    total = figures.summary()
    shown = found if len(found) <= _ROWS + 1 else found[:_ROWS]
    rest = found[len(shown) :]
    rows = [(what, *_cells(summary)) for what, summary in shown]
    if rest:
        rows.append((f"… {len(rest)} other things", f"{sum(each.times for _, each in rest):,}", "", "", ""))
    rows.append(("all", *_cells(total)))
    heads = ("WHAT PEOPLE DID", "TIMES", "MEDIAN", "P99", "RESPONSES")
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    for row in [heads, *rows]:
        what, *numbers, answers = row
        cells = [what.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(numbers, widths[1:4])), answers]
        print("  ".join(cells).rstrip())
    print(f"{total.requests:,} requests in {figures.seconds:.0f} s, {total.rate:.0f} a second")
    for problem, count in figures.broken.most_common(5):
        print(f"{count} without an answer: {problem}")


def _cells(summary: Summary) -> tuple[str, str, str, str]:
    answers = "  ".join(f"{status} ×{count}" for status, count in sorted(summary.statuses.items()))
    return f"{summary.times:,}", _ms(summary.median), _ms(summary.p99), answers


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


class Steps:
    """Tells what is being started, and how long it took."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def done(self, what: str) -> None:
        """`what` has taken the time since the step before."""
        now = time.monotonic()
        print(f"  {what:<58} {now - self._began:5.1f} s", flush=True)
        self._began = now
