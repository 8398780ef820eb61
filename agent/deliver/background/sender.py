"""The thread that delivers what waits in the spool; `worker` says when it lives."""

import os
import sys
import time
from typing import TYPE_CHECKING, Callable, NamedTuple

from ...base import imports
from ...base.dsn import parse_dsn
from ..http import transport
from ..send.delivered import Delivered
from ..send.delivery import LONGEST_NAP, Delivery, Resources
from ..send.parallel import Connection
from .worker import State, Worker

if TYPE_CHECKING:
    from ..http.route import Route
    from ..spool.spool import Count, Spool

_LINGER = 5.0  # seconds that the thread waits for more before it ends
_FIRST_BACKOFF = 0.1  # seconds
_BREATH = 0.2  # seconds between looks at a folder in which something has to wait
_A_WHILE = 0.1  # seconds after which one who waits for a delivery is told what is still on its way


class Summary(NamedTuple):
    """What a flush came to."""

    delivered: int
    quarantined: int
    waiting: int
    reason: str  # why something still waits; "" when nothing does


class Sender(Worker):
    def __init__(
        self,
        spool: "Spool",
        dsn: str,
        *,
        count: "Count",
        counted: Callable[[], None] = lambda: None,
        route: "Route | None" = None,
        connection: "Connection | None" = None,
        clock: Callable[[], float] = time.time,
        tick: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        random: "Callable[[], float] | None" = None,
        linger: float = _LINGER,
        first_backoff: float = _FIRST_BACKOFF,
        grace: float = 0.0,
    ) -> None:
        """`counted` writes down what `count` has counted. `route` is for what is not the agent's own.

        `random` answers numbers in [0, 1); `linger`, `first_backoff` and `grace` in seconds. For `grace` the first
        thread does nothing: a host that reports while it starts may be about to call gevent's or eventlet's monkey
        patch, which warns of an `ssl` that is there before it, and can hang beside a busy thread.
        """
        super().__init__("the delivery of events", grace=grace)
        self._dsn = dsn
        self._route = route
        self._connection = connection
        self._counted = counted
        self._linger = linger
        more = self._connect_another if connection is None else None
        self._resources = Resources(
            spool, self._connect, more, count, clock, tick, sleep, random or _random, first_backoff
        )
        self._already_delivered = Delivered(spool.directory)
        self._delivery: Delivery | None = None

    @property
    def trouble(self) -> str:
        """Why the last try did not deliver; "" when it did."""
        return self._no_thread or (self._delivery.trouble if self._delivery is not None else "")

    # ------------------------------------------------------------------------------------------ on the host's threads

    def drain(self, timeout: float, slow: "Callable[[int], None] | None" = None) -> float:
        """Wait until each envelope of this process has been delivered or tried since; what is left of `timeout`.

        For a host that asks to wait (in seconds). `slow` is told how many still wait once that takes a while.
        """
        tick = self._resources.tick
        until, late = tick() + timeout, tick() + min(_A_WHILE, timeout)
        state = self._state()
        target = state.looks + 1
        self.wake()
        nap = 0.002
        while (left := until - tick()) > 0 and state.settled < target and not state.closing:
            if self._no_thread:  # from Python 3.12 on none can be started once the process ends
                self._deliver_here(left)
                break
            waiting = self._delivery.own_waiting if self._delivery is not None else 1
            if state.ended >= target and not waiting:
                break  # another process delivers, and has taken what was ours
            if slow is not None and tick() >= late:
                slow(max(waiting, 1))
                slow = None
            time.sleep(min(nap, left))  # looked up now: a host may have made it cooperative
            nap = min(nap * 1.5, 0.05)
            if nap == 0.05:
                self.wake()  # for another look, at what another process has left
        return max(until - tick(), 0.0)

    def _deliver_here(self, seconds: float) -> None:
        """One turn in the calling thread, which a Sentry that hangs holds no longer than that."""
        until = self._resources.tick() + seconds
        resources = self._resources._replace(connect=lambda: self._connect(seconds / 2), connect_another=None)
        delivery = Delivery(resources, self._already_delivered, ends=lambda: self._resources.tick() >= until)
        try:
            delivery.run()
        finally:
            delivery.rest()

    def after_fork(self) -> None:
        super().after_fork()
        self._resources.spool.after_fork()

    def _prepare(self) -> None:
        # Before 3.13 the thread that imports `threading` first is taken for the main thread. Ours would be (urllib3
        # imports it), and the host's main thread would become a _DummyThread: so it is imported here. So is `logging`,
        # which wants to know of forks: loaded in another thread while this one forks, it would miss the beginning. By
        # now the event is on disk, and hosts that have threads or a log have loaded both.
        if "logging" not in sys.modules or "threading" not in sys.modules:
            with imports.Guarded(patient=False):
                import logging  # noqa: F401
                import threading  # noqa: F401

    def _ended(self) -> None:
        self._resources.spool.abandon()

    # ---------------------------------------------------------------------------------------------------- the thread

    def _serve(self, state: State) -> None:
        """Deliver until nothing has waited for `linger` seconds, or the process ends or forks."""
        spool = self._resources.spool
        if not state.stopping():
            with imports.Guarded():
                spool.equip()
            spool.refill()
        resources = self._resources._replace(sleep=state.pause, between=spool.refill)
        self._delivery = delivery = Delivery(resources, self._already_delivered, ends=lambda: state.parking)
        try:
            while not state.parking:
                state.gate.acquire(False)  # what was asked for until here, the look that follows answers
                state.looks += 1
                last = state.closing
                wait = delivery.run()
                if delivery.had_its_turn and wait != 0.0:
                    state.settled = state.looks
                state.ended = state.looks
                self._counted()
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
            self._counted()

    # ------------------------------------------------------------------------------------------- for the command line

    def flush(self, timeout: float, progress: "Callable[[int, int], None] | None" = None) -> "Summary":
        """Deliver in the calling thread, by the same rules, for at most about `timeout` seconds.

        An earlier backoff is forgotten, since a person asks now; limits that Sentry set are obeyed.
        `progress` is told how many are done, of how many.
        """
        tick = self._resources.tick
        deadline = tick() + timeout
        delivery = Delivery(
            self._resources, self._already_delivered, ends=lambda: tick() >= deadline, eager=True, progress=progress
        )
        try:
            while True:
                wait = delivery.run()
                if wait is None or tick() + wait >= deadline:
                    break
                self._resources.sleep(max(wait, 0.01))
            waiting = self._resources.spool.number_waiting()
            reason = (delivery.trouble or "there was not enough time") if waiting else ""
            return Summary(delivery.delivered, delivery.quarantined, waiting, reason)
        finally:
            delivery.rest()

    def _connect(self, patience: "float | None" = None) -> Connection:
        """`patience`: seconds that it may take to connect, and to be answered; None for the usual ones."""
        if self._connection is not None:
            return self._connection
        dsn = parse_dsn(self._dsn)
        if patience is not None:
            return transport.Transport(dsn, route=self._route, connect_timeout=patience, read_timeout=patience)
        self._connection = transport.Transport(dsn, route=self._route)
        return self._connection

    def _connect_another(self) -> Connection:
        return transport.Transport(parse_dsn(self._dsn), route=self._route)


def _random() -> float:
    return int.from_bytes(os.urandom(4), "big") / 2**32
