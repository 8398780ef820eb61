"""The lock of the process that delivers a spool. The kernel frees it when that process dies."""

from __future__ import annotations

import os

from ...base.interrupts import ours
from ...base.postponed import around_forks
from ..http.descriptors import Descriptor, describe

#: Lock files that are open. A forked child has copies of them, and a lock lives until its last copy is closed.
_open: set[Descriptor] = set()


class DeliveryLock:
    def __init__(self, directory: str, name: str = "lock") -> None:
        """`directory` is the spool's. With another `name`: the lock of the courier that lives for this spool."""
        self._path = os.path.join(directory, name)
        self._held: Descriptor | None = None

    def take(self) -> bool | None:
        """Return True if it is held now, False if another process holds it, None if the folder is not writable."""
        try:
            import fcntl
        except ours(ImportError):
            return True
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            opened = describe(os.open(self._path, flags, 0o600))
        except ours(OSError):
            return None
        _open.add(opened)
        try:
            fcntl.flock(opened.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ours(BlockingIOError):
            _close(opened)
            return False
        except ours(OSError):
            _close(opened)
            return True  # a file system without locks: twice is better than never
        self._held = opened
        return True

    @property
    def number(self) -> int:
        """The descriptor that holds the lock; -1 where none does, as on a file system without locks."""
        return self._held.number if self._held is not None else -1

    def mtime(self) -> float:
        """When the file was last written to, in seconds. For who holds the lock."""
        return os.fstat(self.number).st_mtime

    def release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            _close(held)


def _close(opened: Descriptor) -> None:
    if opened in _open:
        _open.discard(opened)
        opened.close()


def _after_fork_in_child() -> None:
    for opened in list(_open):
        try:
            opened.close()
        except ours(OSError):
            pass
    _open.clear()


around_forks(after_in_child=_after_fork_in_child)
