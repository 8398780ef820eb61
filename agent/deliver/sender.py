"""Delivers what waits in the spool: a daemon thread that lives while there is something to do.

Waking must cost the capturing thread next to nothing and must work inside a signal handler or a `__del__`, so it waits
for no lock. Two locks serve as flags instead: `gate` is open (free) while somebody has asked for a look at the folder,
`alive` is held while a thread runs. Whoever wakes opens the gate first and then tries to take `alive`; the thread gives
`alive` back first and then looks at the gate. In whatever order those four steps fall, one of the two sees the other.

Counted: sent (kept); what the spool drops or sets aside, the spool counts.
"""

from __future__ import annotations

import os
import sys
import time
from _thread import allocate_lock, start_new_thread
from typing import TYPE_CHECKING, Callable, NamedTuple, Protocol

from .. import guard
from . import transport
from .spool import Entry, Spool, UnreadableError

if TYPE_CHECKING:
    from _thread import LockType

    from .spool import Count
    from .transport import Outcome

_LINGER = 5.0  # seconds that the thread waits for more before it ends
_FIRST_BACKOFF = 0.1  # seconds
_LONGEST_BACKOFF = 120.0  # seconds
_REFUSED_WAIT = 900.0  # seconds after a 401 or 403: the DSN is wrong, and only a person can change that
_LONGEST_NAP = 30.0  # seconds after which even a long wait looks at the clock again
_LOCK_RETRY = (0.1, 5.0)  # seconds between tries while another process delivers: first, and at most
_BREATH = 0.2  # seconds between looks at a folder in which something has to wait
_BRIEF = 0.25  # seconds of backoff that are slept where we are, without a new look at the folder
_FORK_WAIT = 2.0  # seconds that a fork waits for an import of ours to end


class Carrier(Protocol):
    """What a sender needs of a transport."""

    def send(self, data: bytes) -> Outcome: ...
    def close(self) -> None: ...


class Summary(NamedTuple):
    """What a flush came to."""

    delivered: int
    quarantined: int
    waiting: int
    reason: str  # why something still waits; "" when nothing does


