"""Names of envelopes that were delivered but could not be removed, so that no process sends them again.

Kept in a file of the spool, since the next process to deliver may be another one; where that cannot be written either,
in the memory of this process.
"""

from __future__ import annotations

import os

from ...base.interrupts import ours
from ..spool import files

_FILE = "delivered"


class Delivered:
    """`load` and `save` are for the holder of the spool's DeliveryLock."""

    def __init__(self, directory: str) -> None:
        """`directory` is the spool's."""
        self._path = os.path.join(directory, _FILE)
        self._names: set[str] = set()
        self._changed = False

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        self._names.add(name)
        self._changed = True

    def discard(self, name: str) -> None:
        self._names.discard(name)
        self._changed = True

    def load(self) -> None:
        """Add what other processes have delivered."""
        try:
            self._names.update((files.read_own(self._path) or b"").decode("utf-8", "replace").splitlines())
        except ours(OSError, files.UnreadableError):
            pass

    def save(self) -> None:
        if not self._changed:
            return
        self._changed = False
        try:
            if self._names:
                files.replace(self._path, "".join(name + "\n" for name in sorted(self._names)).encode("utf-8"))
            else:
                files.unlink(self._path)
        except ours(OSError):
            self._changed = True
