"""The thread that delivers what waits in the spool: a daemon that lives while there is something to do.

Waking must cost the capturing thread next to nothing and must work inside a signal handler or a `__del__`, so it waits
for no lock. Two locks serve as flags instead: `gate` is open (free) while somebody has asked for a look at the folder,
`alive` is held while a thread runs. Whoever wakes opens the gate first and then tries to take `alive`; the thread gives
`alive` back first and then looks at the gate. In whatever order those four steps fall, one of the two sees the other.

A fork ends the thread, as far as that takes only a moment: a child must not be born in the middle of an import or of a
request, and Python 3.12 warns the host of each fork beside a thread. Afterwards it goes on in the parent only: at once,
or on 3.13 with the next event.
"""

from __future__ import annotations

import os
import sys
import time
from _thread import allocate_lock, get_native_id, start_new_thread
from typing import TYPE_CHECKING, Callable, NamedTuple
from weakref import ref

from .. import guard
from ..dsn import parse_dsn
from ..interrupts import ours
from . import transport
from .delivery import LONGEST_NAP, Delivery, Means
from .lanes import Carrier, await_end
from .taken import Taken

if TYPE_CHECKING:
    from _thread import LockType

    from .route import Route
    from .spool import Count, Spool

_LINGER = 5.0  # seconds that the thread waits for more before it ends
_FIRST_BACKOFF = 0.1  # seconds
_BREATH = 0.2  # seconds between looks at a folder in which something has to wait
_IMPORT_WAIT = 2.0  # seconds that a fork waits for an import of ours to end
_A_WHILE = 0.1  # seconds after which one who waits for a delivery is told what is still on its way
_PARK_WAIT = 0.2  # seconds that a fork waits for a request that is under way
_WARNED_LATE = sys.version_info >= (3, 13)  # after the hooks that follow a fork: these must not start a thread


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
        route: Route | None = None,
        carrier: Carrier | None = None,
        clock: Callable[[], float] = time.time,
        tick: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] | None = None,
        linger: float = _LINGER,
        first_backoff: float = _FIRST_BACKOFF,
        grace: float = 0.0,
    ) -> None:
        """`route` is for what is not the agent's own.

        `random` answers numbers in [0, 1); `linger`, `first_backoff` and `grace` in seconds. For `grace` the first
        thread does nothing: a host that reports while it starts may be about to call gevent's or eventlet's monkey
        patch, which warns of an `ssl` that is there before it, and can hang beside a busy thread.
        """
        self._dsn = dsn
        self._route = route
        self._carrier = carrier
        self._linger = linger
        self._grace = grace
        more = self._open_another if carrier is None else None
        self._means = Means(
            spool, self._open_carrier, more, count, clock, tick, sleep, random or _random, first_backoff
        )
        self._taken = Taken(os.path.join(spool.directory, "taken"))
        self._states: dict[int, _State] = {}
        self._delivery: Delivery | None = None
        self._trouble = ""
        _senders.append(ref(self, _senders.remove))

    @property
    def trouble(self) -> str:
        """Why the last try did not deliver; "" when it did."""
        return self._trouble or (self._delivery.trouble if self._delivery is not None else "")

    # ------------------------------------------------------------------------------------------ on the host's threads

    def wake(self) -> None:
        """There is something new in the spool. Starts the thread where none runs. Never raises, never waits."""
        try:
            state = self._state()
            _open(state.gate)
            if state.alive.acquire(False):
                self._start(state)
        except ours(Exception):
            guard.swallow("starting the delivery of events")

    def close(self, timeout: float) -> None:
        """The process ends: a delivery that is under way or possible at once has `timeout` seconds, then we let go.

        Whatever is on disk then stays there for the next process. A later `wake` starts nothing any more.
        """
        try:
            state = self._state()
            if state.closing:
                return
            if state.ran and state.alive.acquire(False):
                self._start(state)  # a fork ended the thread before its work was done
            state.closing = True
            _open(state.gate)
            _open(state.alarm)
            state.alive.acquire(True, max(timeout, 0.0))  # the thread's end, or as long as we may wait for it
            self._means.spool.abandon()
        except ours(Exception):
            guard.swallow("ending the delivery of events")

    def drain(self, timeout: float, slow: Callable[[int], None] | None = None) -> float:
        """Wait until each envelope of this process has been delivered or tried since; what is left of `timeout`.

        For a host that asks to wait (in seconds). `slow` is told how many still wait once that takes a while.
        """
        tick = self._means.tick
        until, late = tick() + timeout, tick() + min(_A_WHILE, timeout)
        state = self._state()
        target = state.looks + 1
        self.wake()
        nap = 0.002
        while (left := until - tick()) > 0 and state.settled < target and not state.closing:
            if self._trouble:  # no thread: from Python 3.12 on none can be started once the process ends
                self._deliver_here(left)
                break
            waiting = self._number_of(os.getpid())
            if not waiting:
                break
            if slow is not None and tick() >= late:
                slow(waiting)
                slow = None
            time.sleep(min(nap, left))  # looked up now: a host may have made it cooperative
            nap = min(nap * 1.5, 0.05)
        return max(until - tick(), 0.0)

    def _deliver_here(self, seconds: float) -> None:
        """One turn in the calling thread, which a Sentry that hangs holds no longer than that."""
        until = self._means.tick() + seconds
        means = self._means._replace(open_carrier=lambda: self._open_carrier(seconds / 2), open_another=None)
        delivery = Delivery(means, self._taken, ends=lambda: self._means.tick() >= until)
        try:
            delivery.run()
        finally:
            delivery.rest()

    def _number_of(self, pid: int) -> int:
        return sum(entry.pid == pid and not entry.held for entry in self._means.spool.entries())

    def after_fork(self) -> None:
        """For the owner's fork hook in the child. Otherwise done at the first `wake`."""
        self._states.clear()
        self._means.spool.after_fork()

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
        # Before 3.13 the thread that imports `threading` first is taken for the main thread. Ours would be (urllib3
        # imports it), and the host's main thread would become a _DummyThread: so it is imported here. So is `logging`:
        # it wants to know of forks, and one that began without it must not end with it.
        import logging  # noqa: F401
        import threading  # noqa: F401

        _guard_forks()
        started = False
        state.ran = False
        try:
            start_new_thread(self._run, (state,))
            started = True
            self._trouble = ""
        except ours(RuntimeError) as error:
            # Too many threads, or the interpreter is ending: the next wake, or the next process, does it.
            self._trouble = f"no thread can be started: {error}"
        finally:
            if not started:
                state.alive.release()

    # ------------------------------------------------------------------------------------------------ around a fork

    def _park(self) -> None:
        """End the thread, as far as that takes no more than a moment, and let no other one start."""
        state = self._states.get(os.getpid())
        if state is None or state.closing:
            return
        state.parking = True
        _open(state.gate)
        _open(state.alarm)
        state.ran = not state.alive.acquire(False)
        state.parked = not state.ran or state.alive.acquire(True, _PARK_WAIT)
        if state.parked:
            await_end(state.thread)

    def _unpark(self) -> None:
        state = self._states.get(os.getpid())
        if state is None or not state.parking:
            return
        state.alarm.acquire(False)
        state.parking = False
        if state.parked:
            state.parked = False
            state.alive.release()
        if state.ran and not _WARNED_LATE:
            self.wake()

    # ---------------------------------------------------------------------------------------------------- the thread

    def _run(self, state: _State) -> None:
        try:
            grace, self._grace = self._grace, 0.0
            state.pause(grace)
            while True:
                state.thread = get_native_id()
                try:
                    self._serve(state)
                finally:
                    state.alive.release()
                if state.stopping() or state.gate.locked() or not state.alive.acquire(False):
                    return
        except ours(Exception):
            guard.swallow("delivering events")

    def _serve(self, state: _State) -> None:
        """Deliver until nothing has waited for `linger` seconds, or the process ends or forks."""
        spool = self._means.spool
        if not state.stopping():
            with transport.importing:
                spool.equip()
            spool.refill()
        means = self._means._replace(sleep=state.pause, between=spool.refill)
        self._delivery = delivery = Delivery(means, self._taken, ends=lambda: state.parking)
        try:
            while not state.parking:
                state.gate.acquire(False)  # what was asked for until here, the look that follows answers
                state.looks += 1
                last = state.closing
                wait = delivery.run()
                if delivery.had_its_turn and wait != 0.0:
                    state.settled = state.looks
                if state.parking or last:
                    return
                if not state.closing:  # else there is one more look, for what was captured during this one
                    spool.refill()
                if wait is None:
                    if not state.gate.acquire(True, self._linger):
                        return
                else:
                    if wait > self._linger:
                        delivery.rest()
                    if state.gate.acquire(True, min(max(wait, 0.01), LONGEST_NAP)):
                        state.pause(min(wait, _BREATH))  # a stream of events must not mean a stream of looks
        finally:
            delivery.rest()

    # ------------------------------------------------------------------------------------------- for the command line

    def flush(self, timeout: float, progress: Callable[[int, int], None] | None = None) -> Summary:
        """Deliver in the calling thread, by the same rules, for at most about `timeout` seconds.

        An earlier backoff is forgotten, since a person asks now; limits that Sentry set are obeyed.
        `progress` is told how many are done, of how many.
        """
        tick = self._means.tick
        deadline = tick() + timeout
        delivery = Delivery(self._means, self._taken, ends=lambda: tick() >= deadline, eager=True, progress=progress)
        try:
            while True:
                wait = delivery.run()
                if wait is None or tick() + wait >= deadline:
                    break
                self._means.sleep(max(wait, 0.01))
            waiting = self._means.spool.number_waiting()
            reason = (delivery.trouble or "there was not enough time") if waiting else ""
            return Summary(delivery.delivered, delivery.quarantined, waiting, reason)
        finally:
            delivery.rest()

    def _open_carrier(self, patience: float | None = None) -> Carrier:
        """`patience`: seconds that it may take to connect, and to be answered; None for the usual ones."""
        if self._carrier is not None:
            return self._carrier
        dsn = parse_dsn(self._dsn)
        if patience is not None:
            return transport.Transport(dsn, route=self._route, connect_timeout=patience, read_timeout=patience)
        self._carrier = transport.Transport(dsn, route=self._route)
        return self._carrier

    def _open_another(self) -> Carrier:
        return transport.Transport(parse_dsn(self._dsn), route=self._route)


