"""The folder of envelopes that wait for delivery, as a process writes to it; `layout` describes the folder.

`write` runs on the host's threads, also inside a signal handler or a `__del__` that interrupted another `write`: it
waits for no lock, since its own thread may hold it.

Counted: too-large, too-many, memory-full, not-kept, and the counts of `bounds` (lost); kept-in-memory (kept);
slow-disk (delayed other threads of the process).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable

from ...base import clocks, guard, imports
from ...base.health import alive
from ...base.interrupts import ours
from ..quick.calls import QuickCalls
from . import age, files
from .contents import Contents
from .layout import Folders, Maximum
from .names import parse_name, rank

if TYPE_CHECKING:
    from ...base.model import Envelope
    from .bounds import Bounds
    from .layout import Count
    from .names import SpoolEntry
    from .writing import WritingProcess

NO_HISTORY = (0.0, 0)

#: Share of `max_rate` for envelopes of each rank: transactions are dropped first, errors last.
_RATE_SHARE = (0.5, 0.75, 1.0)

_SWEEP_EVERY = 60.0  # seconds between sweeps, of all processes together

_LONGEST_ATTEMPT = 86400.0  # seconds after which an attempt counts as ended


class Spool(Contents):
    def __init__(
        self,
        directory: str,
        *,
        max_size: int,
        max_age: float,
        durable: bool,
        count: Count,
        held: bool = False,
        clock: Callable[[], float] = clocks.time,
        uptime: Callable[[], float] = age.uptime,
        max_files: int = 50_000,
        max_rate: float = 0,
        max_memory: int = 4 << 20,
        max_kept: int = 1000,
        keep_interpreter: bool = True,
        history: tuple[float, int] = NO_HISTORY,
    ) -> None:
        """`max_size` and `max_memory` in bytes, `max_age` in seconds; `max_kept` is the number of envelopes in memory.

        `max_rate` is per second and process, 0 for no limit. With `held`, for processes without a DSN, envelopes are
        held back until `release`. `history` is the age and the size that delivered events may have here; 0: none stay.
        """
        folders, maximum = Folders(directory, durable=durable), Maximum(max_size, max_age, max_files)
        super().__init__(folders, maximum, count, (max_kept, max_memory), held=held, clock=clock, uptime=uptime)
        self.history = history
        self._keep_interpreter = keep_interpreter and not durable  # an fsync is as slow as the disk
        self._max_rate = max_rate
        self.quick = QuickCalls(lambda: count("slow-disk", "spool", 1))
        self._bounds: Bounds | None = None
        #: Starts a sweep in a thread of ours. Without it, the thread that writes sweeps.
        self.sweeper: Callable[[], None] | None = None

    # ------------------------------------------------------------------------------------------ on the host's threads

    def write(
        self,
        envelope: Envelope,
        *,
        slow: bool = False,
        trying: bool = False,
        named: Callable[[SpoolEntry], object] | None = None,
        safe: list[bool] | None = None,
    ) -> bool:
        """Return whether the envelope is on disk. If not, it is in memory or was counted as lost. Never raises.

        With `trying` it is held back until this process calls `release` or `remove`; once the process is dead, or after
        a day, a sweep releases it. `named` is called first, with the entry for these two.

        An exception of the host that interrupts this (a time limit) is raised again once the envelope is safe: then
        `safe` is not empty.
        """
        if safe is None:
            safe = []
        try:
            return self._write_safely(envelope, slow, trying, named, safe)
        except ours(Exception):
            raise
        except BaseException as error:
            struck = error
        try:
            if not safe:
                self._write_safely(envelope, slow, trying, named, safe)
            raise struck
        finally:
            del struck  # its traceback refers to this frame

    def _write_safely(
        self,
        envelope: Envelope,
        slow: bool,
        trying: bool,
        named: Callable[[SpoolEntry], object] | None,
        safe: list[bool],
    ) -> bool:
        try:
            return self._write(envelope, slow, trying, named, safe)
        except ours(Exception):
            if not safe:
                safe.append(False)
                self._count("not-kept", envelope.category, 1)
            guard.swallow("writing an event to the spool")
            return False

    def is_too_large(self, envelope: Envelope) -> bool:
        """Return whether it is larger than the whole spool may be: `write` would only count it."""
        return len(envelope.data) > self._maximum.size

    def _write(
        self,
        envelope: Envelope,
        slow: bool,
        trying: bool,
        named: Callable[[SpoolEntry], object] | None,
        safe: list[bool],
    ) -> bool:
        process = self._process()
        size = len(envelope.data)
        if self.is_too_large(envelope):
            safe.append(False)
            self._count("too-large", envelope.category, 1)
            return False
        now = self._clock()
        if self._max_rate and process.is_too_much(
            now, self._max_rate * _RATE_SHARE[rank(envelope.category, slow=slow)]
        ):
            safe.append(False)
            self._count("too-many", envelope.category, 1)
            return False
        name = process.name(envelope, now, slow=slow, trying=trying)
        data = envelope.data
        held = self._held or trying
        if named is not None and (entry := parse_name(name)) is not None:
            named(entry._replace(held=held))
        folder = self.folders.held if held else self.folders.new
        try:
            self.quick.run(size, lambda calls: self.folders.put(folder, name, data, calls=calls))
            safe.append(True)
        except ours(OSError) as error:
            self._degraded = files.reason(error)
            self._remember(process, name, data, held=held)
            safe.append(True)
            return False
        except BaseException:
            if os.path.lexists(os.path.join(folder, name)):
                safe.append(True)
            raise
        if self._degraded is not None:
            self._degraded = None
        if process.memory:
            self.write_from_memory(limit=4)
        process.writes += 1
        if self.quick.worth_loading and process.writes >= 2 and self._keep_interpreter:  # who writes twice writes more
            self._load_quick_calls()
        self._sweep_if_due(process, size)
        return True

    def _load_quick_calls(self) -> None:
        try:
            with imports.Guarded(patient=False):
                self.quick.load(self.folders.tmp)
        except ours(ImportError, OSError, MemoryError):
            pass  # the calls of `os` do, if there is nothing else to be had

    def _remember(self, process: WritingProcess, name: str, data: bytes, *, held: bool) -> None:
        entry = parse_name(name)
        if entry is None:
            raise AssertionError(name)
        self._count("kept-in-memory", entry.category, 1)
        for gone in process.memory.keep(entry._replace(data=data, held=held)):
            self._count("memory-full", gone.category, 1)

    def _sweep_if_due(self, process: WritingProcess, size: int) -> None:
        if process.fill_level.add(size):
            (self.sweeper or self.sweep)()

    # -------------------------------------------------------------------------------------------------------- the sweep

    def is_over(self) -> bool:
        """Return whether the spool may be over its bounds, as far as this process, or all together, know."""
        fill_level = self._process().fill_level
        return fill_level.over or fill_level.is_full()

    def is_sweep_due(self) -> bool:
        """Return whether no process has swept for a while."""
        since = self._mark.age()
        return since is None or since >= _SWEEP_EVERY

    def sweep_if_due(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        if self.is_over() or self.is_sweep_due():
            self.sweep(should_stop)

    def sweep(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """List the folder and enforce the bounds. Returns at once while another thread sweeps.

        `should_stop` is called often, and ends it early.
        """
        process = self._process()
        if not process.sweeping.acquire(False):
            return
        try:
            room = self._get_bounds().sweep(should_stop)
            if not should_stop():
                process.fill_level.measured(room)
                self.reclaim()
        except ours(OSError) as error:
            self._degraded = files.reason(error)
        finally:
            process.sweeping.release()

    def _get_bounds(self) -> Bounds:
        if self._bounds is None:
            from .bounds import Bounds  # here, since no thread of the host sweeps

            self._bounds = Bounds(self.folders, self._mark, self._maximum, self._count, self._clock)
        return self._bounds

    def reclaim(self) -> bool:
        """Release the errors of attempts whose process is dead, and of those that last too long.

        Return whether any attempt is still undecided.
        """
        yesterday = int((self._clock() - _LONGEST_ATTEMPT) * 1e9)
        undecided = False
        for entry in self._on_disk(self.folders.held):
            if entry.trying and (entry.stamp < yesterday or not alive(entry.pid)):
                self.release(entry)
            else:
                undecided = undecided or entry.trying
        return undecided