class Sender:
    def __init__(
        self,
        spool: Spool,
        dsn: str,
        *,
        count: Count,
        carrier: Carrier | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] | None = None,
        linger: float = _LINGER,
        first_backoff: float = _FIRST_BACKOFF,
    ) -> None:
        """`random` answers numbers in [0, 1); `linger` and `first_backoff` in seconds."""
        self._spool = spool
        self._dsn = dsn
        self._count = count
        self._carrier = carrier
        self._clock = clock
        self._sleep = sleep
        self._random = random or _random
        self._linger = linger
        self._first_backoff = first_backoff
        self._lock_path = os.path.join(spool.directory, "lock")
        self._pace_path = os.path.join(spool.directory, "pace")
        self._states: dict[int, _State] = {}
        self._finished: set[str] = set()  # names that were taken but could not be removed: never sent again from here
        self.trouble = ""  # why the last try did not deliver, for `status`

    # ------------------------------------------------------------------------------------------ on the host's threads

    def wake(self) -> None:
        """There is something new in the spool. Starts the thread where none runs. Never raises, never waits."""
        try:
            state = self._state()
            _open(state.gate)
            if state.alive.acquire(False):
                self._start(state)
        except Exception:
            guard.swallow("starting the delivery of events")

    def close(self, timeout: float) -> None:
        """The process ends: a delivery that is under way or possible at once has `timeout` seconds, then we let go.

        Whatever is on disk then stays there for the next process. A later `wake` starts nothing any more.
        """
        try:
            state = self._state()
            if state.closing:
                return
            state.closing = True
            _open(state.gate)
            state.alive.acquire(True, max(timeout, 0.0))  # the thread's end, or as long as we may wait for it
            self._spool.abandon()
        except Exception:
            guard.swallow("ending the delivery of events")

    def after_fork(self) -> None:
        """For the owner's fork hook in the child. Otherwise done at the first `wake`."""
        self._states.clear()
        self._spool.after_fork()

    def _state(self) -> _State:
        pid = os.getpid()
        state = self._states.get(pid)
        if state is None:
            # setdefault decides between two threads of a fresh child; the parent's threads do not exist in it
            state = self._states.setdefault(pid, _State())
            for other in list(self._states):
                if other != pid:
                    self._states.pop(other, None)
        return state

    def _start(self, state: _State) -> None:
        if sys.version_info < (3, 13):
            # Before 3.13 the thread that imports `threading` first is taken for the main thread. Ours would be (urllib3
            # imports it), and the host's main thread would become a _DummyThread: so it is imported here.
            import threading  # noqa: F401
        started = False
        try:
            start_new_thread(self._run, (state,))
            started = True
        except RuntimeError as error:
            # Too many threads, or the interpreter is ending: the next wake, or the next process, does it.
            self.trouble = f"no thread can be started: {error}"
        finally:
            if not started:
                state.alive.release()

    # ---------------------------------------------------------------------------------------------------- the thread

    def _run(self, state: _State) -> None:
        try:
            while True:
                try:
                    self._serve(state)
                finally:
                    state.alive.release()
                if state.closing or state.gate.locked() or not state.alive.acquire(False):
                    return
        except Exception:
            guard.swallow("delivering events")

    def _serve(self, state: _State) -> None:
        """Deliver until nothing has waited for `linger` seconds, or the process ends."""
        round_ = _Round(self, state)
        try:
            while True:
                state.gate.acquire(False)  # what was asked for until here, the look that follows answers
                wait = round_.run()
                if state.closing:
                    return
                if wait is None:
                    if not state.gate.acquire(True, self._linger):
                        return
                else:
                    if wait > self._linger:
                        round_.rest()
                    if state.gate.acquire(True, min(max(wait, 0.01), _LONGEST_NAP)) and not state.closing:
                        self._sleep(min(wait, _BREATH))  # a stream of events must not mean a stream of looks
        finally:
            round_.rest()

    # ------------------------------------------------------------------------------------------- for the command line

    def flush(self, timeout: float, progress: Callable[[int, int], None] | None = None) -> Summary:
        """Deliver in the calling thread, by the same rules, for at most about `timeout` seconds.

        An earlier backoff is forgotten, since a person asks now; limits that Sentry set are obeyed.
        `progress` is told how many are done, of how many.
        """
        deadline = self._clock() + timeout
        round_ = _Round(self, _State(), deadline=deadline, eager=True, progress=progress)
        try:
            while True:
                wait = round_.run()
                if wait is None or self._clock() + wait >= deadline:
                    break
                self._sleep(max(wait, 0.01))
            waiting = len(self._spool.entries())
            return Summary(round_.delivered, round_.quarantined, waiting, self._why(waiting))
        finally:
            round_.rest()

    def _why(self, waiting: int) -> str:
        return (self.trouble or "there was not enough time") if waiting else ""

    def _open_carrier(self) -> Carrier | None:
        if self._carrier is None:
            try:
                dsn = transport.parse_dsn(self._dsn)
            except transport.DsnError as error:
                self.trouble = str(error)
                return None
            self._carrier = transport.Transport(dsn)
        return self._carrier


class _State:
    """The flags of one process's thread; a forked child begins with its own."""

    def __init__(self) -> None:
        self.gate = allocate_lock()
        self.gate.acquire()
        self.alive = allocate_lock()
        self.closing = False


