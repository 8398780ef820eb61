"""Empty files that wait for the next envelopes of this process.

Most of what it takes to write an envelope is the making of its file, which the thread that delivers can do beforehand.
One to be written takes a spare, fills it and renames it to where it belongs. Whatever is wrong with a spare, the
envelope gets a file of its own, made as if there were none. They lie in tmp/ under a name that says whose they are, so
that a sweep finds those of the dead.

Taken on the host's threads, also inside a signal handler that interrupted another taking, so without a lock.
"""

from __future__ import annotations

import os
from collections import deque
from itertools import count as numbers

from ...base.interrupts import ours
from ..spool import files
from ..spool.names import SPARE

#: How many lie ready; more are made once half of them are used. A burst is faster than whoever makes them anyway.
KEPT = 16


class PreallocatedFiles:
    """Those of one process: a forked child has none of its parent's."""

    def __init__(self, folder: str, pid: int, token: str) -> None:
        """`token` is unique to the process."""
        self._beginning = os.path.join(folder, f"{pid}-{token}")
        self._pid = pid
        self._numbers = numbers()
        self._ready: deque[str] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._ready)

    def take(self) -> str | None:
        """The path of one that nobody else has; None where there is none."""
        try:
            spare = self._ready.popleft()
        except ours(IndexError):
            return None
        # A child forked by a handler that interrupted us, just before this, holds a copy of its parent's list.
        return spare if os.getpid() == self._pid else None

    def refill(self) -> None:
        """For the thread that delivers. Raises OSError where the disk takes no more files."""
        if len(self._ready) > KEPT // 2:
            return
        while len(self._ready) < KEPT and not self._closed:
            path = f"{self._beginning}-{next(self._numbers)}{SPARE}"
            files.write_new(path, b"")
            self._ready.append(path)

    def close(self) -> None:
        """The process ends: remove them, and make no more."""
        self._closed = True
        while (spare := self.take()) is not None:
            files.unlink(spare)
