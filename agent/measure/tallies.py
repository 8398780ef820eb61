"""All tallies of a process: their rows in the file that others read, and what is looked at once a second."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..base import clocks, guard
from ..base.interrupts import ours
from .tally import INTERVAL, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..base.model import MonitorData
    from .counts import Counts
    from .store import Store

_MINUTE = 60.0  # seconds between two calls of `wake`


class Tallies:
    """`store` has the rows; None: they are in memory only. `wake` is called once in a minute in which something was
    counted, `looked` about once a second. `clock` is that of the probes.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        wake: Callable[[], object] = int,
        looked: Callable[[], object] = int,
        clock: Callable[[], float] = clocks.IN_CODE[0],
    ) -> None:
        self._store = store
        self._wake, self._looked = wake, looked
        self.clock = clock
        self._tallies: dict[tuple[str, str, str | None, str], Tally] = {}
        #: Those that may have a batch which is not counted.
        self.hot: dict[Tally, None] = {}
        self.unwritten: dict[Tally, None] = {}  # those that may have durations which are not in their rows
        self.apart: dict[Tally, None] = {}  # those whose rows nobody else can read
        self.pid = os.getpid()
        #: When `look` is to be called.
        self.due = 0.0
        self._wake_at = 0.0
        self.salt = store.salt if store is not None else _no_salt

    def of(self, monitor: MonitorData, operation: str) -> Tally:
        key = (monitor["name"], operation, monitor.get("module"), monitor.get("kind", ""))
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies.setdefault(key, Tally(self, monitor, operation))
        return tally

    def all(self) -> list[Tally]:
        return list(self._tallies.values())

    def attach(self, tally: Tally) -> None:
        """Give it a row that others can read; where there is none now, one in memory."""
        if self._store is not None:
            self.apart[tally] = None  # now: whoever is at the files attaches it, too, before leaving them
            waiting = [tally]
            while waiting and self._attach_all(self._store, waiting):
                waiting = list(self.apart)
        if tally.row is None:
            tally.begin_in_memory()

    def _attach_all(self, store: Store, waiting: list[Tally]) -> bool:
        for tally in waiting:
            monitor = tally.monitor
            row = store.row((monitor["name"], tally.operation, monitor["module"], monitor["kind"]))
            if row is None:
                return False
            tally.replace_row(row.cast("q"), attached=True)
            self.apart.pop(tally, None)
        return True

    def look(self, now: float) -> None:
        """Called from the host's calls, about once a second: count batches, and have written what is not mapped."""
        self.due = now + INTERVAL  # meanwhile, for other threads
        try:
            self.notice_fork()
            for tally in list(self.hot):
                tally.settle(looks=True)
            for tally in list(self.unwritten):
                tally.settle_total()
            if self._store is not None:
                if self._store.moved():
                    self._leave_rows()
                for tally in list(self.apart):
                    self.attach(tally)
                self.due = now + self._store.flush()
            if not self._wake_at:
                self._wake_at = now + _MINUTE
            elif now >= self._wake_at:
                self._wake_at = now + _MINUTE
                self._wake()
            self._looked()
        except ours(Exception):
            guard.swallow("writing counts")

    def notice_fork(self) -> None:
        """Begin anew in a child of C code that calls no hooks."""
        if os.getpid() != self.pid:
            self.after_fork()

    def settle(self) -> None:
        """Count all that was taken of batches, and write all durations."""
        for tally in list(self.hot):
            tally.settle()
        for tally in list(self.unwritten):
            tally.settle_total()

    def work_ended(self) -> None:
        """A request or a task has ended; the process may be silent from now on."""
        try:
            for tally in list(self.hot) if self.hot else ():
                tally.settle()
        except ours(Exception):
            guard.swallow("counting calls")

    def _leave_rows(self) -> None:
        for tally in list(self._tallies.values()):
            tally.replace_row(None, attached=False)
        self.apart.clear()

    def changes(self) -> Iterator[tuple[Tally, Counts]]:
        """What was counted since the last call of this method. One thread at a time."""
        self.settle()
        for tally in list(self._tallies.values()):
            now = tally.counts()
            since = now if tally.read is None else now - tally.read
            if since.calls or since.failures:
                tally.read = now
                yield tally, since

    def after_fork(self) -> None:
        """In a forked child: the parent counts what it has begun."""
        self.pid = os.getpid()
        self.hot = {}
        self.unwritten = {}
        if self._store is not None:
            self._store.after_fork()
        for tally in self._tallies.values():
            tally.begin()
            tally.attached = False
            tally.row = tally.read = None
        self.apart = {}
        self.due = self._wake_at = 0.0

    def close(self) -> None:
        """At exit."""
        self.settle()
        if self._store is not None:
            self._store.retry()
            for tally in list(self.apart):
                self.attach(tally)
            self._store.flush()


def _no_salt() -> int | None:
    return None
