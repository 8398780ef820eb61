"""Maps a part of a file into memory: where that is safe, and so that it stays for as long as the process lives.

Three things can go wrong for a host, and must not. A write to a mapped page that has no block on a full disk ends the
process: so blocks are written first, on file systems that then keep them. Before CPython 3.13 a mapping keeps a
descriptor, one less for the host, and closes it when it is freed: a host that daemonises has closed it long before, and
has another file under that number. So the descriptor is closed at once, and a mapping is never freed. And it must not
take the place of the standard streams.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from ..base import own_folders
from ..base.interrupts import ours
from . import mounts

try:
    import mmap
except ours(ImportError):  # the process has become a user who may not read Python's extension modules
    mmap = None  # type: ignore[assignment]

#: Here a block that was written stays the file's, and a later write to it needs no other one.
_KEEPS_BLOCKS = frozenset(("ext3", "ext4", "xfs", "tmpfs"))


def is_safe(folder: str) -> bool:
    """Whether files in this folder may be mapped now."""
    try:
        for stream in range(3):
            os.fstat(stream)
    except ours(OSError):
        return False  # a mapping could take its number
    return mmap is not None and sys.platform == "linux" and mounts.type_of(folder) in _KEEPS_BLOCKS


def map_new(file: str, begin: int, size: int) -> memoryview:
    """Write zeros to this part of the file, and map it. Raises OSError."""
    descriptor = os.open(file, os.O_RDWR | own_folders.OLD_FILE & ~os.O_WRONLY)
    try:
        if descriptor <= 2:
            raise OSError("a standard stream is closed")
        opened = os.fstat(descriptor)
        done = 0
        while done < size:
            done += os.pwrite(descriptor, bytes(size - done), begin + done)
        before = begin % mmap.ALLOCATIONGRANULARITY
        options: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}
        likely = os.dup(descriptor)  # the lowest free number, which a copy of the descriptor takes next
        os.close(likely)
        mapped = mmap.mmap(descriptor, before + size, offset=begin - before, **options)
    finally:
        os.close(descriptor)
    _keep_for_ever(mapped)
    if not options:
        _close_copy(likely, opened)
    return memoryview(mapped)[before:]


def _close_copy(number: int, opened: os.stat_result) -> None:
    """Close the descriptor of the mapping, which nothing uses, unless another thread took the number meanwhile.

    The file is this process's own, and open nowhere else: whoever holds it under this number is the mapping.
    """
    try:
        if os.path.samestat(os.fstat(number), opened):
            os.close(number)
    except ours(OSError):
        pass


def _keep_for_ever(mapped: mmap.mmap) -> None:
    """Refer to it from a circle that the garbage collector cannot see through, for want of support in code objects.

    So it is not even freed when the interpreter ends, which may be long before the process does.
    """
    circle: list[object] = [mapped]
    circle.append(_keep_for_ever.__code__.replace(co_consts=(circle,)))
