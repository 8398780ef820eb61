"""The files in which a process counts, and the rows in them: see `layout`.

A process has a file from its first count on, in the folder of the user that it is. Rows are mapped into memory where a
disk that is full cannot end the process: there, every count is in the file at once. Elsewhere they are in memory, and
are written from time to time. Where there can be no file there is no row, and the caller counts by itself; a new
attempt is made a minute later.
"""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock
from typing import TYPE_CHECKING

from ..base import clocks, guard, health, own_folders
from ..base.interrupts import ours
from ..observe.event.encode import to_json
from . import layout, mapping, users
from .layout import COUNTS, FOLDER, NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    Names = tuple[str, str, str | None, str]  # monitor, operation, module, kind

#: Rows of a new file: 32 KiB with the header. A full one doubles.
_FIRST = 28
#: Rows of a process; those of more operations are one row.
MOST_ROWS = 10_000
OTHERS: Names = ("(others)", "(others)", None, "function")
MOST_FILES = 2_000
_RETRY = 60.0  # seconds
_AT_ONCE = 32.0  # writings that may follow one upon the other; one more may each second


class Store:
    """All files of this process.

    `folder` returns the state folder of the user that the process is now; `facts` what the file states about it;
    `failed` takes why there is no file, `dropped` how many old files there were too many.
    """

    def __init__(
        self,
        folder: Callable[[], str],
        facts: Callable[[], dict[str, object]],
        *,
        failed: Callable[[str], object] = print,
        dropped: Callable[[int], object] = int,
        clock: Callable[[], float] = clocks.monotonic,
    ) -> None:
        self._folder = folder
        self._facts = facts
        self._failed = failed
        self._dropped = dropped
        self._clock = clock
        self._files: dict[str, CountsFile] = {}
        self._current = ""  # its folder
        self._busy = allocate_lock()  # never waited for
        self._not_before = 0.0
        self._left, self._since = _AT_ONCE, 0.0

    def row(self, names: Names) -> memoryview | None:
        """Return the bytes of the row of an operation; None where there is none now."""
        if self._clock() < self._not_before or not self._busy.acquire(False):
            return None
        try:
            self._current = self._folder()
            file = self._files.get(self._current)
            if file is None:
                file = self._create()
            return file.row(names)
        except ours(OSError, MemoryError) as error:
            self._not_before = self._clock() + _RETRY
            self._failed(f"counts are in memory only, and lost when the process ends: {error}")
            return None
        except ours(Exception):
            self._not_before = self._clock() + _RETRY
            guard.swallow("making a file of counts")
            return None
        finally:
            self._busy.release()

    def _create(self) -> CountsFile:
        folder = os.path.join(self._current, FOLDER)
        own_folders.make(folder)
        dropped = _prune(folder)
        if dropped:
            self._dropped(dropped)
        file = CountsFile(folder, self._facts(), mapped=mapping.is_safe(folder))
        self._files[self._current] = file
        return file

    def moved(self) -> bool:
        """Whether another file is to be counted in: the process is another user now, or somebody removed its file."""
        if not self._current or self._folder() != self._current:
            return bool(self._current)
        file = self._files.get(self._current)
        if file is None or os.path.lexists(file.path + COUNTS):
            return False
        del self._files[self._current]
        return True

    def flush(self) -> float:
        """Write what is not mapped. Return after how many seconds to do it again."""
        now = self._clock()
        file = self._files.get(self._current)
        if file is None or file.mapped:
            return 1.0
        self._left = min(_AT_ONCE, self._left + now - self._since)
        self._since = now
        if not self._busy.acquire(False):
            return 1.0
        try:
            if file.write():
                self._left -= 1.0
        except ours(OSError) as error:
            self._failed(f"counts cannot be written, and are lost when the process ends: {error}")
            return _RETRY
        finally:
            self._busy.release()
        return 0.0 if self._left >= 1.0 else 1.0

    def retry(self) -> None:
        """Whatever has failed is tried again with the next row."""
        self._not_before = 0.0

    def salt(self) -> int | None:
        """What hashes of users are keyed with."""
        return users.salt_in(os.path.join(self._folder(), FOLDER))

    def after_fork(self) -> None:
        """In a forked child: the files are the parent's."""
        self._busy = allocate_lock()
        self._files = {}
        self._current = ""
        self._not_before = 0.0
        self._left = _AT_ONCE


