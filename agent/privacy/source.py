"""The lines of source of a file, read without importing anything.

`linecache` would import the tokenizer. Where the host has loaded it, its cache is used: it may hold a cell of a
notebook, a doctest, a template. All else is read from its file.
"""

from __future__ import annotations

import errno
import os
import sys

from ..base.interrupts import ours

_LARGEST = 5_000_000  # bytes
_FORMAT, _REGULAR = 0o170000, 0o100000  # of a file's mode


def lines(path: str, last: int) -> list[str]:
    """The lines of the file, up to line `last` and perhaps more; none where it has no source.

    Raises OSError or MemoryError where there may be some at a better moment.
    """
    known = _known(path)
    return known if known is not None else _read(path, last)


def _known(path: str) -> list[str] | None:
    linecache = sys.modules.get("linecache")
    cache = getattr(linecache, "cache", None)
    if linecache is None or type(cache) is not dict or path not in cache:
        return None
    try:
        found = linecache.getlines(path)  # what a loader has promised, too
    except ours(Exception):
        return None
    return found if type(found) is list else None


def _read(path: str, last: int) -> list[str]:
    """Nothing if it is not an ordinary file of an ordinary size: a pipe would block the host."""
    try:
        status = os.stat(path)
        if status.st_mode & _FORMAT != _REGULAR or status.st_size > _LARGEST:
            return []
        # In UTF-8, whatever encoding a first line declares: another codec would have to be imported.
        with open(path, encoding="utf-8", errors="replace") as file:
            return [text.lstrip("\ufeff") for text, _ in zip(file, range(last))]
    except ours(OSError) as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise
        return []  # gone, or unreadable
    except ours(ValueError):  # nothing that a path may be
        return []
