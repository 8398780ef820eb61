"""The folder of envelopes that wait to be delivered; layout.py draws it.

`write` runs on the host's own threads, also inside a signal handler or a `__del__` that interrupted another `write`: it
waits for no lock, for it could find it held by itself.

Counted: too-large, too-many, memory-full, lost-at-exit, not-kept, and what bounds.py counts (lost); kept-in-memory,
quarantined (kept); slow-disk (held other threads of the process up).
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock
from itertools import count as numbers
from typing import TYPE_CHECKING, Callable

from ...base import guard
from ...base.health import alive
from ...base.interrupts import ours
from ...base.model import Envelope
from ..quick.calls import QuickCalls
from . import age, files
from .files import UnreadableError
from .fill_level import FillLevel
from .layout import Folders
from .memory import Memory
from .names import SpoolEntry, make_name, parse_name, rank

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...base.model import SpoolData
    from ..quick.preallocated import PreallocatedFiles
    from .bounds import Bounds

Count = Callable[[str, str, int], None]

__all__ = ["Count", "Spool", "SpoolEntry", "UnreadableError", "directory_of", "open_in"]

_LOOK_EVERY = 64  # writes after which a process asks whether a sweep is due
_SWEEP_EVERY = 60.0  # seconds in which at most one process of the fleet looks at the whole folder
_UNSEEN_SHARE = 8  # of its bounds, that a process may fill before it looks for the first time how full they are

_LONGEST_ATTEMPT = 86400.0  # seconds after which nobody is waited for any more
_SET_BACK = 60 * 10**9  # nanoseconds by which a clock is corrected without the order of events being touched

#: Share of `max_rate` that is for envelopes of a rank and those above it: transactions first to go, errors last.
_RATE_SHARE = (0.5, 0.75, 1.0)


class _Process:
    """What belongs to one process and must not survive a fork."""

    def __init__(self, pid: int, memory: Memory, fill: FillLevel, room: tuple[int, int]) -> None:
        self.pid = pid
        self.token = os.urandom(3).hex()  # two containers may share a folder and have the same pid
        self.numbers = numbers()
        self.memory = memory
        self.sweeping = allocate_lock()  # both locks are only ever tried, never waited for
        self.settling = allocate_lock()
        self.last_stamp = 0
        self.writes = 0
        self.unswept_files = 0  # written since the last sweep…
        self.unswept_bytes = 0
        self.room = room  # …which left room for so many files, and bytes
        self.fill = fill  # used without a DSN
        self.second = 0
        self.in_second = 0
        self.preallocated: PreallocatedFiles | None = None  # once there is a thread that makes them


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
    ) -> None:
        """`max_size` and `max_memory` in bytes, `max_age` in seconds; `max_kept` envelopes at most stay in memory.

        `max_rate` envelopes a second are taken from one process, 0 for any number. With `held` what is written waits
        until `release` says that it may be sent: that is for processes that have no DSN.
        """
        self._folders = Folders(directory, durable=durable)
        self._keep_interpreter = keep_interpreter and not durable  # an fsync takes as long as the disk does
        self.directory = self._folders.directory
        self._held = held
        self._target = self._folders.held if held else self._folders.new
        self._max_size = max_size
        self._max_files = max_files
        self._max_rate = max_rate
        self._max_memory = max_memory
        self._max_kept = max_kept
        self._count = count
        self.quick = QuickCalls(lambda: count("slow-disk", "spool", 1))
        self._clock = clock
        self._max_age = max_age
        self._mark = age.SweptMark(os.path.join(self.directory, "swept"), clock, uptime)
        self._bounds: Bounds | None = None
        #: Has the bounds held, by a thread of ours. Without one, the thread that writes holds them.
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
        """Whether the envelope is on disk now. If not, it is in memory or was counted as lost. Never raises.

        What is written `trying` is held back until this process decides to `release` or `remove` it: once the process
        is dead, or after a day, a sweep releases it. `named` gets what these two want, whatever becomes of the rest.

        An exception of the host's that strikes meanwhile (a time limit) goes on once the envelope is safe: `safe` is no
        more empty then.
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
            del struck  # it leads to this frame

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
        """Larger than all that the spool may hold: `write` would only count it."""
        return len(envelope.data) > self._max_size

    @property
    def degraded(self) -> str | None:
        """Why envelopes are not getting to disk at present; None when they are."""
        return self._degraded

    def after_fork(self) -> None:
        """For the owner's fork hook: the child forgets what its parent keeps in memory. Otherwise done at first use."""
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
        if self._max_rate and self._too_many(process, now, rank(envelope.category, slow=slow)):
            safe.append(False)
            self._count("too-many", envelope.category, 1)
            return False
        name = self._name(process, envelope, now, slow=slow, trying=trying)
        data = envelope.data
        held = self._held or trying
        if named is not None and (entry := parse_name(name)) is not None:
            named(entry._replace(held=held))
        folder = self._folders.held if held else self._folders.new
        preallocated = process.preallocated.take() if process.preallocated is not None else None
        try:
            self.quick.run(
                size, lambda calls: self._folders.put(folder, name, data, preallocated=preallocated, calls=calls)
            )
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
            self.settle(limit=4)
        process.writes += 1
        process.unswept_files += 1
        process.unswept_bytes += size
        self._sweep_if_due(process, size)
        return True

    def _process(self) -> _Process:
        process = self._current
        if process.pid != os.getpid():
            # After a fork the parent still holds, and will deliver, what it keeps in memory.
            self._current = process = self._process_of(os.getpid())
        return process

    def _process_of(self, pid: int) -> _Process:
        fill = FillLevel(
            self.directory,
            self._mark,
            max_files=self._max_files,
            max_size=self._max_size,
            max_age=self._max_age,
        )
        room = (self._max_files // _UNSEEN_SHARE, self._max_size // _UNSEEN_SHARE)
        return _Process(pid, Memory(self._max_kept, self._max_memory), fill, room)

    def _too_many(self, process: _Process, now: float, rank_: int) -> bool:
        if process.second != int(now):
            process.second, process.in_second = int(now), 0
        if process.in_second >= self._max_rate * _RATE_SHARE[rank_]:
            return True
        process.in_second += 1
        return False

    def _name(self, process: _Process, envelope: Envelope, now: float, *, slow: bool, trying: bool) -> str:
        stamp = int(now * 1e9)
        if process.last_stamp - _SET_BACK <= stamp <= process.last_stamp:
            # A clock that is being corrected must not put a later event before an earlier one of the same process. One
            # that was set back by much is believed: stamps are also what tells the age.
            stamp = process.last_stamp + 1
        process.last_stamp = stamp
        token = f"{process.token}{next(process.numbers):06d}"
        return make_name(stamp, envelope.category, envelope.event_id, token, slow=slow, trying=trying)

    def _remember(self, process: _Process, name: str, data: bytes, *, held: bool) -> None:
        entry = parse_name(name)
        if entry is None:
            raise AssertionError(name)
        self._count("kept-in-memory", entry.category, 1)
        for gone in process.memory.keep(entry._replace(data=data, held=held)):
            self._count("memory-full", gone.category, 1)

    def _sweep_if_due(self, process: _Process, size: int) -> None:
        if self._held:
            due = process.fill.add(size)
        else:  # with preallocated files there is a thread that delivers, which looks oftener whether a sweep is due
            asks = process.preallocated is None and process.writes % _LOOK_EVERY == 1
            due = self.is_over() or (asks and self.is_sweep_due())
        if due:
            (self.sweeper or self.sweep)()

    # ------------------------------------------------------------------------------------- for senders and commands

    def entries(self) -> list[SpoolEntry]:
        """All that lies here, oldest first, held back or not, in memory and on disk, whoever wrote it."""
        found = [*self._on_disk(self._folders.new), *self._process().memory.entries()]
        found += [entry._replace(held=True) for entry in self._on_disk(self._folders.held)]
        found.sort()
        return found

    def waiting(self, limit: int, wanted: Callable[[SpoolEntry], bool]) -> list[SpoolEntry]:
        """The oldest of what may be sent and is `wanted`. However many files there are, memory holds `limit`."""
        from heapq import nsmallest  # for whoever delivers: no thread of the host's comes here

        return nsmallest(limit, filter(wanted, self._waiting()))

    def number_waiting(self) -> int:
        """How many envelopes may be sent."""
        return sum(1 for _ in self._waiting())

    def is_anything_waiting(self) -> bool:
        return next(self._waiting(), None) is not None

    def _waiting(self) -> Iterator[SpoolEntry]:
        yield from self._on_disk(self._folders.new)
        yield from (entry for entry in self._process().memory.entries() if not entry.held)

    def _on_disk(self, folder: str) -> Iterator[SpoolEntry]:
        if self.usable():
            yield from filter(None, map(parse_name, files.names_in(folder)))

    def usable(self) -> bool:
        """Whether the folder is there and our own; if it is somebody else's, `degraded` says so."""
        try:
            return self._folders.exist()
        except ours(OSError) as error:
            self._degraded = files.reason(error)
            return False

    def read(self, entry: SpoolEntry) -> Envelope | None:
        """None when somebody else has taken it. Raises UnreadableError for what is torn or not ours, and OSError."""
        if entry.data is not None:
            return Envelope(entry.event_id, entry.category, entry.data)
        return self._read(self._folder(entry), entry)

    def _read(self, folder: str, entry: SpoolEntry) -> Envelope | None:
        data = files.read_own(os.path.join(folder, entry.name), self._max_size)
        if data is None:
            return None
        _check(data)
        return Envelope(entry.event_id, entry.category, data)

    def _folder(self, entry: SpoolEntry) -> str:
        return self._folders.held if entry.held else self._folders.new

    def remove(self, entry: SpoolEntry) -> bool:
        """Whether it was there to remove."""
        kept = self._process().memory.take(entry.name) is not None
        return files.unlink(os.path.join(self._folder(entry), entry.name)) or kept

    def release(self, entry: SpoolEntry) -> bool:
        """Let an envelope that was held back be sent. Whether it was there. Raises OSError."""
        memory = self._process().memory
        kept = memory.take(entry.name)
        if kept is not None:
            memory.keep(kept._replace(held=False))
            return True
        return self._move(self._folders.held, entry)

    def adopt(self, name: str, data: bytes) -> bool:
        """Take in an envelope under the name that another spool gave it. False where it lies here already.

        Raises UnreadableError for a name or data that no spool wrote, and OSError.
        """
        entry = parse_name(name)
        if entry is None or os.path.basename(name) != name:
            raise UnreadableError("it has no name of a spool")
        _check(data)
        if os.path.lexists(os.path.join(self._target, name)):
            return False
        self._folders.put(self._target, name, data)
        return True

    def size(self, entry: SpoolEntry) -> int:
        """Bytes on disk; 0 where somebody has taken it."""
        try:
            return os.lstat(os.path.join(self._folder(entry), entry.name)).st_size
        except ours(OSError):
            return len(entry.data or b"")

    def settle(self, limit: int | None = None) -> int:
        """Move what waits in memory to the disk as far as that works now; the number that still waits in memory."""
        process = self._process()
        if process.memory and process.settling.acquire(False):
            try:
                for entry in process.memory.entries()[:limit]:
                    self._folders.put(self._folder(entry), entry.name, entry.data or b"")
                    taken = process.memory.take(entry.name)
                    if taken is None:
                        self.remove(entry)  # delivered or dropped meanwhile
                    elif entry.held and not taken.held:
                        self.release(entry)  # let go meanwhile
                self._degraded = None
            except ours(OSError) as error:
                self._degraded = files.reason(error)
            finally:
                process.settling.release()
        return len(process.memory)

    def take_over(self, other: Spool) -> None:
        """What another one of this process keeps in memory: it may not write to its own folder any more."""
        theirs, mine = other._process().memory, self._process().memory
        for entry in theirs.entries():
            taken = theirs.take(entry.name)
            for gone in mine.keep(taken) if taken is not None else ():
                self._count("memory-full", gone.category, 1)
        self.settle()

    def abandon(self) -> None:
        """The process ends: what memory holds goes to disk, or is counted as lost."""
        process = self._process()
        if process.memory and self.settle():
            for entry in process.memory.entries():
                if process.memory.take(entry.name) is not None:
                    self._count("lost-at-exit", entry.category, 1)
        if process.preallocated is not None:
            process.preallocated.close()

    def equip(self) -> None:
        """For a thread of our own, which has the time: what makes writing quick in this process from now on."""
        from ..quick.preallocated import PreallocatedFiles

        process = self._process()
        if process.preallocated is not None or not self.usable():
            return
        if self._keep_interpreter:
            self.quick.load(self._folders.tmp)
        if hasattr(os, "pwrite"):
            process.preallocated = PreallocatedFiles(self._folders.tmp, process.pid, process.token)

    def refill(self) -> None:
        """For that thread, between two envelopes: what the writes to come need is made beforehand."""
        preallocated = self._process().preallocated
        if preallocated is not None and self._degraded is None:
            try:
                preallocated.refill()
            except ours(OSError):
                pass  # a write that meets the same trouble says so

    def is_over(self) -> bool:
        """Has this process written more than there was room for, as far as it knows?"""
        process = self._process()
        if self._held:
            return process.fill.over
        return process.unswept_files > process.room[0] or process.unswept_bytes > process.room[1]

    def is_sweep_due(self) -> bool:
        """Has nobody swept for a while?"""
        since = self._mark.age()
        return since is None or since >= _SWEEP_EVERY

    def sweep_if_due(self, ends: Callable[[], bool] = lambda: False) -> None:
        if self.is_over() or self.is_sweep_due():
            self.sweep(ends)

    def sweep(self, ends: Callable[[], bool] = lambda: False) -> None:
        """Hold the bounds: lists the folder. A thread that comes while another one sweeps goes on.

        `ends` is asked often, and cuts it short.
        """
        process = self._process()
        if not process.sweeping.acquire(False):
            return
        try:
            process.unswept_bytes = process.unswept_files = 0
            process.room = room = self._hold_bounds().sweep(ends)
            if not ends():
                process.fill.measured(room)
                self._reclaim()
        except ours(OSError) as error:
            self._degraded = files.reason(error)
        finally:
            process.sweeping.release()

    def _hold_bounds(self) -> Bounds:
        if self._bounds is None:
            from .bounds import Bounds  # of use to whoever sweeps, which a thread of the host's does not

            self._bounds = Bounds(
                self._folders,
                self._mark,
                max_size=self._max_size,
                max_age=self._max_age,
                max_files=self._max_files,
                count=self._count,
                clock=self._clock,
            )
        return self._bounds

    def _reclaim(self) -> None:
        """Release what was held back by processes that can no longer decide about it."""
        yesterday = int((self._clock() - _LONGEST_ATTEMPT) * 1e9)
        for entry in self._on_disk(self._folders.held):
            if entry.trying and (entry.stamp < yesterday or not alive(entry.pid)):
                self.release(entry)

    # ------------------------------------------------------------------------------------------------- the quarantine

    def quarantine(self, entry: SpoolEntry, reason: str) -> None:
        """Set it aside for good, with the reason beside it. Raises OSError where it has to stay where it is."""
        if entry.data is not None:
            files.write_new(os.path.join(self._folders.quarantine, entry.name), entry.data)
            self.remove(entry)
            self._folders.explain(entry.name, reason)
        elif not self._folders.set_aside(self._folder(entry), entry.name, reason):
            return
        self._count("quarantined", entry.category, 1)

    def quarantined(self) -> list[tuple[SpoolEntry, str]]:
        """What was set aside, oldest first, with its reason."""
        found = sorted(self._on_disk(self._folders.quarantine))
        return [(entry, self._folders.explanation(entry.name)) for entry in found]

    def read_quarantined(self, entry: SpoolEntry) -> Envelope | None:
        """As `read`."""
        return self._read(self._folders.quarantine, entry)

    def replay(self, entry: SpoolEntry) -> bool:
        """Put a quarantined envelope back among those that wait. Whether it was there. Raises OSError."""
        moved = self._move(self._folders.quarantine, entry)
        if moved:
            files.unlink(os.path.join(self._folders.quarantine, entry.name + ".txt"))
        return moved

    def discard(self, entry: SpoolEntry) -> bool:
        """Remove a quarantined envelope with its reason. Whether it was there."""
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


def directory_of(settings: SpoolData, state: str) -> str:
    return settings["directory"] or os.path.join(state, "spool")


def open_in(directory: str, settings: SpoolData, count: Count, *, held: bool = False) -> Spool:
    """A spool with the bounds of the configuration."""
    return Spool(
        directory,
        max_size=settings["max_size"],
        max_age=settings["max_age"],
        max_files=settings["max_files"],
        max_rate=settings["max_rate"],
        durable=settings["durable"],
        keep_interpreter=settings["keep_interpreter"],
        count=count,
        held=held,
    )
