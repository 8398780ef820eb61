"""The names of the spool's files. They carry all that the folder needs to know of an envelope.

    <time in ns>-<category>[.slow][.trying]-<pid>-<process token and number>-<event id>.envelope

So nothing is read to sort a folder, to decide what goes first when it is full, or to tell who wrote what; and names in
alphabetical order are in order of capture.
"""

import os
from typing import NamedTuple, Optional

from ...base.health import pid_in

SUFFIX = ".envelope"
PREALLOCATED = ".spare"  # suffix of preallocated files in tmp/: PID-TOKEN-NUMBER.spare
_ID_LENGTH = 32
_STAMP_DIGITS = 20
_LONGEST_CATEGORY = 40

#: Categories that a full spool gives up first. Everything else is kept longest; reports of slow calls are in between.
_LIGHT = frozenset(
    ("transaction", "session", "span", "profile", "profile_chunk", "log_item", "log_byte", "metric_bucket",
     "trace_metric", "replay", "internal", "attachment")
)  # fmt: skip

_PLAIN = _LIGHT | {"error", "monitor", "security", "feedback"}  # need no cleaning to be part of a name


class SpoolEntry(NamedTuple):
    """What the name of an envelope tells. `data` is set for one that waits in this process's memory."""

    name: str
    stamp: int  # ns since the epoch, when it was captured
    category: str  # Sentry's
    slow: bool  # the report of a slow call
    pid: int
    event_id: str
    trying: bool = False  # of an attempt that may be followed by another: its process decides, while it lives
    held: bool = False  # lies apart: not to be sent before somebody says so
    data: Optional[bytes] = None

    @property
    def rank(self) -> int:
        """Order in which a full spool gives entries up: lowest first."""
        return rank(self.category, slow=self.slow)


def rank(category: str, *, slow: bool) -> int:
    return 0 if category in _LIGHT else 1 if slow else 2


def giving_up(entry: SpoolEntry) -> tuple[int, int, str]:
    """Sort key: what goes first when there is not room for all."""
    return (entry.rank, entry.stamp, entry.name)


def make_name(stamp: int, category: str, event_id: str, token: str, *, slow: bool, trying: bool) -> str:
    """`token` is unique to the writing process and this envelope."""
    category = category if category in _PLAIN else _plain(category)
    if len(event_id) != _ID_LENGTH or not event_id.isascii() or not event_id.isalnum():
        event_id = os.urandom(16).hex()  # sessions and the like have none, and a file name must not hold a path
    marks = ".slow" * slow + ".trying" * trying
    return f"{stamp:020d}-{category}{marks}-{os.getpid()}-{token}-{event_id}{SUFFIX}"


def parse_name(name: str) -> "SpoolEntry | None":
    """None for a name that this spool did not give."""
    if not name.endswith(SUFFIX) or not name.isascii():
        return None
    parts = name[: -len(SUFFIX)].split("-")
    if len(parts) != 5 or not "".join(parts).replace(".", "").replace("_", "").isalnum():
        return None
    stamp, token, pid, _, event_id = parts
    owner = pid_in(pid)
    if len(stamp) != _STAMP_DIGITS or not stamp.isdigit() or not owner or len(event_id) != _ID_LENGTH:
        return None
    category, *marks = token.split(".")
    return SpoolEntry(name, int(stamp), category, "slow" in marks, owner, event_id, "trying" in marks)


def owner_of(preallocated: str) -> "int | None":
    """Return the process that made the file; None for the name of another file."""
    return (pid_in(preallocated.partition("-")[0]) or None) if preallocated.endswith(PREALLOCATED) else None


def _plain(category: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in category)
    return kept[:_LONGEST_CATEGORY] or "default"
