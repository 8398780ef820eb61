"""What live monitors see: one line of JSON an event, in a file of each process, for `watch` to show. It is never sent.

The command makes the folder of a monitor, and removes it: without one, nobody watches.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..base import own_folders
from ..base.interrupts import ours

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.model import Event, Observation

MOST = 8 << 20  # bytes of one file: who watches reads far less


def folder_of(state: str, monitor: str) -> str:
    return os.path.join(state, "live", monitor)


def write(state: str, observation: Observation, make: Callable[[Observation], tuple[Event, bytes]]) -> bool:
    """Return whether it was written. Raises OSError."""
    monitor = observation.monitor["name"]
    return is_watched(state, monitor) and _append(state, monitor, make(observation)[1])


def note(state: str, monitor: str, **facts: object) -> None:
    """Show who watches what became of the monitor in this process."""
    import json  # here, as in `wire`: few processes are watched

    try:
        if is_watched(state, monitor):
            _append(state, monitor, json.dumps({"note": facts, "pid": os.getpid()}).encode())
    except ours(OSError):
        pass  # who watches misses a line


def is_watched(state: str, monitor: str) -> bool:
    try:
        own_folders.check_own(folder_of(state, monitor))
    except ours(OSError):
        return False  # nobody watches any more
    return True


def _append(state: str, monitor: str, data: bytes) -> bool:
    file = os.path.join(folder_of(state, monitor), "%d.jsonl" % os.getpid())
    descriptor = os.open(file, own_folders.OLD_FILE | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        if os.fstat(descriptor).st_size + len(data) > MOST:
            return False
        os.write(descriptor, data + b"\n")
    finally:
        os.close(descriptor)
    return True
