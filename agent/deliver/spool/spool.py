"""The folder of envelopes that wait for delivery; `layout` describes it.

`write` runs on the host's threads, also inside a signal handler or a `__del__` that interrupted another `write`: it
waits for no lock, since its own thread may hold it.

Counted: too-large, too-many, memory-full, lost-at-exit, not-kept, and the counts of `bounds` (lost); kept-in-memory,
quarantined (kept); slow-disk (delayed other threads of the process).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Callable

from ...base import guard, imports
from ...base.health import alive
from ...base.interrupts import ours
from ...base.model import Envelope
from ..quick.calls import QuickCalls
from . import age, files
from .files import UnreadableError
from .fill_level import FillLevel
from .layout import Folders, Maximum
from .memory import Memory
from .names import SpoolEntry, parse_name, rank
from .writing import WritingProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .bounds import Bounds
    from .layout import Count

NO_HISTORY = (0.0, 0)

#: Share of `max_rate` for envelopes of each rank: transactions are dropped first, errors last.
_RATE_SHARE = (0.5, 0.75, 1.0)

_SWEEP_EVERY = 60.0  # seconds between sweeps, of all processes together

_LONGEST_ATTEMPT = 86400.0  # seconds after which an attempt counts as ended


class Spool:
    def __init__(
        self,
        directory: str,
        *,
        max_size: int,
        max_age: float,
        durable: bool,
        count: Count,
        held: bool = False,
        clock: Callable[[], float] = time.time,
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
        self.history = history
        self._folders = Folders(directory, durable=durable)
        self._keep_interpreter = keep_interpreter and not durable  # an fsync is as slow as the disk
        self.directory = self._folders.directory
        self._held = held
        self._target = self._folders.held if held else self._folders.new
        self._maximum = Maximum(max_size, max_age, max_files)
        self._max_rate = max_rate
        self._max_memory = max_memory
        self._max_kept = max_kept
        self._count = count
        self.quick = QuickCalls(lambda: count("slow-disk", "spool", 1))
        self._clock = clock
        self._mark = age.SweptMark(os.path.join(self.directory, "swept"), clock, uptime)
        self._bounds: Bounds | None = None
        #: Starts a sweep in a thread of ours. Without it, the thread that writes sweeps.
        self.sweeper: Callable[[], None] | None = None
        self._degraded: str | None = None
        self._current = self._process_of(os.getpid())

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

    @property
    def degraded(self) -> str | None:
        """Why envelopes cannot be written to disk at present; None when they can."""
        return self._degraded

    def after_fork(self) -> None:
        """For the fork hook in the child: forget what the parent has in memory. Otherwise the first use does it."""
        self._process()

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
        folder = self._folders.held if held else self._folders.new
        try:
            self.quick.run(size, lambda calls: self._folders.put(folder, name, data, calls=calls))
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
        if process.writes == 2 and self._keep_interpreter:  # who writes twice writes more
            self._load_quick_calls()
        self._sweep_if_due(process, size)
        return True

    def _load_quick_calls(self) -> None:
        try:
            with imports.Guarded(patient=False):
                self.quick.load(self._folders.tmp)
        except ours(ImportError, OSError, MemoryError):
            pass  # the calls of `os` do, if there is nothing else to be had

    def _process(self) -> WritingProcess:
        process = self._current
        if process.pid != os.getpid():
            # After a fork the parent still has, and will deliver, the envelopes in its memory.
            self._current = process = self._process_of(os.getpid())
        return process

    def _process_of(self, pid: int) -> WritingProcess:
        fill_level = FillLevel(self.directory, self._mark, self._maximum)
        return WritingProcess(pid, Memory(self._max_kept, self._max_memory), fill_level)

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

    # ------------------------------------------------------------------------------------ for delivery and commands

    def entries(self) -> list[SpoolEntry]:
        """Return all entries, oldest first, held back or not, in memory and on disk, of all processes."""
        found = [*self._on_disk(self._folders.new), *self._process().memory.entries()]
        found += [entry._replace(held=True) for entry in self._on_disk(self._folders.held)]
        found.sort()
        return found

    def waiting(self, limit: int, wanted: Callable[[SpoolEntry], bool]) -> list[SpoolEntry]:
        """Return the oldest entries that may be sent and are `wanted`. At most `limit` are in memory at a time."""
        from heapq import nsmallest  # here, since no thread of the host calls this

        return nsmallest(limit, filter(wanted, self._waiting()))

    def number_waiting(self) -> int:
        """Return the number of envelopes that may be sent."""
        return sum(1 for _ in self._waiting())

    def number_of(self, pid: int) -> int:
        """How many of them this process has written."""
        return sum(entry.pid == pid for entry in self._waiting())

    def is_anything_waiting(self) -> bool:
        return next(self._waiting(), None) is not None

    def _waiting(self) -> Iterator[SpoolEntry]:
        yield from self._on_disk(self._folders.new)
        yield from (entry for entry in self._process().memory.entries() if not entry.held)

    def _on_disk(self, folder: str) -> Iterator[SpoolEntry]:
        if self.usable():
            yield from filter(None, map(parse_name, files.names_in(folder)))

    def usable(self) -> bool:
        """Return whether the folder exists and is our own; if it is another user's, `degraded` has the reason."""
        try:
            return self._folders.exist()
        except ours(OSError) as error:
            self._degraded = files.reason(error)
            return False

    def read(self, entry: SpoolEntry) -> Envelope | None:
        """Return None if it is gone. Raises OSError, and UnreadableError for what is torn or not ours."""
        if entry.data is not None:
            return Envelope(entry.event_id, entry.category, entry.data)
        return self._read(self._folder(entry), entry)

    def _read(self, folder: str, entry: SpoolEntry) -> Envelope | None:
        data = files.read_own(os.path.join(folder, entry.name), self._maximum.size)
        if data is None:
            return None
        _check(data)
        return Envelope(entry.event_id, entry.category, data)

    def _folder(self, entry: SpoolEntry) -> str:
        return self._folders.held if entry.held else self._folders.new

    def remove(self, entry: SpoolEntry) -> bool:
        """Return whether it existed."""
        kept = self._process().memory.take(entry.name) is not None
        return files.unlink(os.path.join(self._folder(entry), entry.name)) or kept

    def release(self, entry: SpoolEntry) -> bool:
        """Allow a held-back envelope to be sent. Return whether it existed. Raises OSError."""
        memory = self._process().memory
        kept = memory.take(entry.name)
        if kept is not None:
            memory.keep(kept._replace(held=False))
            return True
        return self._move(self._folders.held, entry)

    def adopt(self, name: str, data: bytes) -> bool:
        """Add an envelope under the name that another spool gave it. Return False if it is here already.

        Raises OSError, and UnreadableError for a name or data that no spool wrote.
        """
        entry = parse_name(name)
        if entry is None or os.path.basename(name) != name:
            raise UnreadableError("its name is not that of an envelope in a spool")
        _check(data)
        if os.path.lexists(os.path.join(self._target, name)):
            return False
        self._folders.put(self._target, name, data)
        return True

    def path(self, entry: SpoolEntry) -> str:
        """Return where its file is, unless it is in memory."""
        return os.path.join(self._folder(entry), entry.name)

    def ages(self) -> age.Ages:
        """Return the ages of stamps, on a machine whose clock may have been set."""
        return self._mark.ages()

    def size(self, entry: SpoolEntry, *, quarantined: bool = False) -> int:
        """Return the bytes on disk or in memory; 0 if it is gone."""
        folder = self._folders.quarantine if quarantined else self._folder(entry)
        try:
            return os.lstat(os.path.join(folder, entry.name)).st_size
        except ours(OSError):
            return len(entry.data or b"")

    def write_from_memory(self, limit: int | None = None) -> int:
        """Move envelopes from memory to disk, as far as possible now. Return the number that is still in memory."""
        process = self._process()
        if process.memory and process.writing_from_memory.acquire(False):
            try:
                for entry in process.memory.entries()[:limit]:
                    self._folders.put(self._folder(entry), entry.name, entry.data or b"")
                    taken = process.memory.take(entry.name)
                    if taken is None:
                        self.remove(entry)  # delivered or dropped meanwhile
                    elif entry.held and not taken.held:
                        self.release(entry)  # released meanwhile
                self._degraded = None
            except ours(OSError) as error:
                self._degraded = files.reason(error)
            finally:
                process.writing_from_memory.release()
        return len(process.memory)

    def take_over(self, other: Spool) -> None:
        """Take the envelopes in the memory of another spool of this process, which may not write to its folder now."""
        theirs, mine = other._process().memory, self._process().memory
        for entry in theirs.entries():
            taken = theirs.take(entry.name)
            for gone in mine.keep(taken) if taken is not None else ():
                self._count("memory-full", gone.category, 1)
        self.write_from_memory()

    def abandon(self) -> None:
        """The process ends: write what is in memory to disk, or count it as lost."""
        process = self._process()
        if process.memory and self.write_from_memory():
            for entry in process.memory.entries():
                if process.memory.take(entry.name) is not None:
                    self._count("lost-at-exit", entry.category, 1)

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

            self._bounds = Bounds(self._folders, self._mark, self._maximum, self._count, self._clock)
        return self._bounds

    def reclaim(self) -> bool:
        """Release the errors of attempts whose process is dead, and of those that last too long.

        Return whether any attempt is still undecided.
        """
        yesterday = int((self._clock() - _LONGEST_ATTEMPT) * 1e9)
        undecided = False
        for entry in self._on_disk(self._folders.held):
            if entry.trying and (entry.stamp < yesterday or not alive(entry.pid)):
                self.release(entry)
            else:
                undecided = undecided or entry.trying
        return undecided

    # ------------------------------------------------------------------------------------------------- the quarantine

    def quarantine(self, entry: SpoolEntry, reason: str) -> None:
        """Move it to quarantine, with the reason beside it. Raises OSError if it cannot be moved."""
        if entry.data is not None:
            files.write_new(os.path.join(self._folders.quarantine, entry.name), entry.data)
            self.remove(entry)
            self._folders.explain(entry.name, reason)
        elif not self._folders.set_aside(self._folder(entry), entry.name, reason):
            return
        self._count("quarantined", entry.category, 1)

    def quarantined(self) -> list[tuple[SpoolEntry, str]]:
        """Return the quarantined envelopes, oldest first, each with its reason."""
        found = sorted(self._on_disk(self._folders.quarantine))
        return [(entry, self._folders.explanation(entry.name)) for entry in found]

    def read_quarantined(self, entry: SpoolEntry) -> Envelope | None:
        """As `read`."""
        return self._read(self._folders.quarantine, entry)

    def replay(self, entry: SpoolEntry) -> bool:
        """Move a quarantined envelope back to those that wait. Return whether it existed. Raises OSError."""
        moved = self._move(self._folders.quarantine, entry)
        if moved:
            files.unlink(os.path.join(self._folders.quarantine, entry.name + ".txt"))
        return moved

    def discard(self, entry: SpoolEntry) -> bool:
        """Remove a quarantined envelope with its reason. Return whether it existed."""
        return self._folders.forget(self._folders.quarantine, entry.name)

    def _move(self, folder: str, entry: SpoolEntry) -> bool:
        try:
            os.rename(os.path.join(folder, entry.name), os.path.join(self._folders.new, entry.name))
        except ours(FileNotFoundError):
            return False
        return True


def _check(data: bytes) -> None:
    from .. import wire

    try:
        parsed = wire.decode(data)
    except ours(wire.EnvelopeError) as error:
        raise UnreadableError(str(error)) from None
    if not parsed.items:
        raise UnreadableError("the envelope has no items")
