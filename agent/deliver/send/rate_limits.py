"""Until when what must wait. Kept in a file, so that processes that take turns obey one another's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...base.interrupts import ours
from ..spool import files

if TYPE_CHECKING:
    from typing import Callable

#: Keys of a Pace beside Sentry's categories: its limit for all of them, and our own backoff.
ALL = "*"
BACKOFF = "!"
_NOTE = "# "


class Pace:
    def __init__(self, path: str, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._holds: dict[str, tuple[float, float]] = {}  # category → (until when, granted seconds)
        self._changed = False
        self.note = ""  # why the last try did not deliver, for `spool status`

    def wait(self, category: str) -> float:
        """Seconds until an envelope of this category may go; 0.0 when it may now. "" asks for any category at all."""
        if not self._holds:
            return 0.0
        return max(self._left(key) for key in (ALL, BACKOFF, category))

    def holds(self) -> dict[str, float]:
        """What waits at present, with the seconds that are left of it."""
        return {key: left for key, left in ((key, self._left(key)) for key in self._holds) if left}

    def hold(self, key: str, seconds: float) -> None:
        self._holds[key] = (self._clock() + seconds, seconds)
        self._changed = True

    def explain(self, note: str) -> None:
        note = " ".join(note.split())
        self._changed = self._changed or note != self.note
        self.note = note

    def forget_backoff(self) -> None:
        self._changed = self._holds.pop(BACKOFF, None) is not None or self._changed

    def load(self) -> None:
        """Take over what the last one to deliver had been told. A file that makes no sense says nothing."""
        self._changed = False
        self._holds = {}
        self.note = ""
        try:
            lines = (files.read_own(self._path) or b"").decode("utf-8").splitlines()
            rows = [line.split() for line in lines if not line.startswith(_NOTE)]
            self._holds = {key: (float(until), float(granted)) for key, until, granted in rows}
            self.note = "".join(line[len(_NOTE) :] for line in lines if line.startswith(_NOTE))
        except ours(OSError, ValueError, files.UnreadableError):
            pass

    def save(self) -> None:
        if not self._changed:
            return
        self._changed = False
        self._holds = {key: hold for key, hold in self._holds.items() if self._left(key)}
        rows = [f"{key} {until!r} {granted!r}\n" for key, (until, granted) in self._holds.items()]
        if self.note:
            rows.append(f"{_NOTE}{self.note}\n")
        try:
            files.replace(self._path, "".join(rows).encode("utf-8", "replace"))
        except ours(OSError, ValueError):
            pass  # other processes will be told by Sentry themselves

    def _left(self, key: str) -> float:
        until, granted = self._holds.get(key, (0.0, 0.0))
        left = until - self._clock()
        # More than was granted: the clock was set back. Sentry will say so if we are early.
        return left if 0.0 < left <= granted else 0.0
