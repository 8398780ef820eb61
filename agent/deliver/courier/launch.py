"""The host's side of a courier: starts one where none lives, and otherwise leaves it alone.

A courier holds a lock for as long as it lives. Whoever has written an envelope tries to take that lock. Where it is
taken, a courier lives, and finds the envelope by itself. Where it is free, this process takes it, starts a courier and
hands the lock on: so of two hundred processes that fail in the same instant, one starts a courier.

The courier is no child of the host's (`base.detached`), and has of the environment only what it needs. Where none can
be started, a thread of this process delivers.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Callable

from ...base import clocks, detached, guard, places
from ...base.interrupts import ours
from ...base.programs import COURIER, interpreter
from ..send.lock import DeliveryLock
from .settings import VARIABLES, Settings

if TYPE_CHECKING:
    from ..background.sender import Sender
    from ..background.sweeper import Sweeper
    from ..quick.calls import FileCalls
    from ..spool.spool import Spool

#: Of the host's environment, what an interpreter and a connection to Sentry may need.
_PASSED_ON = (
    *VARIABLES, "HOME", "PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME",
)  # fmt: skip
_START = 5.0  # seconds in which a courier that was started must have shown that it runs
_POSTPONED = 4  # looks that cannot be finished, after which a thread delivers
_PROBE = 1.0  # seconds between looks: a courier that lives sees what is written, and then stays for far longer
_TRIES = 2  # after which a thread delivers
_SOON = 0.05  # seconds: the first and the longest pause of who waits for a delivery


class Courier:
    """Has what is in `spool` delivered. `fallback` makes the thread that delivers where no courier can be started."""

    def __init__(
        self, spool: Spool, settings: Settings, fallback: Callable[[], Sender | Sweeper], *, allowed: bool = True
    ) -> None:
        self._spool = spool
        self._settings = settings
        self._make_fallback = fallback
        self._allowed = allowed and detached.AVAILABLE
        self._path = os.path.join(spool.directory, "courier")
        self._thread: Sender | Sweeper | None = None
        self._pid = 0  # in which the settings were written
        self._is_new = False  # are the settings others than the last courier knows?
        self._started = 0.0  # when this process last started one, by the clock of files
        self._in_vain = 0  # starts in a row after which nothing was seen of it
        self._postponed = 0  # looks in a row that could not be finished
        self._not_before = 0.0  # when to look for a courier again
        self._unseen = False  # was anything written since the last look?
        #: Why a thread delivers; "" where it does not.
        self.trouble = ""

    def announce(self) -> None:
        """Before an envelope is written: a courier that lives must know by then where this process sends.

        Never raises.
        """
        try:
            if self._thread is None and self._allowed and self._pid != os.getpid():
                self._write_settings()
        except ours(OSError):
            self._pid = 0  # no spool yet, and so no courier: `wake` tries again
        except ours(Exception):
            guard.swallow("announcing where events are sent")

    def wake(self) -> None:
        """There is something to deliver. Never raises; waits for a few system calls, or for a shell to start."""
        try:
            if self._thread is None:
                now = clocks.monotonic()
                if now < self._not_before and self._pid == os.getpid():
                    self._unseen = True
                    return
                self._not_before, self._unseen = now + _PROBE, False
                if not self._attend():
                    self._thread = self._make_fallback()
            if self._thread is not None:
                self._thread.wake()
        except ours(ImportError, OSError):
            self._later()
        except ours(Exception):
            guard.swallow("starting the delivery of events")

    def _attend(self) -> bool:
        """Does a courier live, started now if need be? False: this process has to deliver."""
        if not self._allowed or self._spool.degraded is not None:
            return not self._allowed and self._refuse("switched off")
        if self._pid != os.getpid():
            try:
                self._write_settings()
            except ours(OSError):
                return self._later()
        if self._is_alive():
            return True
        lock = DeliveryLock(self._spool.directory, "courier")
        held = lock.take()
        if held is None:
            return self._later()
        if not held:
            return True
        if lock.number < 0:
            return self._refuse("the file system has no locks")
        try:
            self._postponed = 0
            return self._start(lock)
        finally:
            lock.release()

    def _write_settings(self) -> None:
        """In each process once. Raises OSError."""
        self._pid = os.getpid()  # first: another thread need not write them as well
        self._started = self._not_before = 0.0
        self._is_new = self._settings.write(self._spool.directory)

    def _is_alive(self) -> bool:
        """Whether somebody holds the lock, found with as few waits for the GIL as a write of an envelope."""
        from fcntl import LOCK_EX, LOCK_NB, flock

        alive = False

        def look(calls: FileCalls) -> None:
            nonlocal alive
            lock = getattr(calls, "flock", None) or flock
            descriptor = calls.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                lock(descriptor, LOCK_EX | LOCK_NB)
            except ours(BlockingIOError):
                alive = True
            finally:
                calls.close(descriptor)

        try:
            self._spool.quick.run(0, look)
        except ours(OSError):
            pass  # there was none yet
        return alive

    def _start(self, lock: DeliveryLock) -> bool:
        shown = lock.mtime()
        now = clocks.time()
        if shown > now and not self._is_new:
            return True  # the last one has ended because Sentry asked for patience until then
        if self._started and shown < self._started and now - self._started < _START:
            self._in_vain += 1
            if self._in_vain == _TRIES:
                return self._refuse("couriers were started, and ended at once")
        else:
            self._in_vain = 0
        program = interpreter()
        if program is None:
            return self._refuse("no interpreter was found to run a courier with: name one in AGENT_PYTHON")
        try:
            _spawn(program, self._spool.directory, lock.number)
        except ours(OSError, NotImplementedError) as error:
            return self._refuse(f"no courier can be started: {error}")
        self._started, self._is_new = now, False
        return True

    def _later(self) -> bool:
        """No descriptor is left, for example: the envelope is on disk, and the next one, or the end, looks again.

        False after some times in a row: what fails may be about the courier alone.
        """
        self._pid, self._not_before, self._unseen = 0, 0.0, True
        self._postponed += 1
        return self._postponed < _POSTPONED or self._refuse("its files cannot be opened")

    def _refuse(self, why: str) -> bool:
        self.trouble = why
        return False

    def close(self, timeout: float) -> None:
        """The process ends. What is on disk is the courier's affair; what is in memory alone is counted as lost."""
        if self._unseen:
            self._not_before = 0.0
            self.wake()
        if self._thread is not None:
            self._thread.close(timeout)
        else:
            self._spool.abandon()

    def after_fork(self) -> None:
        """In a forked child: a thread of the parent's is gone."""
        if self._thread is not None:
            self._thread.after_fork()

    def drain(self, timeout: float, slow: Callable[[int], None] | None = None) -> float:
        """Block until no envelope of this process waits, for at most `timeout` seconds. Return those that are left.

        `slow` is called once, with how many still wait, where that takes a while.
        """
        self.wake()
        if self._thread is not None:
            return self._thread.drain(timeout, slow)
        began = clocks.monotonic()
        pause = 0.002
        while (left := began + timeout - clocks.monotonic()) > 0:
            waiting = self._spool.number_of(os.getpid())
            if not waiting:
                break
            if slow is not None and clocks.monotonic() - began > 2 * _SOON:
                slow(waiting)
                slow = None
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _SOON)
        return max(began + timeout - clocks.monotonic(), 0.0)


def _spawn(program: str, directory: str, lock: int) -> None:
    """Raises OSError, and NotImplementedError where the system cannot start a session."""
    script = os.path.join(places.PACKAGE, "deliver", "courier", COURIER)
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment["AGENT_DISABLED"] = "1"
    detached.spawn([program, "-S", script, directory], environment, lock)