class CountsFile:
    """One file of rows, and the file of their names beside it."""

    def __init__(self, folder: str, facts: dict[str, object], *, mapped: bool) -> None:
        """Raises OSError."""
        self.path = _new_path(folder)
        self.mapped = mapped
        self._rows: list[memoryview] = []
        self._written: list[bytes] = []  # what the file has of each row, where it is not mapped
        self._known: dict[Names, memoryview] = {}
        self._used = 0
        header = bytearray(layout.PAGE)
        header[: len(layout.MAGIC)] = layout.MAGIC
        header[layout.VERSION_AT : layout.USED_AT] = layout.VERSION.to_bytes(8, sys.byteorder)
        text = to_json({**facts, "started": clocks.time()}).encode("utf-8", "replace")
        if len(text) >= layout.PAGE - layout.FACTS_AT:
            text = to_json({"pid": facts.get("pid"), "born": facts.get("born")}).encode()
        header[layout.FACTS_AT : layout.FACTS_AT + len(text)] = text
        self._header = memoryview(header)
        try:
            for name in (self.path + NAMES, self.path + COUNTS):
                os.close(os.open(name, own_folders.NEW_FILE, 0o600))
            self._grow()
        except BaseException:
            _remove(self.path)
            raise

    def row(self, names: Names) -> memoryview:
        """Return the row of these names. Raises OSError where there is no room for another one."""
        known = self._known.get(names)
        if known is not None:
            return known
        if self._used >= MOST_ROWS - 1 and names != OTHERS:
            return self.row(OTHERS)
        if self._used == len(self._rows):
            self._grow()
        line = to_json(list(names)).encode("utf-8", "replace") + b"\n"
        descriptor = os.open(self.path + NAMES, own_folders.OLD_FILE | os.O_APPEND)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
        row = self._known[names] = self._rows[self._used]
        self._used += 1
        self._header[layout.USED_AT : layout.FACTS_AT] = self._used.to_bytes(8, sys.byteorder)
        return row

    def _grow(self) -> None:
        """Add as many rows as there are."""
        more = len(self._rows) or _FIRST
        begin = layout.PAGE + len(self._rows) * layout.ROW if self._rows else 0
        size = more * layout.ROW + (0 if self._rows else layout.PAGE)
        if self.mapped:
            space = mapping.map_new(self.path + COUNTS, begin, size)
            if not self._rows:
                space[: layout.PAGE] = self._header
                self._header, space = space[: layout.PAGE], space[layout.PAGE :]
        else:
            space = memoryview(bytearray(more * layout.ROW))
            self._written += [bytes(layout.ROW)] * more
        self._rows += [space[at : at + layout.ROW] for at in range(0, more * layout.ROW, layout.ROW)]

    def write(self) -> bool:
        """Write the rows that have changed. Return whether there were any. Raises OSError."""
        changed = [(index, row.tobytes()) for index, row in enumerate(self._rows[: self._used])]
        changed = [(index, row) for index, row in changed if row != self._written[index]]
        if not changed:
            return False
        descriptor = os.open(self.path + COUNTS, own_folders.OLD_FILE)
        try:
            for index, row in changed:
                os.pwrite(descriptor, row, layout.PAGE + index * layout.ROW)
                self._written[index] = row
            os.pwrite(descriptor, self._header, 0)  # last: who reads so many rows finds them
        finally:
            os.close(descriptor)
        return True


def _new_path(folder: str) -> str:
    """What the names of the files of this process begin with."""
    started = int(clocks.time() * 1000)
    while True:
        path = os.path.join(folder, "%d-%d" % (os.getpid(), started))
        if not os.path.lexists(path + COUNTS):
            return path
        started += 1


def _prune(folder: str) -> int:
    """Remove the oldest files of processes that have ended, where there are far too many. Return how many."""
    names = [name for name in os.listdir(folder) if name.endswith(COUNTS)]
    if len(names) <= MOST_FILES:
        return 0
    removed = 0
    names.sort(key=lambda name: name.rpartition("-")[2])
    for name in names[: len(names) - MOST_FILES]:
        if not health.alive(health.pid_in(name.partition("-")[0])):
            _remove(os.path.join(folder, name[: -len(COUNTS)]))
            removed += 1
    return removed


def _remove(path: str) -> None:
    for ending in (COUNTS, NAMES):
        try:
            os.unlink(path + ending)
        except ours(OSError):
            pass
