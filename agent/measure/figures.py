"""Figures of the ERP's operations over all processes of a host: what `status`, `top`, `report` and `metrics` read.

They are the history and what running processes have counted since the last fold. Reading changes nothing.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base import clocks
from ..base.interrupts import ours
from . import due, history, layout, ledger, processes
from .counts import Counts, DamagedError, Key, add_up
from .history import HOUR, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Counts", "Figures", "Key", "ProcessCounts", "Window", "add_up"]

WEEK = 7 * 24 * 3600.0
_DAY = 24 * 3600.0
_TRIES = 3  # where others fold in the meantime
_LATE = 300.0  # seconds of counting after a fold in which there must have been another one


class ProcessCounts(NamedTuple):
    """What one process has counted since it started. `facts` are those of the process: pid, program, release, …"""

    facts: dict[str, Any]
    alive: bool
    counts: dict[Key, Counts]


class Window(NamedTuple):
    """What was counted in so many seconds: those there are figures of, to divide by for a rate."""

    seconds: float
    counts: dict[Key, Counts]


class _Files(NamedTuple):
    """What all files had at one time. `recent` was counted since the last fold."""

    at: float
    books: ledger.Ledger
    processes: list[processes.ProcessFile]
    recent: dict[Key, Counts]
    unreadable: dict[str, str]
    trouble: str  # with the file of totals


class Figures:
    """What the files in `state`, the folder of the agent, have when first asked for something: another object reads
    them again. Raises no OSError.
    """

    def __init__(self, state: str, clock: Callable[[], float] = clocks.time) -> None:
        self._state = state
        self._clock = clock

    def window(self, seconds: float, until: float | None = None) -> dict[Key, Counts]:
        """What was counted in so many seconds before `until`, by default now. Keys without calls are left out."""
        return self.measured(seconds, until).counts

    def measured(self, seconds: float, until: float | None = None) -> Window:
        """As `window`, with the seconds that were counted in: less where counting began later.

        Counts are kept by the minute, those of before yesterday by the hour: so both may be a little more, or less.
        """
        files = self._files
        end = files.at if until is None else until
        begin = end - seconds
        edges = [begin]

        def is_inside(since: float, until: float) -> bool:
            inside = begin < (since + until) / 2 <= end
            if since < begin < until:
                edges[0] = since if inside else until
            return inside

        counts: dict[Key, Counts] = {}
        for record in self._records(files.books, begin, end, is_inside):
            add_up(record.counts.items(), counts)
        if until is None:
            add_up(files.recent.items(), counts)
            edges[0] = min(edges[0], files.books.at or edges[0])
        began = min([files.books.began or end, *[processes.started(each, end) for each in files.processes]])
        return Window(max(end - max(edges[0], began), 0.0), counts)

    def week_before(self, seconds: float) -> Window:
        """The same time a week ago; of less than an hour, that hour."""
        return self.measured(max(seconds, HOUR), self._clock() - WEEK)

    def series(self, seconds: float, step: float) -> list[tuple[float, dict[Key, Counts]]]:
        """(start of the slot, counts), oldest first, empty ones included. The last one contains this moment.

        Slots begin at multiples of `step`. Where there are no minutes any more, the counts of an hour are in one slot.
        """
        files = self._files
        end = files.at
        last = end // step
        slots: list[dict[Key, Counts]] = [{} for _ in range(max(round(seconds / step), 1))]
        first = last - len(slots) + 1

        def is_inside(since: float, until: float) -> bool:
            middle = (since + until) / 2
            return first * step <= middle <= end

        for record in self._records(files.books, first * step, end, is_inside, by_minute=step < HOUR):
            add_up(record.counts.items(), slots[int((record.since + record.until) / 2 // step - first)])
        add_up(files.recent.items(), slots[-1])
        return [((first + number) * step, counts) for number, counts in enumerate(slots)]

    def totals(self) -> dict[Key, Counts]:
        """Since counting began. They never fall; those of releases that are long gone become one: `ledger.EARLIER`."""
        files = self._files
        return add_up(files.recent.items(), dict(files.books.totals))

    def processes(self) -> list[ProcessCounts]:
        """Those that run, and those that have ended since the last fold; the oldest one first."""
        return [ProcessCounts(each.facts, each.alive, each.counts()) for each in self._files.processes]

    def problems(self) -> list[str]:
        """What is wrong with the files: one sentence each, and what to do."""
        files = self._files
        folder = os.path.join(self._state, layout.FOLDER)
        found = [f"counts are left out: {os.path.join(folder, name)} {why}" for name, why in files.unreadable.items()]
        if files.trouble:
            found.append(files.trouble)
        # Who counts sees to the fold: what an ERP counts just before it stops, or is idle, waits until it goes on.
        waits = [(file.written, max(files.books.at, processes.started(file, files.at))) for file in files.processes]
        late = max([files.at - since for until, since in waits if min(until, files.at) - since > _LATE], default=0.0)
        if files.recent and late:
            found.append(
                f"what was counted has not been added to the history for {late / 60:.0f} minutes: is the disk full, or "
                f"{os.path.join(self._state, due.FOLDER)} not writable? Nothing is lost as long as "
                f"the files in {folder} are kept"
            )
        hours = history.hours_files(self._state)
        oldest = min(hours, default=files.at)
        if files.books.shortened and oldest > files.at - history.KEEP_HOURS:
            found.append(
                f"the history has reached its {history.LARGEST >> 20} MB: it begins on "
                f"{clocks.strftime('%Y-%m-%d', clocks.gmtime(oldest))}, and older hours were removed"
            )
        return found

    @cached_property
    def _files(self) -> _Files:
        for _ in range(_TRIES):
            stamp = ledger.stamp(self._state)
            books, trouble = ledger.Ledger(), ""
            try:
                books = ledger.load(self._state) or books
            except ours(OSError, DamagedError) as error:
                trouble = f"the totals cannot be read: {error}; they begin anew"
            unreadable: dict[str, str] = {}
            found = list(processes.read_all(self._state, unreadable))
            if ledger.stamp(self._state) == stamp:
                break
        recent = processes.sums((file, books.rows(file.name)) for file in found)
        return _Files(self._clock(), books, found, recent, unreadable, trouble)

    def _records(
        self,
        books: ledger.Ledger,
        begin: float,
        end: float,
        is_inside: Callable[[float, float], bool],
        *,
        by_minute: bool = False,
    ) -> Iterator[Record]:
        """All that was counted in this time: hours that lie in it as a whole, and minutes of the others.

        `by_minute`: no hours where there are minutes.
        """
        minutes = history.minutes_files(self._state)
        hours: dict[float, Record] = {}

        def is_wanted(since: float, until: float) -> bool:
            if since not in minutes:
                return is_inside(since, until)
            return not by_minute and begin <= since and until <= end and books.has_condensed(minutes[since])

        for day, path in history.hours_files(self._state).items():
            if begin - HOUR < day + _DAY and day <= end:
                hours.update((record.since, record) for record in history.read(path, is_wanted))
        yield from hours.values()
        pending = books.pending
        for hour, path in minutes.items():
            if hour in hours or not (begin - HOUR < hour + HOUR and hour <= end + HOUR):
                continue
            for record in history.read(path, is_inside):
                if pending is not None and record.number == pending.number:
                    pending = None
                if record.number <= books.number or not books.number:
                    yield record
        if pending is not None and pending.until // HOUR * HOUR not in hours and is_inside(*pending[1:3]):
            yield pending
