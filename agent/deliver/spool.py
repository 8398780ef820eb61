"""The folder of envelopes that wait to be delivered.

    <directory>/new/         <time in ns>-<category>-<pid>-<process token and number>-<event id>.envelope
    <directory>/tmp/         envelopes being written; a rename into new/ makes them whole
    <directory>/quarantine/  what cannot be delivered, each with its reason in a .txt beside it

`write` runs on the host's own threads, also inside a signal handler or a `__del__` that interrupted another `write`: it
waits for no lock, for it could find it held by itself. The names carry all that the folder needs to know: nothing is
read to sort it, to decide what goes first when it is full, or to tell who wrote what.

Counted: spool-full, too-old, memory-full, too-large, lost-at-exit (lost); kept-in-memory, quarantined (kept).
"""

from __future__ import annotations

import errno
import os
import stat
import time
from _thread import allocate_lock
from itertools import count as numbers
from typing import TYPE_CHECKING, Callable, NamedTuple

from .. import guard
from ..errors import AgentError
from ..model import Envelope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Count = Callable[[str, str, int], None]

SUFFIX = ".envelope"
_ID_LENGTH = 32
_STAMP_DIGITS = 20
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_OLD_FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)

#: Categories that a full spool gives up first. Everything else is kept longest; reports of slow calls are in between.
_LIGHT = frozenset(
    ("transaction", "session", "span", "profile", "profile_chunk", "log_item", "log_byte", "metric_bucket",
     "trace_metric", "replay", "internal", "attachment")
)  # fmt: skip

_PLAIN = _LIGHT | {"error", "monitor", "security", "feedback"}  # need no cleaning to be part of a name
_LONGEST_CATEGORY = 40

_LEFTOVER_AGE = 3600.0  # of a file in tmp/: its writer is gone
_SWEEP_EVERY = 60.0  # at most one writer of the fleet looks at the whole folder in this time
_LOOK_EVERY = 64  # writes after which a process asks whether a sweep is due
_LOW_WATER = 0.9  # share of its bound that a full folder is emptied to, so that the next write does not sweep again
_QUARANTINE_SHARE = 4  # quarantine may take max_size / 4


class UnreadableError(AgentError):
    """A file of the spool is torn or not one of ours; the text is the reason for its quarantine."""


class Entry(NamedTuple):
    """What the name of an envelope tells. `data` is set for one that waits in this process's memory."""

    name: str
    stamp: int  # ns since the epoch, when it was captured
    category: str  # Sentry's
    slow: bool  # the report of a slow call
    pid: int
    event_id: str
    data: bytes | None = None

    @property
    def rank(self) -> int:
        """Order in which a full spool gives entries up: lowest first."""
        return 0 if self.category in _LIGHT else 1 if self.slow else 2


