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
    """Return whether it was written."""
    folder = folder_of(state, observation.monitor["name"])
    file = os.path.join(folder, "%d.jsonl" % os.getpid())
    try:
        own_folders.check_own(folder)
    except ours(OSError):
        return False  # nobody watches any more
    _, data = make(observation)
    descriptor = os.open(file, own_folders.OLD_FILE | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        if os.fstat(descriptor).st_size + len(data) > MOST:
            return False
        os.write(descriptor, data + b"\n")
    finally:
        os.close(descriptor)
    return True
