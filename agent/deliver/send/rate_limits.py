"""Rate limits and back-off deadlines, in a file of the spool that every delivering process reads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ...base.interrupts import ours
from ..spool import files

if TYPE_CHECKING:
    from typing import Callable

_FILE = "rate-limits"

#: Keys beside Sentry's categories: Sentry's limit for all of them, and our own back-off.
ALL = "*"
BACKOFF = "!"
_REASON = "# "
_SINCE = "#since "


class RateLimits:
    def __init__(self, directory: str, clock: Callable[[], float]) -> None:
        """`directory` is the spool's."""
        self._path = os.path.join(directory, _FILE)
        self._clock = clock
        self._deadlines: dict[str, tuple[float, float]] = {}  # category → (until when, granted seconds)
        self._changed = False
        self.reason = ""  # why the last attempt did not deliver, for `spool status`
        self.since: float | None = None  # when the first of these attempts was, in seconds since the epoch

    def wait(self, category: str = "") -> float:
        """Return the seconds until an envelope of this category, or any envelope, may be sent; 0.0 if it may now."""
        if not self._deadlines:
            return 0.0
        return max(self._left(key) for key in (ALL, BACKOFF, category))

    def active(self) -> dict[str, float]:
        """Return the keys that are limited at present, with the seconds left."""
        return {key: left for key, left in ((key, self._left(key)) for key in self._deadlines) if left}

    def limit(self, key: str, seconds: float) -> None:
        self._deadlines[key] = (self._clock() + seconds, seconds)
        self._changed = True

    def set_reason(self, reason: str) -> None:
        reason = " ".join(reason.split())
        self._changed = self._changed or reason != self.reason
        self.since = (self.since or self._clock()) if reason else None
        self.reason = reason

    def forget_backoff(self) -> None:
        self._changed = self._deadlines.pop(BACKOFF, None) is not None or self._changed

    def load(self) -> None:
        """Read what the last process to deliver has written. A damaged file counts as an empty one."""
        self._changed = False
        self._deadlines = {}
        self.reason = ""
        self.since = None
        try:
            lines = (files.read_own(self._path) or b"").decode("utf-8").splitlines()
            rows = [line.split() for line in lines if not line.startswith("#")]
            self._deadlines = {key: (float(until), float(granted)) for key, until, granted in rows}
            self.reason = "".join(line[len(_REASON) :] for line in lines if line.startswith(_REASON))
            self.since = max((float(line[len(_SINCE) :]) for line in lines if line.startswith(_SINCE)), default=None)
        except ours(OSError, ValueError, files.UnreadableError):
            pass

    def save(self) -> None:
        if not self._changed:
            return
        self._changed = False
        self._deadlines = {key: deadline for key, deadline in self._deadlines.items() if self._left(key)}
        rows = [f"{key} {until!r} {granted!r}\n" for key, (until, granted) in self._deadlines.items()]
        if self.reason:
            rows += [f"{_REASON}{self.reason}\n", f"{_SINCE}{self.since!r}\n"]
        try:
            files.replace(self._path, "".join(rows).encode("utf-8", "replace"))
        except ours(OSError, ValueError):
            pass  # Sentry will limit the other processes itself

    def _left(self, key: str) -> float:
        until, granted = self._deadlines.get(key, (0.0, 0.0))
        left = until - self._clock()
        # More than was granted: the clock was set back. If that is too early, Sentry limits us again.
        return left if 0.0 < left <= granted else 0.0
