"""Envelopes that Sentry has taken but that could not be removed: nobody is to send them again.

In a file of the folder, since the next one to deliver may be another process. Where that cannot be written either, at
least this process remembers.
"""

from __future__ import annotations

import os

from ...base.interrupts import ours
from ..spool import files


class Taken:
    def __init__(self, path: str) -> None:
        self._path = path
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
        """What others have taken. For the holder of the folder's lock."""
        if self._names or os.path.exists(self._path):
            try:
                self._names.update((files.read_own(self._path) or b"").decode("utf-8", "replace").splitlines())
            except ours(OSError, files.UnreadableError):
                pass

    def save(self) -> None:
        """For the holder of the folder's lock."""
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
