"""At most one process at a time delivers from a folder; the kernel frees the lock of one that dies."""

from __future__ import annotations

import os

from ..interrupts import ours

#: Descriptors of lock files. A forked child has copies of them, and a lock lives until its last copy is closed.
_inheritable: set[int] = set()


class FolderLock:
    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1

    def take(self) -> bool | None:
        """True: held. False: another one holds it. None: the folder cannot be written to, so nothing can leave it."""
        try:
            import fcntl
        except ours(ImportError):
            return True
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
            descriptor = os.open(self._path, flags, 0o600)
        except ours(OSError):
            return None
        _inheritable.add(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ours(BlockingIOError):
            _close(descriptor)
            return False
        except ours(OSError):
            _close(descriptor)
            return True  # a file system without locks: twice is better than never
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            _close(descriptor)


def _close(descriptor: int) -> None:
    if descriptor in _inheritable:
        _inheritable.discard(descriptor)
        os.close(descriptor)


def _after_fork_in_child() -> None:
    for descriptor in list(_inheritable):
        try:
            os.close(descriptor)
        except ours(OSError):
            pass
    _inheritable.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
