"""A second process that looks up the later half of many targets, while this one looks up the first.

Reading modules takes most of the time, and monitors of one module usually stand together: hardly any is read twice.
"""

from __future__ import annotations

import _thread
import marshal
import os
from typing import TYPE_CHECKING, Any

from .check import check

if TYPE_CHECKING:
    from ..config.compile import Examined
    from .lookup import Lookup

FEW = 1000  # monitors that one process looks up in less than a second


class SecondHalf:
    """Call `join` before the monitor number `begins`: from then on, `lookup` knows what the other process has found."""

    def __init__(self, examined: Examined, lookup: Lookup) -> None:
        self.begins = len(examined.built) // 2
        self.lookup = lookup
        self.pid = 0
        self._reading = -1
        if len(examined.built) < FEW or lookup.known.outcomes or not can_fork():
            return
        self._reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(writing)
            return
        try:
            check(examined._replace(built=examined.built[self.begins :], wrong=[], documents=[]), lookup)
            with open(writing, "wb") as stream:
                stream.write(marshal.dumps(lookup.known.given(lookup.finder)))
        finally:
            os._exit(0)  # whatever happens: the command goes on in the other process alone

    def join(self) -> None:
        """Wait for the other process. What it has not found, this one looks up as well."""
        if not self.pid:
            return
        with open(self._reading, "rb") as stream:
            data = stream.read()
        os.waitpid(self.pid, 0)
        self.pid = 0
        found: Any = None
        try:
            found = marshal.loads(data)  # noqa: S302  (by our own child)
        except (EOFError, ValueError, TypeError):
            return  # it was ended
        self.lookup.known.take(found)


def can_fork() -> bool:
    """Whether a process of its own is worth it, and another thread cannot hold a lock in it for ever."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return hasattr(os, "fork") and cores > 1 and not _thread._count()