class _Round:
    """One thread's (or one flush's) turns at the spool. `run` takes a turn."""

    def __init__(
        self,
        sender: Sender,
        state: _State,
        *,
        deadline: float | None = None,
        eager: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._sender = sender
        self._spool = sender._spool
        self._state = state
        self._deadline = deadline
        self._eager = eager
        self._progress = progress
        self._pace = Pace(sender._pace_path, sender._clock)
        self._lock = FolderLock(sender._lock_path)
        self._lock_wait = _LOCK_RETRY[0]
        self._failed: dict[str, tuple[int, float]] = {}  # name → times, not to be tried again before
        self._failing: set[str] = set()  # names that failed since something was last taken
        self.delivered = 0
        self.quarantined = 0

    def rest(self) -> None:
        carrier = self._sender._carrier
        if carrier is not None:
            carrier.close()

    def run(self) -> float | None:
        """Deliver what can be delivered now. Seconds until it makes sense to look again; None when nothing waits."""
        wait = self._pace.wait("")
        if wait and not self._eager:
            return wait
        carrier = self._sender._open_carrier()
        if carrier is None:
            return _LONGEST_NAP
        self._spool.settle()
        held = self._lock.take() if self._spool.usable() else None
        if held is False:
            return self._yield_to_other(carrier)
        try:
            if held:
                self._spool.sweep_if_due()
                self._pace.load()
                if self._eager:
                    self._pace.forget_backoff()
                    self._eager = False
            self._lock_wait = _LOCK_RETRY[0]
            return self._deliver(carrier, memory_only=not held)
        finally:
            self._lock.release()

    def _yield_to_other(self, carrier: Carrier) -> float | None:
        """Another process delivers: stay only while something of ours might be left to us."""
        self._sender.trouble = "another process is delivering"
        wait = self._deliver(carrier, memory_only=True)
        pid = os.getpid()
        if self._deadline is None and wait is None and not any(entry.pid == pid for entry in self._spool.entries()):
            return None
        first = self._lock_wait
        self._lock_wait = min(first * 2, _LOCK_RETRY[1])
        return first * (0.5 + self._sender._random())

    def _deliver(self, carrier: Carrier, *, memory_only: bool) -> float | None:
        while True:
            entries = self._spool.entries()
            names = {entry.name for entry in entries}
            self._sender._finished &= names
            self._failed = {name: failed for name, failed in self._failed.items() if name in names}
            if memory_only:
                entries = [entry for entry in entries if entry.data is not None]
            if not entries:
                return None
            soonest, moved = self._turn(carrier, entries)
            if soonest is not None or not moved:
                return soonest

    def _turn(self, carrier: Carrier, entries: list[Entry]) -> tuple[float | None, bool]:
        """Seconds until a held-up entry may go (None: none is), and whether anything left the spool."""
        soonest: float | None = None
        moved = False
        for index, entry in enumerate(entries):
            if self._ends():
                return 0.0, moved
            if entry.name in self._sender._finished:
                self._spool.remove(entry)
                continue
            wait = self._wait(entry)
            if not wait:
                left = self._one(carrier, entry)
                moved = moved or left
                wait = 0.0 if left else self._wait(entry)
                if self._progress is not None:
                    done = self.delivered + self.quarantined
                    self._progress(done, done + len(entries) - index - 1)
            if wait:
                soonest = wait if soonest is None else min(soonest, wait)
            everything = self._pace.wait("")
            if 0.0 < everything <= _BRIEF and not self._state.closing:
                self._sender._sleep(everything)
            elif everything:
                return everything if soonest is None else max(soonest, everything), moved
        return soonest, moved

    def _wait(self, entry: Entry) -> float:
        _, not_before = self._failed.get(entry.name, (0, 0.0))
        own = min(max(not_before - self._sender._clock(), 0.0), _LONGEST_BACKOFF)
        return max(self._pace.wait(entry.category), own)

    def _ends(self) -> bool:
        return self._deadline is not None and self._sender._clock() >= self._deadline

    def _one(self, carrier: Carrier, entry: Entry) -> bool:
        """Whether it left the spool."""
        sender = self._sender
        try:
            envelope = self._spool.read(entry)
        except UnreadableError as error:
            return self._set_aside(entry, f"cannot be read: {error}")
        except OSError as error:
            sender.trouble = f"cannot be read: {error}"
            self._fail(entry)
            return False
        if envelope is None:
            return False
        outcome = carrier.send(envelope.data)
        for category, seconds in outcome.limits.items():
            self._pace.hold(category or ALL, seconds)
        if outcome.kind == transport.ACCEPTED:
            self._succeed(entry)
            return True
        sender.trouble = outcome.detail
        if outcome.kind == transport.REJECTED:
            return self._set_aside(entry, outcome.detail)
        if outcome.kind == transport.REFUSED:
            self._pace.hold(BACKOFF, _REFUSED_WAIT)
        elif outcome.kind == transport.UNREACHABLE or not self._pace.wait(entry.category):
            self._fail(entry)  # the second: a 429 that limits other categories than this one
        if self._pace.wait(entry.category) > _BRIEF:
            self._pace.save()
        return False

    def _succeed(self, entry: Entry) -> None:
        if not self._spool.remove(entry):
            self._sender._finished.add(entry.name)  # the disk is read-only now, or somebody else removed it
        self.delivered += 1
        self._failing.clear()
        self._sender.trouble = ""
        self._pace.save()
        self._sender._count("sent", entry.category, 1)

    def _set_aside(self, entry: Entry, reason: str) -> bool:
        try:
            self._spool.quarantine(entry, reason)
        except OSError as error:
            self._sender.trouble = f"cannot be set aside: {error}"
            self._fail(entry)
            return False
        self.quarantined += 1
        return True

    def _fail(self, entry: Entry) -> None:
        """Wait with this envelope the longer the oftener it failed, and with all the longer the more of them failed.

        So one that Sentry chokes on holds up no other, and a Sentry that is down is left alone.
        """
        times = self._failed.get(entry.name, (0, 0.0))[0] + 1
        self._failed[entry.name] = (times, self._sender._clock() + self._backoff(times))
        self._failing.add(entry.name)
        self._pace.hold(BACKOFF, self._backoff(len(self._failing)))

    def _backoff(self, failures: int) -> float:
        longest = min(self._sender._first_backoff * 2.0 ** min(failures - 1, 30), _LONGEST_BACKOFF)
        return longest * (0.5 + self._sender._random() / 2)


#: Keys of a Pace beside Sentry's categories: its limit for all of them, and our own backoff.
ALL = "*"
BACKOFF = "!"


class Pace:
    """Until when what must wait. Kept in a file, so that processes that take turns obey one another's answers."""

    def __init__(self, path: str, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._holds: dict[str, tuple[float, float]] = {}  # category → (until when, granted seconds)
        self._changed = False

    def wait(self, category: str) -> float:
        """Seconds until an envelope of this category may go; 0.0 when it may now. "" asks for any category at all."""
        if not self._holds:
            return 0.0
        return max(self._left(key) for key in (ALL, BACKOFF, category))

    def hold(self, key: str, seconds: float) -> None:
        self._holds[key] = (self._clock() + seconds, seconds)
        self._changed = True

    def forget_backoff(self) -> None:
        self._changed = self._holds.pop(BACKOFF, None) is not None or self._changed

    def load(self) -> None:
        """Take over what the last one to deliver had been told. A file that makes no sense says nothing."""
        try:
            with open(self._path, encoding="ascii") as file:
                rows = [line.split() for line in file.read(10_000).splitlines()]
            self._holds = {key: (float(until), float(granted)) for key, until, granted in rows}
        except (OSError, ValueError):
            self._holds = {}
        self._changed = False

    def save(self) -> None:
        if not self._changed:
            return
        self._changed = False
        self._holds = {key: hold for key, hold in self._holds.items() if self._left(key)}
        beside = f"{self._path}.{os.getpid()}"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
            with open(os.open(beside, flags, 0o600), "w", encoding="ascii") as file:
                file.writelines(f"{key} {until!r} {granted!r}\n" for key, (until, granted) in self._holds.items())
            os.replace(beside, self._path)
        except (OSError, ValueError):
            pass  # other processes will be told by Sentry themselves

    def _left(self, key: str) -> float:
        until, granted = self._holds.get(key, (0.0, 0.0))
        left = until - self._clock()
        # More than was granted: the clock was set back. Sentry will say so if we are early.
        return left if 0.0 < left <= granted else 0.0


class FolderLock:
    """At most one process at a time delivers from a folder; the kernel frees the lock of one that dies."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1

    def take(self) -> bool | None:
        """True: held. False: another one holds it. None: the folder cannot hold a lock, so it holds no envelopes."""
        try:
            import fcntl
        except ImportError:
            return True
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
            descriptor = os.open(self._path, flags, 0o600)
        except OSError:
            return None
        _inheritable.add(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            _close(descriptor)
            return False if isinstance(error, BlockingIOError) else None
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            _close(descriptor)


#: Descriptors of lock files. A forked child has copies of them, and a lock lives until its last copy is closed.
_inheritable: set[int] = set()


def _close(descriptor: int) -> None:
    if descriptor in _inheritable:
        _inheritable.discard(descriptor)
        os.close(descriptor)


def _before_fork() -> None:
    # A child forked while our thread is importing urllib3 would find that module locked by a thread it does not have,
    # and hang at its own import.
    if transport.importing.acquire(True, _FORK_WAIT):
        _fork.append(True)


def _after_fork_in_parent() -> None:
    if _fork:
        _fork.pop()
        transport.importing.release()


def _after_fork_in_child() -> None:
    _fork.clear()
    transport.importing = allocate_lock()
    for descriptor in list(_inheritable):
        _close_quietly(descriptor)
    _inheritable.clear()


_fork: list[bool] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


def _close_quietly(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        pass


def _open(gate: LockType) -> None:
    try:
        gate.release()
    except RuntimeError:
        pass  # open already


def _random() -> float:
    return int.from_bytes(os.urandom(4), "big") / 2**32
