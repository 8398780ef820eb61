"""Several requests in flight at a time, where one after the other would be slow.

With a Sentry that takes a tenth of a second to respond, only ten events a second would arrive. How many requests may be
in flight follows from the response time: one where that is short, so that events arrive in the order of their capture,
and a few where it is long; these may overtake one another. The thread that calls here decides what each response means;
the other threads only send.
"""

from __future__ import annotations

import _thread
from _thread import allocate_lock, get_native_id, start_new_thread
from collections import deque
from typing import TYPE_CHECKING, Callable, Protocol

from ...base import clocks
from ...base.interrupts import ours
from ..http import transport
from ..http.transport import Outcome
from ..threads import take_no_signals

if TYPE_CHECKING:
    from ..spool.names import SpoolEntry

    Completed = tuple[SpoolEntry, Outcome]

MOST = 8  # requests in flight
_WANTED = 0.01  # seconds for each envelope; connections are added to come near to it
_WEIGHT = 0.2  # of the last response time, in the average


class Connection(Protocol):
    """What sends an envelope: a Transport, or a test's own."""

    def send(self, data: bytes) -> Outcome: ...
    def close(self) -> None: ...


class ParallelRequests:
    def __init__(
        self,
        first: Connection,
        connect_another: Callable[[], Connection] | None,
        tick: Callable[[], float] = clocks.monotonic,
        await_end: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Without `connect_another` there is one connection. `await_end` is called with the system's id of each thread.

        Nothing here may be shared with a forked child.
        """
        self._all = [first]
        self._free = [first]
        self._connect_another = connect_another
        self._tick = tick
        self._await_end = await_end
        self._completed: deque[tuple[SpoolEntry, Outcome, Connection, float]] = deque()
        self._news = allocate_lock()  # free while something has completed since the last `_collect`
        self._news.acquire()
        self._in_flight = 0
        self._threads: dict[int, int] = {}  # connection → the system's id of the last thread that used it
        self._response_time = 0.0  # seconds, on average; 0.0 while unknown

    @property
    def width(self) -> int:
        """How many requests may be in flight at present."""
        return 1 if self._connect_another is None else max(1, min(MOST, int(self._response_time / _WANTED)))

    def send(self, entry: SpoolEntry, data: bytes) -> list[Completed]:
        """Send it as soon as the width allows. Return what has completed until then; with width 1, this one too."""
        completed = self._collect()
        while self._in_flight and self._in_flight >= self.width:
            completed += self._wait()
        connection = self._connection()
        if self.width > 1 and self._start(connection, entry, data):
            return completed
        self._send(connection, entry, data)
        return completed + self._wait()

    def wait_for_all(self) -> list[Completed]:
        """Return what has completed, once nothing is in flight."""
        completed = self._collect()
        while self._in_flight:
            completed += self._wait()
        for thread in self._threads.values():
            self._await_end(thread)
        self._threads.clear()
        return completed

    def close(self) -> None:
        """Close the connections. Nothing may be in flight."""
        for connection in self._all:
            connection.close()

    def _connection(self) -> Connection:
        if not self._free and self._connect_another is not None:
            another = self._connect_another()
            self._all.append(another)
            self._free.append(another)
        self._in_flight += 1
        return self._free.pop()

    def _start(self, connection: Connection, entry: SpoolEntry, data: bytes) -> bool:
        if _thread.start_new_thread is not start_new_thread:
            # gevent or eventlet patched it since: their locks in a connection belong to one thread of the system
            return False
        try:
            start_new_thread(self._send_in_thread, (connection, entry, data))
        except ours(RuntimeError):
            return False  # too many threads, or the process ends
        return True

    def _send_in_thread(self, connection: Connection, entry: SpoolEntry, data: bytes) -> None:
        take_no_signals()
        self._threads[id(connection)] = get_native_id()
        self._send(connection, entry, data)

    def _send(self, connection: Connection, entry: SpoolEntry, data: bytes) -> None:
        began = self._tick()
        try:
            outcome = connection.send(data)
        except ours(Exception) as error:  # a connection never raises; if one does, `_wait` must still return
            outcome = Outcome(transport.UNREACHABLE, detail=f"{type(error).__name__}: {error}")
        self._completed.append((entry, outcome, connection, self._tick() - began))
        try:
            self._news.release()
        except ours(RuntimeError):
            pass  # free already

    def _wait(self) -> list[Completed]:
        if not self._completed:
            self._news.acquire()
        return self._collect()

    def _collect(self) -> list[Completed]:
        self._news.acquire(False)
        found: list[Completed] = []
        while self._completed:
            entry, outcome, connection, took = self._completed.popleft()
            self._free.append(connection)
            self._in_flight -= 1
            if not outcome.status:
                self._response_time = 0.0  # no response at all: one request at a time until there is one
            else:
                self._response_time += (took - self._response_time) * (_WEIGHT if self._response_time else 1.0)
            found.append((entry, outcome))
        return found
