"""Keeps what was delivered, within bounds. For whoever holds the DeliveryLock of the spool, never for a host's thread.

An event that was accepted is renamed into the history instead of being removed: a crash before that sends it twice, as
a crash before a removal does. Bounds: age since capture, bytes on disk, number of files.
"""

from __future__ import annotations

import os
from itertools import groupby
from typing import TYPE_CHECKING, Callable

from ...base import clocks
from ...base.interrupts import ours
from ..spool import files
from . import shelves
from .facts import facts_of, payload_in
from .shelves import Accepted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..spool.age import Ages
    from ..spool.names import SpoolEntry
    from .shelves import Shelved

MOST_FILES = 20_000
_EVERY = 600.0  # seconds between two looks at all of it
_OFTEN = 10.0  # seconds between two looks while events come in large numbers
_MANY = 500  # events since the last look that are worth another
_WORTH_A_PACK = 32  # events of one hour
_IN_A_PACK = 128  # a reader unpacks as many to show one
_SETTLED = 5.0  # seconds that an event lies in the history before it is packed: readers that follow have seen it
_BLOCK = 4096  # bytes that a file takes on disk are a multiple of this
_HOUR = 3600 * 10**9  # in nanoseconds
_LOST_ROOM = 0.9  # of a bound, to which the history is reduced when it exceeds it


