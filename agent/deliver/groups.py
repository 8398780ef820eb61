"""Equal events of all processes, for monitors with `repeat_interval`: one, and another after a time that doubles.

A group is what Sentry makes an issue of: events with one fingerprint, level, environment and release. What is known of
it is a line of text in a file of the state folder, under a lock of microseconds that nobody waits for. Who finds it
taken holds its event back, and adds it to the file the next time: the other process decides about an equal one now.
"""

import os
from _imp import source_hash
from typing import TYPE_CHECKING, Optional

from ..base import own_folders, places
from ..base.clocks import time
from ..base.interrupts import ours
from ..base.records import Record
from ..measure import layout, users
from ..observe.around import people
from ..observe.call.limits import FIRST_MILESTONE, HANDFUL

try:
    import fcntl
except ours(ImportError):  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.model import Event, Observation

#: In the state folder.
FOLDER = "groups"

#: Seconds: the longest interval, and how long after the end of one without an event a group begins anew.
LONGEST = CALM = 24 * 3600.0

#: Seconds after which nobody needs a group's file.
STALE = LONGEST + CALM

_SLACK = 60.0  # seconds that an observation may be older than the last event of its group
_SIZE = 200
_MOST = 1_000
_FLAGS = (
    os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)


class Group(Record):
    due: float  # when the next event passes, in seconds since the epoch
    interval: float  # seconds, that end then
    held: int  # since the last event
    all: int  # since it began
    users: tuple[int, ...]  # hashes of those whose failures made events; 0 for nobody


def judged(
    known: Optional[Group], now: float, first: float, more: int, user: Optional[int]
) -> tuple[Group, Optional[int]]:
    """What is known of a group after one more event of it, and how many were held before it; None to hold it.

    `first` is the first interval, `more` how many other limits have held. With `user`, it is about a failure: the first
    one of each user passes, up to five.
    """
    mine = () if user is None else (user,)
    many = more if known is None else known.held + more
    total = more + 1 + (0 if known is None else known.all)
    if known is None or now >= known.due + CALM or now < known.due - known.interval - _SLACK:  # a clock that was set
        return Group(now + first, first, 0, more + 1, mine), many
    if now >= known.due:
        interval = max(first, min(2 * known.interval, LONGEST))
        return Group(now + interval, interval, 0, total, (*known.users, *mine)[:HANDFUL]), many
    if mine and user not in known.users and len(known.users) < HANDFUL:
        return known._replace(held=0, all=total, users=(*known.users, *mine)), many
    if _milestone(total) > _milestone(known.all):
        return known._replace(held=0, all=total), many
    return known._replace(held=many + 1, all=total), None


def _milestone(number: int) -> int:
    """0 below 1,000; then how many digits."""
    return len(str(number)) if number >= FIRST_MILESTONE else 0


class Groups:
    def __init__(self, state: str, clock: "Callable[[], float]" = time) -> None:
        self._state = state
        self._clock = clock
        self._salt: Optional[int] = None
        self._made = False  # is there the folder?
        self._here: dict[str, Group] = {}  # where files cannot be written
        self._waiting: dict[str, int] = {}  # held here, and not yet in the file

    def admit(self, made: "Event", observation: "Observation") -> Optional[int]:
        """How many equal events were held since the last one; None to hold this one. Raises nothing of our own."""
        first = observation.monitor["repeat_interval"][observation.report]
        number = self._number()
        parts = [made.get(name) for name in ("fingerprint", "level", "environment", "release")]
        key = self._hashed(repr((observation.monitor["name"], first, parts)))
        user = None
        if observation.report == "error":
            identity = people.current_id()
            user = 0 if identity is None else users.hashed(identity, number)
        more = observation.suppressed + self._waiting.pop(key, 0)

        def judge(known: Optional[Group]) -> tuple[Group, Optional[int]]:
            return judged(known, self._clock(), first, more, user)

        try:
            return self._in_file(key, judge, more)
        except ours(OSError):
            group, before = judge(self._here.get(key))
            if len(self._here) >= _MOST:
                self._here.clear()
            self._here[key] = group
            return before

    def _number(self) -> int:
        if self._salt is None:
            self._salt = users.salt_in(os.path.join(self._state, layout.FOLDER)) or 0
        return self._salt

    def _hashed(self, text: str) -> str:
        return source_hash(self._number(), text.encode("utf-8", "surrogatepass")).hex()

    def _in_file(
        self, key: str, judge: "Callable[[Optional[Group]], tuple[Group, Optional[int]]]", more: int
    ) -> Optional[int]:
        folder = os.path.join(self._state, FOLDER)
        if not self._made:
            own_folders.make(folder)
            self._made = True
        path = os.path.join(folder, key)
        descriptor = os.open(path, _FLAGS, 0o600)
        try:
            places.check_own(os.fstat(descriptor), places.FILE, path)
            if not _lock(descriptor):
                self._waiting[key] = more + 1
                return None
            try:
                group, before = judge(_read(os.read(descriptor, _SIZE)))
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.write(descriptor, _written(group))
                return before
            finally:
                _unlock(descriptor)
        finally:
            os.close(descriptor)


def tidy(state: str, now: float) -> None:
    """Remove the files of groups that begin anew anyway."""
    folder = os.path.join(state, FOLDER)
    try:
        names = os.listdir(folder)
    except ours(OSError):
        return
    for name in names:
        path = os.path.join(folder, name)
        try:
            if now - os.lstat(path).st_mtime > STALE:
                os.unlink(path)
        except ours(OSError):
            pass


def _read(data: bytes) -> Optional[Group]:
    try:
        due, interval, held, total, *users = data.split()
        return Group(float(due), float(interval), int(held), int(total), tuple([int(each, 16) for each in users]))
    except ours(ValueError):
        return None  # new, or of another version


def _written(group: Group) -> bytes:
    """Always of one length, so that one write replaces what was there."""
    text = "%.3f %.3f %d %d %s" % (*group[:4], " ".join([f"{each:x}" for each in group.users]))
    return text.ljust(_SIZE - 1)[: _SIZE - 1].encode() + b"\n"


def _lock(descriptor: int) -> bool:
    """Without locks, as on some network disks, there is an event too many at times."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ours(BlockingIOError):
        return False
    except ours(OSError):
        pass
    return True


def _unlock(descriptor: int) -> None:
    """To close it is not enough: a child that was forked meanwhile has a copy, which would keep the lock."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    except ours(OSError):
        pass
