"""Envelopes of one process that cannot be written to disk at present, within bounds.

Used by threads of the host, signal handlers and the sender without a lock: each step is one operation on a dictionary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .names import drop_order

if TYPE_CHECKING:
    from .names import SpoolEntry


class Memory:
    def __init__(self, max_number: int, max_size: int) -> None:
        """`max_size` in bytes."""
        self._max_number = max_number
        self._max_size = max_size
        self._entries: dict[str, SpoolEntry] = {}  # in order of capture

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> list[SpoolEntry]:
        return list(self._entries.values())

    def take(self, name: str) -> SpoolEntry | None:
        return self._entries.pop(name, None)

    def keep(self, entry: SpoolEntry) -> list[SpoolEntry]:
        """Return what was dropped for it, which may be the entry itself."""
        self._entries[entry.name] = entry
        waiting = self.entries()
        number, size = len(waiting), sum(len(each.data or b"") for each in waiting)
        dropped: list[SpoolEntry] = []
        if number <= self._max_number and size <= self._max_size:
            return dropped
        for each in sorted(waiting, key=drop_order):
            if number <= self._max_number and size <= self._max_size:
                break
            if self.take(each.name) is not None:
                dropped.append(each)
            number -= 1
            size -= len(each.data or b"")
        return dropped
