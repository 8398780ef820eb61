"""The names of envelopes in the spool, which contain all that the spool needs to know about them.

    <time in ns>-<category>[.slow][.trying]-<pid>-<process token and number>-<event id>.envelope

So no file is read to sort a folder, to choose what is dropped when it is full, or to find out which process wrote it.
Names in alphabetical order are in order of capture.
"""

import os
from typing import Optional

from ...base.health import pid_in
from ...base.records import Record

SUFFIX = ".envelope"
_ID_LENGTH = 32
_STAMP_DIGITS = 20
_LONGEST_CATEGORY = 40

#: Categories that a full spool drops first; then reports of slow calls, and last everything else.
_LIGHT = frozenset(
    ("transaction", "session", "span", "profile", "profile_chunk", "log_item", "log_byte", "metric_bucket",
     "trace_metric", "replay", "internal", "attachment")
)  # fmt: skip

_PLAIN = _LIGHT | {"error", "monitor", "security", "feedback"}  # are part of a name as they are


class SpoolEntry(Record):
    """One envelope of a spool, as its name describes it. `data` is set for one in this process's memory."""

    name: str
    stamp: int  # ns since the epoch, when it was captured
    category: str  # Sentry's
    slow: bool  # the report of a slow call
    pid: int
    event_id: str
    trying: bool = False  # of an attempt that may be followed by another: its process decides, while it is alive
    held: bool = False  # held back until it is released
    data: Optional[bytes] = None

    @property
    def rank(self) -> int:
        """The lowest rank is dropped first when the spool is full."""
        return rank(self.category, slow=self.slow)


def rank(category: str, *, slow: bool) -> int:
    return 0 if category in _LIGHT else 1 if slow else 2


def drop_order(entry: SpoolEntry) -> tuple[int, int, str]:
    """Return the sort key for dropping: lowest first."""
    return (entry.rank, entry.stamp, entry.name)


def make_name(stamp: int, category: str, event_id: str, token: str, *, slow: bool, trying: bool) -> str:
    """`token` is unique to the writing process and this envelope."""
    category = category if category in _PLAIN else _plain(category)
    if len(event_id) != _ID_LENGTH or not event_id.isascii() or not event_id.isalnum():
        event_id = os.urandom(16).hex()  # sessions have none, and a file name must not contain a path
    marks = ".slow" * slow + ".trying" * trying
    return f"{stamp:020d}-{category}{marks}-{os.getpid()}-{token}-{event_id}{SUFFIX}"


def parse_name(name: str) -> "SpoolEntry | None":
    """Return None for a name that no spool has made."""
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


def _plain(category: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in category)
    return kept[:_LONGEST_CATEGORY] or "default"
