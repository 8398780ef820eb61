"""The envelopes of a spool, of all processes: what delivery and commands read, release, remove and set aside.

Counted: memory-full, lost-at-exit (lost); quarantined (kept).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable

from ...base.interrupts import ours
from ...base.model import Envelope
from . import age, files
from .files import UnreadableError
from .fill_level import FillLevel
from .layout import Folders, Maximum
from .memory import Memory
from .names import SpoolEntry, parse_name
from .writing import WritingProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .layout import Count


class Contents:
    def __init__(
        self,
        folders: Folders,
        maximum: Maximum,
        count: Count,
        memory: tuple[int, int],
        *,
        held: bool,
        clock: Callable[[], float],
        uptime: Callable[[], float],
    ) -> None:
        """`memory` is the number and the bytes of envelopes in it. The rest is as for `Spool`."""
        self.folders = folders
        self.directory = folders.directory
        self._maximum = maximum
        self._count = count
        self._memory = memory
        self._held = held
        self._clock = clock
        self._mark = age.SweptMark(os.path.join(self.directory, "swept"), clock, uptime)
        self._degraded: str | None = None
        self._current = self._process_of(os.getpid())

    @property
    def degraded(self) -> str | None:
        """Why envelopes cannot be written to disk at present; None when they can."""
        return self._degraded

    def after_fork(self) -> None:
        """For the fork hook in the child: forget what the parent has in memory. Otherwise the first use does it."""
        self._process()

    def _process(self) -> WritingProcess:
        process = self._current
        if process.pid != os.getpid():
            # After a fork the parent still has, and will deliver, the envelopes in its memory.
            self._current = process = self._process_of(os.getpid())
        return process

    def _process_of(self, pid: int) -> WritingProcess:
        fill_level = FillLevel(self.directory, self._mark, self._maximum)
        return WritingProcess(pid, Memory(*self._memory), fill_level)

    def entries(self) -> list[SpoolEntry]:
        """Return all entries, oldest first, held back or not, in memory and on disk, of all processes."""
        found = [*self._on_disk(self.folders.new), *self._process().memory.entries()]
        found += [entry._replace(held=True) for entry in self._on_disk(self.folders.held)]
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
        yield from self._on_disk(self.folders.new)
        yield from (entry for entry in self._process().memory.entries() if not entry.held)

    def _on_disk(self, folder: str) -> Iterator[SpoolEntry]:
        if self.usable():
            yield from filter(None, map(parse_name, files.names_in(folder)))

    def usable(self) -> bool:
        """Return whether the folder exists and is our own; if it is another user's, `degraded` has the reason."""
        try:
            return self.folders.exist()
        except ours(OSError) as error:
            self._degraded = files.reason(error)
            return False

    def read(self, entry: SpoolEntry) -> Envelope | None:
        """Return None if it is gone. Raises OSError, and UnreadableError for what is torn or not ours."""
        if entry.data is not None:
            return Envelope(entry.event_id, entry.category, entry.data)
        return self._read(self._folder(entry), entry)

    def _folder(self, entry: SpoolEntry) -> str:
        return self.folders.held if entry.held else self.folders.new

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
        return self._move(self.folders.held, entry)

    def adopt(self, name: str, data: bytes) -> bool:
        """Add an envelope under the name that another spool gave it. Return False if it is here already.

        Raises OSError, and UnreadableError for a name or data that no spool wrote.
        """
        entry = parse_name(name)
        if entry is None or os.path.basename(name) != name:
            raise UnreadableError("its name is not that of an envelope in a spool")
        _check(data)
        folder = self.folders.held if self._held else self.folders.new
        if os.path.lexists(os.path.join(folder, name)):
            return False
        self.folders.put(folder, name, data)
        return True

    def path(self, entry: SpoolEntry) -> str:
        """Return where its file is, unless it is in memory."""
        return os.path.join(self._folder(entry), entry.name)

    def ages(self) -> age.Ages:
        """Return the ages of stamps, on a machine whose clock may have been set."""
        return self._mark.ages()

    def size(self, entry: SpoolEntry, *, quarantined: bool = False) -> int:
        """Return the bytes on disk or in memory; 0 if it is gone."""
        folder = self.folders.quarantine if quarantined else self._folder(entry)
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
                    self.folders.put(self._folder(entry), entry.name, entry.data or b"")
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

    def take_over(self, other: Contents) -> None:
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

    # --------------------------------------------------------------------------------------------------- the quarantine

    def quarantine(self, entry: SpoolEntry, reason: str) -> None:
        """Move it to quarantine, with the reason beside it. Raises OSError if it cannot be moved."""
        if entry.data is not None:
            files.write_new(os.path.join(self.folders.quarantine, entry.name), entry.data)
            self.remove(entry)
            self.folders.explain(entry.name, reason)
        elif not self.folders.set_aside(self._folder(entry), entry.name, reason):
            return
        self._count("quarantined", entry.category, 1)

    def quarantined(self) -> list[tuple[SpoolEntry, str]]:
        """Return the quarantined envelopes, oldest first, each with its reason."""
        found = sorted(self._on_disk(self.folders.quarantine))
        return [(entry, self.folders.explanation(entry.name)) for entry in found]

    def read_quarantined(self, entry: SpoolEntry) -> Envelope | None:
        """As `read`."""
        return self._read(self.folders.quarantine, entry)

    def replay(self, entry: SpoolEntry) -> bool:
        """Move a quarantined envelope back to those that wait. Return whether it existed. Raises OSError."""
        moved = self._move(self.folders.quarantine, entry)
        if moved:
            files.unlink(os.path.join(self.folders.quarantine, entry.name + ".txt"))
        return moved

    def discard(self, entry: SpoolEntry) -> bool:
        """Remove a quarantined envelope with its reason. Return whether it existed."""
        return self.folders.forget(self.folders.quarantine, entry.name)

    def _read(self, folder: str, entry: SpoolEntry) -> Envelope | None:
        data = files.read_own(os.path.join(folder, entry.name), self._maximum.size)
        if data is None:
            return None
        _check(data)
        return Envelope(entry.event_id, entry.category, data)

    def _move(self, folder: str, entry: SpoolEntry) -> bool:
        try:
            os.rename(os.path.join(folder, entry.name), os.path.join(self.folders.new, entry.name))
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