class _State:
    """The flags of one process's thread; a forked child begins with its own."""

    def __init__(self) -> None:
        self.gate = allocate_lock()
        self.gate.acquire()
        self.alarm = allocate_lock()  # opened to end a pause
        self.alarm.acquire()
        self.alive = allocate_lock()
        self.closing = False
        self.parking = False  # a fork wants the thread to end
        self.ran = False  # there was a thread when the fork began
        self.parked = False  # there is none any more
        self.thread = 0  # the system's id of the last thread
        self.looks = 0  # at the folder, that have begun
        self.settled = 0  # the last of them that left nothing which could be delivered then

    def stopping(self) -> bool:
        return self.closing or self.parking

    def pause(self, seconds: float) -> None:
        if not self.stopping():
            self.alarm.acquire(True, max(seconds, 0.0))


_senders: list[ref[Sender]] = []
_holding: list[LockType] = []
_guarded = False


def _before_fork() -> None:
    # A child forked while our thread is importing urllib3 would find that module locked by a thread it does not have,
    # and hang at its own import.
    importing = transport.importing
    if importing.acquire(True, _IMPORT_WAIT):
        importing.release()
    for sender in [each() for each in _senders]:
        if sender is not None:
            sender._park()
    if importing.acquire(False):
        _holding.append(importing)


def _after_fork_in_parent() -> None:
    while _holding:
        _holding.pop().release()
    for sender in [each() for each in _senders]:
        if sender is not None:
            sender._unpark()


def _after_fork_in_child() -> None:
    _holding.clear()
    transport.importing = allocate_lock()


def _guard_forks() -> None:
    # With the first thread only: hooks before a fork run in reverse order, and ours must come before the one of
    # `logging`, which takes a lock that our thread may need to end.
    global _guarded
    if not _guarded and hasattr(os, "register_at_fork"):
        _guarded = True
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
        )


def _open(gate: LockType) -> None:
    try:
        gate.release()
    except ours(RuntimeError):
        pass  # open already


def _random() -> float:
    return int.from_bytes(os.urandom(4), "big") / 2**32
