"""Empty files, made beforehand for the next envelopes of this process.

Creating the file is most of the work of writing an envelope, and the thread that delivers can do it in advance: a write
fills a preallocated file and renames it into place. If anything is wrong with that file, the envelope is written to a
new one. The files lie in tmp/ under a name that shows their process, so that a sweep finds those of dead processes.

`take` is called on the host's threads, also in a signal handler that interrupts another `take`: so without a lock.
"""

from __future__ import annotations

import os
from collections import deque
from itertools import count as numbers

from ...base.interrupts import ours
from ..spool import files
from ..spool.names import PREALLOCATED

#: How many are kept ready; once half of them are used, more are made.
KEPT = 16


class PreallocatedFiles:
    """Those of one process: a forked child has none of its parent's."""

    def __init__(self, folder: str, pid: int, token: str) -> None:
        """`token` is unique to the process."""
        self._prefix = os.path.join(folder, f"{pid}-{token}")
        self._pid = pid
        self._numbers = numbers()
        self._ready: deque[str] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._ready)

    def take(self) -> str | None:
        """Return the path of one, for this caller alone; None where there is none."""
        try:
            path = self._ready.popleft()
        except ours(IndexError):
            return None
        # A child forked by a signal handler that interrupted us just before holds a copy of its parent's list.
        return path if os.getpid() == self._pid else None

    def refill(self) -> None:
        """For the thread that delivers. Raises OSError where no file can be made."""
        if len(self._ready) > KEPT // 2:
            return
        while len(self._ready) < KEPT and not self._closed:
            path = f"{self._prefix}-{next(self._numbers)}{PREALLOCATED}"
            files.write_new(path, b"")
            self._ready.append(path)

    def close(self) -> None:
        """Remove them, and make no more."""
        self._closed = True
        while (path := self.take()) is not None:
            files.unlink(path)
