"""A daemon thread of the agent that lives while there is something to do.

`wake` must cost the capturing thread next to nothing and must work inside a signal handler or a `__del__`, so it waits
for no lock. Two locks serve as flags: `gate` is open (free) while a turn is requested, `alive` is held while a thread
runs. `wake` opens the gate first and then tries to acquire `alive`; the thread releases `alive` first and then checks
the gate. In whatever order those four steps happen, no request is missed.

A fork ends the thread, if that takes only a moment: a child must not be forked in the middle of a request, and Python
3.12 warns the host of each fork beside a thread. Afterwards it continues in the parent only: at once, or on 3.13 with
the next event.

In a sub-interpreter no thread is started: Python aborts the process when one ends beside a thread of its own.
"""

from __future__ import annotations

import os
import sys
import time
from _thread import allocate_lock, get_native_id, start_new_thread
from _weakref import ref  # `weakref` itself takes time to import
from typing import TYPE_CHECKING, Any

from ...base import clocks, guard, imports
from ...base.interrupts import ours
from ...base.postponed import around_forks
from ..threads import take_no_signals

if TYPE_CHECKING:
    from _thread import LockType

_THREAD_END = 0.05  # seconds that the system may take to end a thread that has nothing more to do
FORKS_ARE_WARNED_OF = sys.version_info >= (3, 12)
PARK_WAIT = 0.2  # seconds that a fork waits for the thread
_WARNED_LATE = sys.version_info >= (3, 13)  # after the hooks that follow a fork: these must not start a thread


class Worker:
    def __init__(self, what: str, *, grace: float = 0.0) -> None:
        """`what` it does, for messages. For `grace` seconds the first thread does nothing."""
        self._what = what
        self._grace = grace
        self._states: dict[int, State] = {}
        #: Why no thread could be started; "" when it could.
        self.no_thread = ""
        _workers.append(ref(self, _workers.remove))

    # ------------------------------------------------------------------------------------------------ for subclasses

    def serve(self, state: State) -> None:
        """Work until nothing is left to do, or `state` shows that the process ends or forks."""
        raise NotImplementedError

    def _prepare(self) -> None:
        """Called in the thread that wakes, before a thread is started."""

    def _ended(self) -> None:
        """Called at the end of the process, once the thread has ended or its time is over."""

    # ------------------------------------------------------------------------------------------ on the host's threads

    def wake(self) -> None:
        """Request a turn, and start the thread if none runs. Never raises, never waits."""
        try:
            self._wake()
        except ours(Exception):
            guard.swallow("starting " + self._what)
        except BaseException:  # a time limit of the host: the work has still to be done
            self._wake()
            raise

    def close(self, timeout: float) -> None:
        """The process ends: finish what can be done in `timeout` seconds. A later `wake` starts nothing."""
        try:
            state = self.state()
            if state.closing:
                return
            if state.ran:
                self._wake()  # a fork ended the thread before its work was done
            state.closing = True
            _open(state.gate)
            _open(state.alarm)
            state.alive.acquire(True, max(timeout, 0.0))  # the thread has ended, or its time is over
            self._ended()
        except ours(Exception):
            guard.swallow("ending " + self._what)

    def after_fork(self) -> None:
        """For the owner's fork hook in the child. Otherwise the first `wake` does it."""
        self._states.clear()

    def state(self) -> State:
        pid = os.getpid()
        state = self._states.get(pid)
        if state is None:
            # setdefault decides between two threads of a fresh child; the parent's threads do not exist in it
            state = self._states.setdefault(pid, State())
            for other in list(self._states):
                if other != pid:
                    self._states.pop(other, None)
        return state

    def _wake(self) -> None:
        state = self.state()
        _open(state.gate)
        # Done in C, including the record of the result: an exception in between leaves no doubt who holds the lock.
        taken: list[bool] = []
        started: list[int] = []
        try:
            taken.extend(map(state.alive.acquire, (False,)))
            if taken[0]:
                self._start(state, started)
        finally:
            if taken and taken[0] and not started:
                state.alive.release()

    def _start(self, state: State, started: list[int]) -> None:
        """`started` is not empty once there is a thread."""
        state.ran = False
        try:
            if _in_sub_interpreter():
                self.no_thread = "no thread is started in a sub-interpreter; another process delivers its events"
                return
            self._prepare()
            _guard_forks()
            started.extend(map(start_new_thread, (self._run,), ((state,),)))
            self.no_thread = ""
        except ours(RuntimeError, ImportError, OSError, MemoryError) as error:
            # Too many threads, the interpreter ends, or a module cannot be loaded: the next wake or process does it.
            self.no_thread = f"no thread can be started: {error}"

    # ------------------------------------------------------------------------------------------------ around a fork

    def park(self) -> None:
        """End the thread if that takes only a moment, and let no other one start."""
        state = self._states.get(os.getpid())
        if state is None or state.closing or state.parking or state.stays:
            return
        state.parking = True
        _open(state.gate)
        _open(state.alarm)
        taken: list[bool] = []
        state.taken = taken
        taken.extend(map(state.alive.acquire, (False,)))
        state.ran = not taken[0]
        if state.ran:
            taken.extend(map(state.alive.acquire, (True,), (PARK_WAIT,)))
        if any(taken):
            await_end(state.thread)

    def unpark(self) -> None:
        state = self._states.get(os.getpid())
        if state is None or not state.parking:
            return
        state.alarm.acquire(False)
        taken, state.taken = state.taken, []
        state.parking = False
        if any(taken):
            state.alive.release()
        if state.ran and not _WARNED_LATE:
            self.wake()

    # ---------------------------------------------------------------------------------------------------- the thread

    def _run(self, state: State) -> None:
        try:
            take_no_signals()
            grace, self._grace = self._grace, 0.0
            state.pause(grace)
            while True:
                state.thread = get_native_id()
                try:
                    self.serve(state)
                finally:
                    state.alive.release()
                if state.stopping() or state.gate.locked() or not state.alive.acquire(False):
                    return
        except ours(Exception):
            guard.swallow(self._what)


