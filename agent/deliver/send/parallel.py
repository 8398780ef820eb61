"""Several requests on the way at the same time, where one after the other would be slow.

A Sentry that takes a tenth of a second to answer would get ten events a second. How many may be on the way follows from
how long it takes to answer: one where that is quick, so that events arrive in the order of their capture, and a few
where it is not, which may then overtake one another. Whatever is decided about an answer is decided by the one thread
that calls here: the others only carry.
"""

from __future__ import annotations

import _thread
import time
from _thread import allocate_lock, get_native_id, start_new_thread
from collections import deque
from typing import TYPE_CHECKING, Callable, Protocol

from ...base.interrupts import ours
from ..http import transport
from ..http.transport import Outcome
from .worker import await_end

if TYPE_CHECKING:
    from ..spool.names import SpoolEntry

    Landed = tuple[SpoolEntry, Outcome]

MOST = 8  # requests on the way at a time
_WANTED = 0.01  # seconds for each envelope, that more lanes are opened to come near to
_WEIGHT = 0.2  # of the last answer, in what is known of how long an answer takes


class Carrier(Protocol):
    """What a delivery needs of a transport."""

    def send(self, data: bytes) -> Outcome: ...
    def close(self) -> None: ...


class Lanes:
    def __init__(
        self, first: Carrier, open_another: Callable[[], Carrier] | None, tick: Callable[[], float] = time.monotonic
    ) -> None:
        """Without `open_another` there is one lane. Nothing here may be shared with a forked child."""
        self._all = [first]
        self._free = [first]
        self._open_another = open_another
        self._tick = tick
        self._landed: deque[tuple[SpoolEntry, Outcome, Carrier, float]] = deque()
        self._news = allocate_lock()  # open while something has landed since the last look
        self._news.acquire()
        self._flying = 0
        self._threads: dict[int, int] = {}  # carrier → the system's id of the last thread that worked with it
        self._takes = 0.0  # seconds until an answer

    @property
    def width(self) -> int:
        """How many requests may be on the way at present."""
        return 1 if self._open_another is None else max(1, min(MOST, int(self._takes / _WANTED)))

    def send(self, entry: SpoolEntry, data: bytes) -> list[Landed]:
        """Send it as soon as there is room, and answer what has landed until then: this one too, where it is alone."""
        landed = self._look()
        while self._flying and self._flying >= self.width:
            landed += self._wait()
        carrier = self._lane()
        if self.width > 1 and self._start(carrier, entry, data):
            return landed
        self._carry(carrier, entry, data)
        return landed + self._wait()

    def land(self) -> list[Landed]:
        """Wait for all that is on the way."""
        landed = self._look()
        while self._flying:
            landed += self._wait()
        for thread in self._threads.values():
            await_end(thread)
        self._threads.clear()
        return landed

    def close(self) -> None:
        """Give the connections back. Nothing may be on the way."""
        for carrier in self._all:
            carrier.close()

    def _lane(self) -> Carrier:
        if not self._free and self._open_another is not None:
            another = self._open_another()
            self._all.append(another)
            self._free.append(another)
        self._flying += 1
        return self._free.pop()

    def _start(self, carrier: Carrier, entry: SpoolEntry, data: bytes) -> bool:
        if _thread.start_new_thread is not start_new_thread:
            return (
                False  # gevent or eventlet came since: their locks in a connection belong to one thread of the system
            )
        try:
            start_new_thread(self._carry_apart, (carrier, entry, data))
        except ours(RuntimeError):
            return False  # too many threads, or the process ends
        return True

    def _carry_apart(self, carrier: Carrier, entry: SpoolEntry, data: bytes) -> None:
        self._threads[id(carrier)] = get_native_id()
        self._carry(carrier, entry, data)

    def _carry(self, carrier: Carrier, entry: SpoolEntry, data: bytes) -> None:
        began = self._tick()
        try:
            outcome = carrier.send(data)
        except ours(Exception) as error:  # it never should, and whoever waits must hear of it
            outcome = Outcome(transport.UNREACHABLE, detail=f"{type(error).__name__}: {error}")
        self._landed.append((entry, outcome, carrier, self._tick() - began))
        try:
            self._news.release()
        except ours(RuntimeError):
            pass  # open already

    def _wait(self) -> list[Landed]:
        if not self._landed:
            self._news.acquire()
        return self._look()

    def _look(self) -> list[Landed]:
        self._news.acquire(False)
        found: list[Landed] = []
        while self._landed:
            entry, outcome, carrier, took = self._landed.popleft()
            self._free.append(carrier)
            self._flying -= 1
            if not outcome.status:
                self._takes = 0.0  # no answer at all: ask with one until there is one
            else:
                self._takes += (took - self._takes) * (_WEIGHT if self._takes else 1.0)
            found.append((entry, outcome))
        return found
