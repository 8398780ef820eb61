"""The thread that delivers the spool in a host process; `worker` describes when it lives."""

import sys
import time
from typing import TYPE_CHECKING, Callable

from ...base import imports
from ..send.delivery import LONGEST_NAP, Delivery
from .worker import State, Worker, await_end

if TYPE_CHECKING:
    from ..send.resources import Resources

_LINGER = 5.0  # seconds that the thread waits for more before it ends
_LISTING_PAUSE = 0.2  # seconds between listings of a folder in which something has to wait
_REPORT_AFTER = 0.1  # seconds after which `drain` reports how many envelopes still wait


class Sender(Worker):
    def __init__(
        self,
        resources: "Resources",
        *,
        write_counts: Callable[[], None] = lambda: None,
        linger: float = _LINGER,
        grace: float = 0.0,
    ) -> None:
        """`linger` and `grace` in seconds.

        For `grace` the first thread does nothing: a host that reports while it starts may be about to call gevent's or
        eventlet's monkey patch, which warns if `ssl` is there before it, and can hang beside a busy thread.
        """
        super().__init__("the delivery of events", grace=grace)
        self._resources = resources
        self._write_counts = write_counts
        self._linger = linger
        self._delivery: Delivery | None = None

    # ------------------------------------------------------------------------------------------ on the host's threads

    def drain(self, timeout: float, slow: "Callable[[int], None] | None" = None) -> float:
        """Block until every envelope of this process has been delivered or attempted. Return what is left of `timeout`.

        In seconds. After a while, `slow` is called once with the number of envelopes that still wait.
        """
        tick = self._resources.tick
        until, late = tick() + timeout, tick() + min(_REPORT_AFTER, timeout)
        state = self.state()
        target = state.turns + 1
        self.wake()
        nap = 0.002
        while (left := until - tick()) > 0 and state.completed < target and not state.closing:
            if self.no_thread:  # from Python 3.12 on none can be started once the process ends
                self._deliver_in_this_thread(left)
                break
            waiting = self._delivery.own_waiting if self._delivery is not None else 1
            if state.ended >= target and not waiting:
                break  # another process delivers, and has delivered ours
            if slow is not None and tick() >= late:
                slow(max(waiting, 1))
                slow = None
            time.sleep(min(nap, left))  # looked up now: a host may have made it cooperative
            nap = min(nap * 1.5, 0.05)
            if nap == 0.05:
                self.wake()  # to look for what another process has left
        return max(until - tick(), 0.0)

    def _deliver_in_this_thread(self, seconds: float) -> None:
        """One turn, which a Sentry that hangs cannot make longer than `seconds`."""
        until = self._resources.tick() + seconds
        resources = self._resources._replace(connect=lambda _: self._resources.connect(seconds / 2), parallel=False)
        delivery = Delivery(resources, should_stop=lambda: resources.tick() >= until)
        try:
            delivery.run()
        finally:
            delivery.disconnect()

    def after_fork(self) -> None:
        super().after_fork()
        self._resources.spool.after_fork()

    def _prepare(self) -> None:
        # Before 3.13 the thread that imports `threading` first is taken for the main thread. Ours would be (urllib3
        # imports it), and the host's main thread would become a _DummyThread: so it is imported here. So is `logging`,
        # which registers fork hooks: loaded in another thread while this one forks, it would miss the first of them.
        # By now the event is on disk, and hosts that have threads or a log have loaded both.
        if "logging" not in sys.modules or "threading" not in sys.modules:
            with imports.Guarded(patient=False):
                import logging  # noqa: F401
                import threading  # noqa: F401

    def _ended(self) -> None:
        self._resources.spool.abandon()

    # ---------------------------------------------------------------------------------------------------- the thread

    def serve(self, state: State) -> None:
        """Deliver until nothing has waited for `linger` seconds, or the process ends or forks."""
        resources = self._resources._replace(sleep=state.pause, await_end=await_end)
        self._delivery = delivery = Delivery(resources, should_stop=lambda: state.parking)
        try:
            while not state.parking:
                state.gate.acquire(False)  # the turn that follows serves every wake until here
                state.turns += 1
                last = state.closing
                wait = delivery.run()
                if delivery.had_lock and wait != 0.0:
                    state.completed = state.turns
                state.ended = state.turns
                self._write_counts()
                if state.parking or last:
                    return
                if wait is None:
                    if not state.gate.acquire(True, self._linger):
                        return
                else:
                    if wait > self._linger:
                        delivery.disconnect()
                    if state.gate.acquire(True, min(max(wait, 0.01), LONGEST_NAP)):
                        state.pause(min(wait, _LISTING_PAUSE))  # a stream of events must not cause a stream of listings
        finally:
            delivery.disconnect()
            self._write_counts()
