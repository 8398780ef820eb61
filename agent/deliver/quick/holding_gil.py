"""The system calls that write an envelope, made without releasing the GIL.

Python releases the GIL around each system call, and a thread that computes keeps it for five milliseconds. Writing an
envelope takes a tenth of one in five calls: beside busy threads it would wait a hundred times as long as it works, and
more. `ctypes` can make the same calls and hold the GIL.

That is right only while the disk is quick, for meanwhile no thread of the process runs. So it is done on local file
systems only, never for what waits for the disk by its nature (an fsync, a large envelope), and not for a while after a
call that took long. Elsewhere, and until a write has waited for other threads, the calls of `os` are used, with a short
switch interval: `ctypes` takes milliseconds and memory.
"""

from __future__ import annotations

import errno
import os
import sys
from functools import partial
from operator import methodcaller
from typing import Any, Callable

from ...base.clocks import monotonic
from ...base.interrupts import ours
from ...measure import mounts

_LARGEST = 256 << 10  # bytes of an envelope that is written this way
_SLOW = 0.005  # seconds for the calls of one envelope: a slow disk, a crowded folder, or chance
_SLOW_TIMES = 3  # in a row, which is not chance
_STALL = 0.05  # seconds that are too many even once
_REST = 60.0  # seconds for which it is not done afterwards
_MACHINES = ("x86_64", "aarch64")  # where variadic C functions are called like any other

_do = methodcaller("__call__")


class GilHoldingCalls:
    """The functions of `os` with these names, errors included, for writing one small envelope at a time."""

    def __init__(
        self,
        library: Any,
        get_errno: Callable[[], int],
        set_errno: Callable[[int], object],
        tick: Callable[[], float] = monotonic,
    ) -> None:
        """`library` has the C functions open, write, lseek, close, flock and rename, their types declared."""
        self.library = library
        self.get_errno = get_errno
        self.set_errno = set_errno
        self._tick = tick
        self.spent = 0.0  # seconds, in calls, so far
        self._slow = 0
        self._not_before = 0.0

    # ------------------------------------------------------------------------------------------------ when to use them

    def begin(self, size: int) -> float | None:
        """Return what `end` needs; None if these calls must not be used to write so many bytes."""
        return self.spent if size <= _LARGEST and self._tick() >= self._not_before else None

    def end(self, began: float) -> bool:
        """Return whether the calls took so long that they will not be used for a while."""
        took = self.spent - began
        self._slow = self._slow + 1 if took >= _SLOW else 0
        rests = took >= _STALL or self._slow >= _SLOW_TIMES
        if rests:
            self._slow = 0
            self._not_before = self._tick() + _REST
        return rests

    # ------------------------------------------------------------------------------------------------------ the calls

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        return self._call(self.library.open, os.fsencode(path), flags, mode, paths=(path,))

    def write(self, descriptor: int, data: bytes) -> int:
        return self._call(self.library.write, descriptor, data, len(data))

    def lseek(self, descriptor: int, offset: int, whence: int) -> int:
        return self._call(self.library.lseek, descriptor, offset, whence)

    def close(self, descriptor: int) -> None:
        self._call(self.library.close, descriptor, again=False)  # interrupted or not, Linux has closed it

    def flock(self, descriptor: int, operation: int) -> None:
        self._call(self.library.flock, descriptor, operation)

    def rename(self, old: str, new: str) -> None:
        self._call(self.library.rename, os.fsencode(old), os.fsencode(new), paths=(old, None, new))

    def _call(self, function: Any, *arguments: Any, paths: tuple[str | None, ...] = (), again: bool = True) -> int:
        before = self.get_errno()
        while True:
            # Unpacked from `map`, so that no bytecode runs between the readings of the clock: another thread could run
            # there, and would look like a slow disk.
            began, result, ended = map(_do, (self._tick, partial(function, *arguments), self._tick))
            self.spent += ended - began
            if result >= 0:
                return int(result)
            number = self.get_errno()
            self.set_errno(before)  # which belongs to the host's own calls through ctypes
            if number != errno.EINTR:
                raise OSError(number, os.strerror(number), *paths)
            if not again:
                return 0


def load(folder: str) -> GilHoldingCalls | None:
    """Return None where the calls of `os` must be used for this folder. Takes milliseconds: imports `ctypes`."""
    if sys.platform != "linux" or os.uname().machine not in _MACHINES or sys.maxsize < 1 << 32:
        return None
    if not mounts.is_local(folder):
        return None
    try:
        import ctypes

        library = ctypes.PyDLL(None, use_errno=True)
        number, size, text = ctypes.c_int, ctypes.c_ssize_t, ctypes.c_char_p
        for name, result, arguments in (
            ("open", number, [text, number, ctypes.c_uint]),
            ("write", size, [number, text, size]),
            ("lseek", ctypes.c_long, [number, ctypes.c_long, number]),
            ("close", number, [number]),
            ("rename", number, [text, text]),
            ("flock", number, [number, number]),
        ):
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        ctypes.set_errno(ctypes.get_errno())  # an audit hook of the host may forbid it: better now than later
    except ours(ImportError, OSError, AttributeError, MemoryError, RuntimeError):
        return None  # a Python without `ctypes`, or a system or host that forbids it
    return GilHoldingCalls(library, ctypes.get_errno, ctypes.set_errno)