class State:
    """The flags of the thread of one process; a forked child begins with its own."""

    def __init__(self) -> None:
        self.gate = allocate_lock()
        self.gate.acquire()
        self.alarm = allocate_lock()  # released to end a pause
        self.alarm.acquire()
        self.alive = allocate_lock()
        self.closing = False
        self.parking = False  # a fork is about to happen: the thread has to end
        self.ran = False  # a thread ran when the fork began
        self.taken: list[bool] = []  # results of acquiring `alive`: whether it has ended
        self.stays = False  # a fork must not end the thread this time
        self.thread = 0  # the system's id of the last thread
        self.turns = 0  # turns that have begun
        self.completed = 0  # the last of them that left nothing to do at that time
        self.ended = 0  # the last of them that has ended

    def stopping(self) -> bool:
        return self.closing or self.parking

    def pause(self, seconds: float) -> None:
        if not self.stopping():
            self.alarm.acquire(True, max(seconds, 0.0))


_workers: list[ref[Worker]] = []
#: How often the fork hooks were registered: before `logging` was loaded, and after.
_guarded = 0


def _known_interpreters() -> Any:
    """Return the module about sub-interpreters; None where Python was built without it."""
    try:
        return __import__("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")
    except ours(ImportError):
        return None


#: Loaded with this file: a report imports nothing.
_interpreters = _known_interpreters()


def _in_sub_interpreter() -> bool:
    return _interpreters is not None and bool(_interpreters.get_current() != _interpreters.get_main())


def _all() -> list[Worker]:
    return [worker for worker in [each() for each in _workers] if worker is not None]


def _before_fork() -> None:
    imports.wait_for_others()  # first: a thread in the middle of an import does not end soon
    for worker in _all():
        worker.park()


def _after_fork_in_parent() -> None:
    for worker in _all():
        worker.unpark()


def _guard_forks() -> None:
    """Register fork hooks with the first thread, and again with the first one after `logging` was loaded.

    Hooks before a fork run in reverse order. Ours must run before the one of `logging`, which acquires a lock that our
    thread may need to end.
    """
    global _guarded
    wanted = 2 if "logging" in sys.modules else 1
    if _guarded < wanted:
        _guarded = wanted
        around_forks(before=_before_fork, after_in_parent=_after_fork_in_parent)


def await_end(thread: int) -> None:
    """Wait until a thread of the system is gone: Python releases a lock a moment earlier, and a fork counts threads."""
    if not thread or not FORKS_ARE_WARNED_OF:
        return
    deadline = clocks.monotonic() + _THREAD_END
    while os.path.exists(f"/proc/self/task/{thread}") and clocks.monotonic() < deadline:
        time.sleep(0.0002)


def _open(gate: LockType) -> None:
    try:
        gate.release()
    except ours(RuntimeError):
        pass  # open already