class History:
    def __init__(
        self,
        directory: str,
        max_age: float,
        max_size: int,
        ages: Callable[[], Ages],
        clock: Callable[[], float] = clocks.time,
        most_files: int = MOST_FILES,
    ) -> None:
        """`directory` is the spool's, `max_age` in seconds, `max_size` in bytes; 0 for either keeps nothing."""
        self._directory = directory
        self._max_age = max_age
        self._max_size = max_size
        self._most_files = most_files
        self._ages = ages
        self._clock = clock
        self._room = 0  # bytes that may be added before the next look
        self._kept = 0  # events since the last look
        self._looked: float | None = None

    @property
    def is_on(self) -> bool:
        return self._max_age > 0 and self._max_size > 0

    def keep(self, path: str, entry: SpoolEntry, data: bytes, delivered: Accepted) -> bool:
        """Move the file of a delivered event here. Return whether it was moved; if not, it is where it was."""
        if not self.is_on or entry.category != "error" or entry.data is not None:
            return False
        payload = payload_in(data)
        if not shelves.put(
            self._directory, path, entry, delivered, facts_of(payload.event) if payload is not None else None
        ):
            return False
        self._kept += 1
        self._room -= _on_disk(len(data))
        return True

    # ------------------------------------------------------------------------------------------------------- bounds

    def sweep_if_due(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Enforce the bounds and pack, if that may be necessary. Never raises."""
        now = self._clock()
        since = None if self._looked is None else abs(now - self._looked)
        full = self._room < 0 or self._kept >= _MANY
        if since is None or since >= _EVERY or (full and since >= _OFTEN):
            self._looked, self._kept = now, 0
            try:
                self.sweep(should_stop)
            except ours(OSError):
                pass  # the next one tries again

    def sweep(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Remove what is too old, pack what can be packed, then remove the oldest of what is too much."""
        ages = self._ages()
        for day in shelves.days(self._directory):
            if should_stop():
                return
            self._expire(day, ages)
            if self.is_on:
                self._pack(day, should_stop)
        self._reduce()

    def _expire(self, day: str, ages: Ages) -> None:
        for name in sorted(files.names_in(day)):
            stamp = _last_stamp(name)
            if stamp is not None and (not self.is_on or ages.of(stamp / 1e9) > self._max_age):
                files.unlink(os.path.join(day, name))
        _forget_if_empty(day)

    def _reduce(self) -> None:
        """Keep the newest files within the bounds."""
        sizes: list[tuple[int, str, int]] = []
        total = 0
        for day in shelves.days(self._directory):
            for name, size, _ in files.scan(day):
                weight = _on_disk(size)
                total += weight
                stamp = _last_stamp(name)
                if stamp is not None:
                    sizes.append((stamp, os.path.join(day, name), weight))
        number = len(sizes)
        if total > self._max_size or number > self._most_files:
            for _, path, weight in sorted(sizes):
                if total <= self._max_size * _LOST_ROOM and number <= self._most_files * _LOST_ROOM:
                    break
                files.unlink(path)
                total -= weight
                number -= 1
                _forget_if_empty(os.path.dirname(path))
        self._room = self._max_size - total

    def _pack(self, day: str, should_stop: Callable[[], bool]) -> None:
        """Compress the events of each hour together, and write the index again without them."""
        loose = [each for each in shelves.listing(day) if not each.pack]
        latest = self._clock() - _SETTLED
        packed: set[str] = set()
        for hour, same in groupby(loose, key=lambda each: each.entry.stamp // _HOUR):
            ready = [each for each in same if each.accepted is None or each.accepted.at <= latest]
            for at in range(0, len(ready), _IN_A_PACK):
                if should_stop():
                    break
                packed.update(self._pack_some(day, hour, ready[at : at + _IN_A_PACK]))
        if packed:
            _write_index(day, [each for each in loose if each.entry.name not in packed])

    def _pack_some(self, day: str, hour: int, some: list[Shelved]) -> Iterator[str]:
        contents = []
        for each in (shelves.with_facts(day, one) for one in some):
            data = shelves.read(day, each)
            if data is not None and each.accepted is not None and each.facts is not None:
                contents.append((each, shelves.line(each.entry.name, each.accepted, each.facts), data))
        if len(contents) < _WORTH_A_PACK:
            return
        name = f"{hour}-{contents[0][0].entry.stamp:020d}-{contents[-1][0].entry.stamp:020d}{shelves.PACK}"
        files.replace(os.path.join(day, name), shelves.pack([(line, data) for _, line, data in contents]))
        for each, _, _ in contents:
            files.unlink(os.path.join(day, each.file))
            yield each.entry.name


def remove(directory: str, names: set[str]) -> int:
    """Remove these events from a spool's history, from its packs and indexes too. Return how many were there.

    For the holder of the DeliveryLock. Raises OSError.
    """
    removed = 0
    for day in shelves.days(directory):
        listed = shelves.listing(day)
        gone = [each for each in listed if each.entry.name in names]
        removed += len(gone)
        for file in sorted({each.pack for each in gone if each.pack}):
            path = os.path.join(day, file)
            bodies = shelves.unpack(path)
            left = [
                (shelves.line(each.entry.name, each.accepted, each.facts), bodies[each.entry.name])
                for each in listed
                if each.pack == file and each.entry.name not in names and each.accepted and each.facts
            ]
            if left:
                files.replace(path, shelves.pack(left))
            else:
                files.unlink(path)
        for each in gone:
            if not each.pack:
                files.unlink(os.path.join(day, each.file))
        if gone:
            _write_index(day, [each for each in listed if not each.pack and each.entry.name not in names])
        _forget_if_empty(day)
    return removed


def clear(directory: str) -> int:
    """Remove all of a spool's history. Return the number of events that it had."""
    removed = 0
    for day in shelves.days(directory):
        removed += len(shelves.listing(day))
        for name in list(files.names_in(day)):
            files.unlink(os.path.join(day, name))
        _forget_if_empty(day)
    return removed


def _write_index(day: str, loose: list[Shelved]) -> None:
    lines = [
        shelves.line(each.entry.name, each.accepted, each.facts)
        for each in loose
        if each.accepted is not None and each.facts is not None
    ]
    path = os.path.join(day, shelves.INDEX)
    if lines:
        files.replace(path, b"".join(lines))
    else:
        files.unlink(path)


def _last_stamp(name: str) -> int | None:
    """When the newest event in this file was captured, in nanoseconds; None for an index, which has no age."""
    if name.endswith(shelves.PACK):
        last = name[: -len(shelves.PACK)].rpartition("-")[2]
        return int(last) if last.isdigit() else 0
    entry = shelves.entry_of(name)
    return entry.stamp if entry is not None else None


def _forget_if_empty(day: str) -> None:
    """Remove the folder of a day without events."""
    if all(_last_stamp(name) is None for name in files.names_in(day)):
        for name in list(files.names_in(day)):
            files.unlink(os.path.join(day, name))
        try:
            os.rmdir(day)
        except ours(OSError):
            pass


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
