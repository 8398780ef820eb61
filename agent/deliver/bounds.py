"""Holds a spool to its bounds: leftovers, foreign files, what is too old, and then what is too much, in its order.

Any process may sweep, at any moment, also beside another one: of two that remove the same file one counts it.

Counted: spool-full, too-old (lost).
"""

from __future__ import annotations

import os
from math import inf
from typing import TYPE_CHECKING, Callable

from ..health import alive
from . import age, files
from .names import SUFFIX, Entry, giving_up, owner_of, parse_name

if TYPE_CHECKING:
    from .layout import Folders

Count = Callable[[str, str, int], None]

_EVERY = 60.0  # seconds in which at most one process of the fleet looks at the whole folder
_LEFTOVER_AGE = 3600.0  # of a file in tmp/: its writer is gone
_SPARE_AGE = 86400.0  # of a spare whose number of a process is alive: that may be another process by now
_LOW_WATER = 0.9  # share of its bound that a full folder is emptied to, so that the next write does not sweep again
_QUARANTINE_SHARE = 4  # quarantine may take max_size / 4


class Bounds:
    def __init__(
        self,
        folders: Folders,
        *,
        max_size: int,
        max_age: float,
        max_files: int,
        count: Count,
        clock: Callable[[], float],
        uptime: Callable[[], float],
    ) -> None:
        """`max_size` in bytes, `max_age` in seconds."""
        self._folders = folders
        self._max_size = max_size
        self._max_age = max_age
        self._max_files = max_files
        self._count = count
        self._clock = clock
        self._mark = age.SweptMark(os.path.join(folders.directory, "swept"), clock, uptime)

    def due(self) -> bool:
        since = self._mark.age()
        return since is None or since >= _EVERY

    def sweep(self) -> None:
        """Raises OSError where a foreign file cannot be set aside, after everything else was done."""
        ages = self._mark.set(self._max_age)
        folders = self._folders
        self._clean_tmp()
        self._bound((folders.new, folders.held), ages, self._max_size)
        self._bound((folders.quarantine,), ages, self._max_size // _QUARANTINE_SHARE)
        self._set_foreign_aside()

    def _clean_tmp(self) -> None:
        for leftover in files.scan(self._folders.tmp):
            if self._clock() - leftover.mtime > _longest(leftover.name):
                files.unlink(os.path.join(self._folders.tmp, leftover.name))

    def _bound(self, folders: tuple[str, ...], ages: age.Ages, max_size: int) -> None:
        size = number = 0
        for folder in folders:
            for file in files.scan(folder):
                entry = parse_name(file.name)
                if entry is None:
                    self._forget_foreign(folder, file)
                elif ages.of(entry.stamp / 1e9) > self._max_age:
                    self._drop(folder, entry, "too-old")
                else:
                    size += file.size
                    number += 1
        if size > max_size or number > self._max_files:
            self._make_room(folders, size - int(max_size * _LOW_WATER), number - int(self._max_files * _LOW_WATER))

    def _make_room(self, folders: tuple[str, ...], size: int, number: int) -> None:
        """Give up what is over: that many bytes and that many files."""
        kept = []
        for folder in folders:
            for file in files.scan(folder):
                entry = parse_name(file.name)
                if entry is not None:
                    kept.append((giving_up(entry), folder, entry, file.size))
        kept.sort()
        for _, folder, entry, weight in kept:
            if size <= 0 and number <= 0:
                return
            self._drop(folder, entry, "spool-full")
            size -= weight
            number -= 1

    def _drop(self, folder: str, entry: Entry, reason: str) -> None:
        if self._folders.forget(folder, entry.name):
            self._count(reason, entry.category, 1)

    def _forget_foreign(self, folder: str, file: files.File) -> None:
        """In quarantine: what is no envelope goes when it is old, and an explanation that explains nothing."""
        if folder != self._folders.quarantine:
            return
        path = os.path.join(folder, file.name)
        age_ = self._clock() - file.mtime
        if file.name.endswith(SUFFIX + ".txt"):
            if age_ > _LEFTOVER_AGE and not os.path.lexists(path[: -len(".txt")]):
                files.unlink(path)
        elif age_ > self._max_age:
            files.unlink(path)

    def _set_foreign_aside(self) -> None:
        for folder in (self._folders.new, self._folders.held):
            for name in files.names_in(folder):
                if parse_name(name) is None:
                    self._folders.set_aside(folder, name, "not an envelope of this agent")


def _longest(leftover: str) -> float:
    """Seconds that a file in tmp/ may lie there."""
    owner = owner_of(leftover)
    if owner is None:
        return _LEFTOVER_AGE
    return _SPARE_AGE if alive(owner) else -inf  # whatever the clock says
