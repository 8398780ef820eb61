"""Whether counts have waited to be folded for a minute: for those who see to it that it is done."""

from __future__ import annotations

import os

from ..base.interrupts import ours
from . import layout

FOLDER = "history"  # in the state folder
MINUTE = 60.0


def path_in(state: str) -> str:
    """The file that is written, or at least touched, by each fold: see `ledger`."""
    return os.path.join(state, FOLDER, "totals")


def is_due(state: str, now: float) -> bool:
    """`now` in seconds since the epoch. A time that is yet to come was written by a clock that was wrong."""
    try:
        if 0.0 <= now - os.stat(path_in(state)).st_mtime < MINUTE:
            return False
    except ours(OSError):
        pass
    try:
        names = os.listdir(os.path.join(state, layout.FOLDER))
    except ours(OSError):
        return False
    for name in names:
        started = name[: -len(layout.COUNTS)].rpartition("-")[2]
        if name.endswith(layout.COUNTS) and started.isdigit() and not 0.0 <= now - int(started) / 1000 < MINUTE:
            return True
    return False
