"""Enforces the bounds of a spool: removes leftovers and old envelopes, then as many as needed, in their order.

Any process may sweep at any time, also beside another one: of two that remove the same file, one counts it.

Counted: spool-full, too-old (lost).
"""

import os
from heapq import nsmallest
from typing import TYPE_CHECKING, Callable

from . import age, files
from .layout import Room
from .names import SUFFIX, SpoolEntry, drop_order, parse_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .layout import Count, Folders, Maximum

_LEFTOVER_AGE = 3600.0  # of a file in tmp/: its process is gone
AT_A_TIME = 10_000  # envelopes dropped after one listing, which are in memory and are sorted at once
_QUARANTINE_SHARE = 4  # quarantine may take max_size / 4


class Bounds:
    def __init__(
        self, folders: "Folders", mark: age.SweptMark, maximum: "Maximum", count: "Count", clock: Callable[[], float]
    ) -> None:
        self.folders = folders
        self._maximum = maximum
        self._count = count
        self._clock = clock
        self._mark = mark

    def sweep(self, should_stop: Callable[[], bool]) -> Room:
        """Return what is left of the bounds. `should_stop` is called often, and ends the sweep early.

        Raises OSError if a foreign file cannot be quarantined, after everything else was done.
        """
        ages = self._mark.set(self._maximum.age)
        folders = self.folders
        self._clean_tmp(should_stop)
        room = self._bound((folders.new, folders.held), ages, self._maximum.size, should_stop)
        self._bound((folders.quarantine,), ages, self._maximum.size // _QUARANTINE_SHARE, should_stop)
        if not should_stop():
            self._set_foreign_aside()
        return room

    def _clean_tmp(self, should_stop: Callable[[], bool]) -> None:
        for name, _, mtime in files.scan(self.folders.tmp):
            if should_stop():
                return
            if self._clock() - mtime > _LEFTOVER_AGE:
                files.unlink(os.path.join(self.folders.tmp, name))

    def _bound(self, folders: tuple[str, ...], ages: age.Ages, max_size: int, should_stop: Callable[[], bool]) -> Room:
        number = size = 0
        for folder in folders:
            for name, weight, mtime in files.scan(folder):
                if should_stop():
                    return Room(0, 0)
                entry = parse_name(name)
                if entry is None:
                    self._forget_foreign(folder, name, mtime)
                elif ages.of(entry.stamp / 1e9) > self._maximum.age:
                    self._drop(folder, entry, "too-old")
                else:
                    size += weight
                    number += 1
        while (number > self._maximum.files or size > max_size) and not should_stop():
            gone, freed = self._make_room(folders, number - self._maximum.files, size - max_size, should_stop)
            if not gone:
                break
            number -= gone
            size -= freed
        return Room(self._maximum.files - number, max_size - size)

    def _make_room(
        self, folders: tuple[str, ...], number: int, size: int, should_stop: Callable[[], bool]
    ) -> tuple[int, int]:
        """Drop some of what is too much. Return how many envelopes, and how many bytes."""

        def all_entries() -> "Iterator[tuple[tuple[int, int, str], str, SpoolEntry, int]]":
            for folder in folders:
                for name, weight, _ in files.scan(folder):
                    entry = parse_name(name)
                    if entry is not None:
                        yield drop_order(entry), folder, entry, weight

        many = AT_A_TIME if size > 0 else min(number, AT_A_TIME)
        gone = freed = 0
        for _, folder, entry, weight in nsmallest(many, all_entries()):
            if (gone >= number and freed >= size) or should_stop():
                break
            self._drop(folder, entry, "spool-full")
            gone += 1
            freed += weight
        return gone, freed

    def _drop(self, folder: str, entry: SpoolEntry, reason: str) -> None:
        if self.folders.forget(folder, entry.name):
            self._count(reason, entry.category, 1)

    def _forget_foreign(self, folder: str, name: str, mtime: float) -> None:
        """In quarantine, remove old files that are no envelopes, and reasons without an envelope."""
        if folder != self.folders.quarantine:
            return
        path = os.path.join(folder, name)
        age_ = self._clock() - mtime
        if name.endswith(SUFFIX + ".txt"):
            if age_ > _LEFTOVER_AGE and not os.path.lexists(path[: -len(".txt")]):
                files.unlink(path)
        elif age_ > self._maximum.age:
            files.unlink(path)

    def _set_foreign_aside(self) -> None:
        for folder in (self.folders.new, self.folders.held):
            for name in files.names_in(folder):
                if parse_name(name) is None:
                    self.folders.set_aside(folder, name, "not an envelope of this agent")