class _Process:
    """What belongs to one process and must not survive a fork."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.token = os.urandom(3).hex()  # two containers may share a folder and have the same pid
        self.numbers = numbers()
        self.memory: dict[str, Entry] = {}  # in order of capture
        self.sweeping = allocate_lock()  # both locks are only ever tried, never waited for
        self.settling = allocate_lock()
        self.last_stamp = 0
        self.writes = 0
        self.unswept_files = 0
        self.unswept_bytes = 0


class Spool:
    def __init__(
        self,
        directory: str,
        *,
        max_size: int,
        max_age: float,
        durable: bool,
        count: Count,
        clock: Callable[[], float] = time.time,
        max_files: int = 50_000,
        max_memory: int = 4 << 20,
        max_kept: int = 1000,
    ) -> None:
        """`max_size` and `max_memory` in bytes, `max_age` in seconds; `max_kept` envelopes at most stay in memory."""
        self.directory = os.path.abspath(directory)
        self._new = os.path.join(self.directory, "new")
        self._tmp = os.path.join(self.directory, "tmp")
        self._quarantine = os.path.join(self.directory, "quarantine")
        self._swept = os.path.join(self.directory, "swept")
        self._max_size = max_size
        self._max_age = max_age
        self._max_files = max_files
        self._max_memory = max_memory
        self._max_kept = max_kept
        self._durable = durable
        self._count = count
        self._clock = clock
        self._ready = False
        self._degraded: str | None = None
        self._here = _Process(os.getpid())

    # ------------------------------------------------------------------------------------------ on the host's threads

    def write(self, envelope: Envelope, *, slow: bool = False) -> bool:
        """Whether the envelope is on disk now. If not, it is in memory or was counted as lost. Never raises."""
        try:
            return self._write(envelope, slow)
        except Exception:
            guard.swallow("writing an event to the spool")
            return False

    @property
    def degraded(self) -> str | None:
        """Why envelopes are not getting to disk at present; None when they are."""
        return self._degraded

    def after_fork(self) -> None:
        """For the owner's fork hook: the child forgets what its parent keeps in memory. Otherwise done at first use."""
        self._process()

    def _write(self, envelope: Envelope, slow: bool) -> bool:
        process = self._process()
        size = len(envelope.data)
        if size > self._max_size:
            self._count("too-large", envelope.category, 1)
            return False
        name = self._name(process, envelope, slow)
        try:
            self._store(name, envelope.data)
        except OSError as error:
            self._degraded = _reason(error)
            self._remember(process, name, envelope.data)
            return False
        if self._degraded is not None:
            self._degraded = None
        if process.memory:
            self.settle(limit=4)
        process.writes += 1
        process.unswept_files += 1
        process.unswept_bytes += size
        self._sweep_if_due(process)
        return True

    def _process(self) -> _Process:
        process = self._here
        if process.pid != os.getpid():
            # After a fork the parent still holds, and will deliver, what it keeps in memory.
            self._here = process = _Process(os.getpid())
        return process

    def _name(self, process: _Process, envelope: Envelope, slow: bool) -> str:
        # A clock that was set back must not put a later event before an earlier one of the same process.
        stamp = max(int(self._clock() * 1e9), process.last_stamp + 1)
        process.last_stamp = stamp
        category = envelope.category if envelope.category in _PLAIN else _plain(envelope.category)
        event_id = envelope.event_id
        if len(event_id) != _ID_LENGTH or not event_id.isascii() or not event_id.isalnum():
            event_id = os.urandom(16).hex()  # sessions and the like have none, and a file name must not hold a path
        qualifier = ".slow" if slow else ""
        number = next(process.numbers)
        return f"{stamp:020d}-{category}{qualifier}-{process.pid}-{process.token}{number:06d}-{event_id}{SUFFIX}"

    def _store(self, name: str, data: bytes) -> None:
        if not self._ready:
            self._prepare()
        try:
            self._put(name, data)
        except FileNotFoundError:
            self._prepare()  # somebody cleared the state folder
            self._put(name, data)

    def _put(self, name: str, data: bytes) -> None:
        beside = os.path.join(self._tmp, name)
        _write_new(beside, data, durable=self._durable)
        try:
            os.rename(beside, os.path.join(self._new, name))
        except OSError:
            _unlink(beside)
            raise
        if self._durable:
            _sync_folder(self._new)

    def _prepare(self) -> None:
        self._ready = False
        _make_private(self.directory)
        for folder in (self._new, self._tmp, self._quarantine):
            _make_private(folder)
        self._ready = True

    def _remember(self, process: _Process, name: str, data: bytes) -> None:
        entry = parse_name(name)
        if entry is None:
            raise AssertionError(name)
        process.memory[name] = entry._replace(data=data)
        self._count("kept-in-memory", entry.category, 1)
        waiting = list(process.memory.values())
        size = sum(len(each.data or b"") for each in waiting)
        number = len(waiting)
        if number <= self._max_kept and size <= self._max_memory:
            return
        for each in sorted(waiting, key=_giving_up):
            if number <= self._max_kept and size <= self._max_memory:
                return
            if process.memory.pop(each.name, None) is not None:
                self._count("memory-full", each.category, 1)
            number -= 1
            size -= len(each.data or b"")

    def _sweep_if_due(self, process: _Process) -> None:
        if process.unswept_bytes * 8 > self._max_size or process.unswept_files * 8 > self._max_files:
            self.sweep()
        elif process.writes % _LOOK_EVERY == 1:
            self.sweep_if_due()

    # ------------------------------------------------------------------------------------- for senders and commands

    def entries(self) -> list[Entry]:
        """What waits, oldest first, in memory and on disk, whoever wrote it. A folder that is not there is empty."""
        names = _listing(self._new) if self.usable() else ()
        found = [entry for entry in map(parse_name, names) if entry is not None]
        found += list(self._process().memory.values())
        found.sort()
        return found

    def usable(self) -> bool:
        """Whether the folder is there and our own; if it is somebody else's, `degraded` says so."""
        if self._ready:
            return True
        try:
            _check_own(self.directory)
            _check_own(self._new)
        except FileNotFoundError:
            return False
        except OSError as error:
            self._degraded = _reason(error)
            return False
        return True

    def read(self, entry: Entry) -> Envelope | None:
        """None when somebody else has taken it. Raises UnreadableError for what is torn or not ours, and OSError."""
        if entry.data is not None:
            return Envelope(entry.event_id, entry.category, entry.data)
        from . import wire

        data = _read_own(os.path.join(self._new, entry.name))
        if data is None:
            return None
        try:
            parsed = wire.decode(data)
        except wire.EnvelopeError as error:
            raise UnreadableError(str(error)) from None
        if not parsed.items:
            raise UnreadableError("the envelope has no items")
        return Envelope(entry.event_id, entry.category, data)

    def remove(self, entry: Entry) -> bool:
        """Whether it was there to remove."""
        kept = self._process().memory.pop(entry.name, None) is not None
        return _unlink(os.path.join(self._new, entry.name)) or kept

    def quarantine(self, entry: Entry, reason: str) -> None:
        """Set it aside for good, with the reason beside it. Raises OSError where it has to stay where it is."""
        if entry.data is not None:
            _write_new(os.path.join(self._quarantine, entry.name), entry.data, durable=self._durable)
            self.remove(entry)
            self._explain(entry.name, reason)
        elif not self._set_aside(entry.name, reason):
            return
        self._count("quarantined", entry.category, 1)

    def quarantined(self) -> list[tuple[Entry, str]]:
        """What was set aside, oldest first, with its reason."""
        found = []
        for entry in sorted(filter(None, map(parse_name, _listing(self._quarantine)))):
            try:
                reason = _read_own(os.path.join(self._quarantine, entry.name + ".txt"))
            except (OSError, UnreadableError):
                reason = None
            found.append((entry, (reason or b"").decode("utf-8", "replace").strip()))
        return found

    def release(self, entry: Entry) -> bool:
        """Put a quarantined envelope back among those that wait. Whether it was there."""
        try:
            os.rename(os.path.join(self._quarantine, entry.name), os.path.join(self._new, entry.name))
        except FileNotFoundError:
            return False
        _unlink(os.path.join(self._quarantine, entry.name + ".txt"))
        return True

    def settle(self, limit: int | None = None) -> int:
        """Move what waits in memory to the disk as far as that works now; the number that still waits in memory."""
        process = self._process()
        if process.memory and process.settling.acquire(False):
            try:
                for entry in list(process.memory.values())[:limit]:
                    self._store(entry.name, entry.data or b"")
                    if process.memory.pop(entry.name, None) is None:
                        self.remove(entry)  # delivered or dropped meanwhile
                self._degraded = None
            except OSError as error:
                self._degraded = _reason(error)
            finally:
                process.settling.release()
        return len(process.memory)

    def abandon(self) -> None:
        """The process ends: what memory holds goes to disk, or is counted as lost."""
        process = self._process()
        if process.memory and self.settle():
            for name in list(process.memory):
                entry = process.memory.pop(name, None)
                if entry is not None:
                    self._count("lost-at-exit", entry.category, 1)

    def sweep_if_due(self) -> None:
        try:
            age = abs(self._clock() - os.stat(self._swept).st_mtime)
        except OSError:
            age = _SWEEP_EVERY
        if age >= _SWEEP_EVERY:
            self.sweep()

    def sweep(self) -> None:
        """Hold the bounds: leftovers, foreign files, what is too old, and then what is too much, in its order."""
        process = self._process()
        if not process.sweeping.acquire(False):
            return
        try:
            process.unswept_bytes = process.unswept_files = 0
            now = self._clock()
            self._mark_swept(now)
            self._clean_tmp(now)
            self._bound(self._new, now, self._max_size, self._max_files)
            self._bound(self._quarantine, now, self._max_size // _QUARANTINE_SHARE, self._max_files)
        finally:
            process.sweeping.release()

    def _mark_swept(self, now: float) -> None:
        try:
            os.utime(self._swept, (now, now))
        except FileNotFoundError:
            try:
                _write_new(self._swept, b"")
                os.utime(self._swept, (now, now))
            except OSError:
                pass  # another sweeper was first, or the disk is full: then every sweep is due
        except OSError:
            pass

    def _clean_tmp(self, now: float) -> None:
        for leftover in _scan(self._tmp):
            if now - leftover.mtime > _LEFTOVER_AGE:
                _unlink(os.path.join(self._tmp, leftover.name))

    def _bound(self, folder: str, now: float, max_size: int, max_files: int) -> None:
        oldest = int((now - self._max_age) * 1e9)
        kept: list[tuple[Entry, int]] = []
        for file in _scan(folder):
            entry = parse_name(file.name)
            if entry is None:
                if folder == self._new:
                    self._set_foreign_aside(file.name)
                elif now - file.mtime > self._max_age and not file.name.endswith(SUFFIX + ".txt"):
                    _unlink(os.path.join(folder, file.name))
            elif entry.stamp < oldest:
                self._drop(folder, entry, "too-old")
            else:
                kept.append((entry, file.size))
        size = sum(each for _, each in kept)
        if size <= max_size and len(kept) <= max_files:
            return
        number = len(kept)
        kept.sort(key=lambda pair: _giving_up(pair[0]))
        for entry, weight in kept:
            if size <= max_size * _LOW_WATER and number <= max_files * _LOW_WATER:
                return
            self._drop(folder, entry, "spool-full")
            size -= weight
            number -= 1

    def _drop(self, folder: str, entry: Entry, reason: str) -> None:
        if folder == self._quarantine:
            _unlink(os.path.join(folder, entry.name + ".txt"))
        if _unlink(os.path.join(folder, entry.name)):  # of two sweepers only one counts it
            self._count(reason, entry.category, 1)

    def _set_aside(self, name: str, reason: str) -> bool:
        aside = name
        while os.path.lexists(os.path.join(self._quarantine, aside)):
            aside += "+"
        try:
            os.rename(os.path.join(self._new, name), os.path.join(self._quarantine, aside))
        except FileNotFoundError:
            return False
        self._explain(aside, reason)
        return True

    def _set_foreign_aside(self, name: str) -> None:
        try:
            self._set_aside(name, "not an envelope of this agent")
        except OSError as error:
            self._degraded = _reason(error)

    def _explain(self, name: str, reason: str) -> None:
        path = os.path.join(self._quarantine, name + ".txt")
        try:
            _unlink(path)
            _write_new(path, reason.encode("utf-8", "replace") + b"\n")
        except OSError:
            pass  # the envelope itself is safe; only its explanation is not


def parse_name(name: str) -> Entry | None:
    """None for a name that this spool did not give."""
    if not name.endswith(SUFFIX) or not name.isascii():
        return None
    parts = name[: -len(SUFFIX)].split("-")
    if len(parts) != 5:
        return None
    stamp, token, pid, _, event_id = parts
    if len(stamp) != _STAMP_DIGITS or not stamp.isdigit() or not pid.isdigit() or len(event_id) != _ID_LENGTH:
        return None
    category, _, qualifier = token.partition(".")
    return Entry(name, int(stamp), category, qualifier == "slow", int(pid), event_id)


def _giving_up(entry: Entry) -> tuple[int, int, str]:
    return (entry.rank, entry.stamp, entry.name)


def _plain(category: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in category)
    return kept[:_LONGEST_CATEGORY] or "default"


class _File(NamedTuple):
    name: str
    size: int
    mtime: float


def _scan(folder: str) -> Iterator[_File]:
    try:
        with os.scandir(folder) as found:
            listed = list(found)
    except OSError:
        return
    for each in listed:
        try:
            facts = each.stat(follow_symlinks=False)
        except OSError:
            continue  # delivered meanwhile
        yield _File(each.name, facts.st_size, facts.st_mtime)


def _listing(folder: str) -> Iterable[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return ()


def _make_private(path: str) -> None:
    """A folder of our own with mode 0700, and the missing ones above it. Raises OSError for anyone else's."""
    _make(path)
    if stat.S_IMODE(_check_own(path).st_mode) & 0o077:
        os.chmod(path, 0o700)


def _make(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        above = os.path.dirname(path)
        if above == path:
            raise
        _make(above)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass  # another process makes the same folders at this moment


def _check_own(path: str) -> os.stat_result:
    facts = os.lstat(path)
    if stat.S_ISLNK(facts.st_mode):
        raise OSError(errno.ELOOP, "is a symbolic link, which the spool does not follow", path)
    if not stat.S_ISDIR(facts.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "is not a folder", path)
    if hasattr(os, "geteuid") and facts.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, f"belongs to uid {facts.st_uid}, not to uid {os.geteuid()}", path)
    return facts


def _make_private_above(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        above = os.path.dirname(path)
        if above == path:
            raise
        _make_private_above(above)
        os.mkdir(path, 0o700)


def _write_new(path: str, data: bytes, *, durable: bool = False) -> None:
    """All of it or, after an OSError, nothing."""
    descriptor = os.open(path, _NEW_FILE, 0o600)
    try:
        try:
            rest = data
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)  # a full network disk may say so only here
    except OSError:
        _unlink(path)
        raise


def _read_own(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, _OLD_FILE)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a symbolic link; a socket
            raise UnreadableError("not a regular file") from None
        raise
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise UnreadableError("not a regular file")
        if hasattr(os, "geteuid") and facts.st_uid != os.geteuid():
            raise UnreadableError(f"belongs to uid {facts.st_uid}, not to uid {os.geteuid()}")
        parts = []
        while part := os.read(descriptor, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _sync_folder(path: str) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


def _reason(error: OSError) -> str:
    where = f" ({error.filename})" if isinstance(error.filename, str) else ""
    return (error.strerror or type(error).__name__) + where
