"""The rules by which envelopes leave the spool: which one is next, and what a response means for it and the others.

Counted: sent (kept). The spool counts what it drops or quarantines.
"""

import os
from typing import TYPE_CHECKING, Callable

from ...base.interrupts import ours
from ...language.dsn import DsnError
from ..history.history import History
from ..history.shelves import Accepted, note_accepted
from ..http import transport
from ..spool.files import UnreadableError
from .lock import DeliveryLock
from .parallel import ParallelRequests
from .rate_limits import ALL, BACKOFF, RateLimits

if TYPE_CHECKING:
    from ...base.model import Envelope
    from ..http.transport import Outcome
    from ..spool.names import SpoolEntry
    from .resources import Resources

LONGEST_NAP = 30.0  # seconds after which even a long wait looks at the clock again
_LONGEST_BACKOFF = 120.0  # seconds
_REFUSED_WAIT = 900.0  # seconds after a 401 or 403: the DSN is wrong, and only a person can change that
_LOCK_RETRY = (0.1, 5.0)  # seconds between attempts while another process delivers: first, and at most
_BRIEF = 0.25  # seconds of back-off that are slept at once, without a new listing of the folder
_SOONER = 6  # doublings by which all envelopes are retried sooner than one that failed
BATCH = 1000  # envelopes of one listing


class Delivery:
    """Delivers a spool in turns, for one thread, process or command. `run` takes a turn."""

    def __init__(
        self,
        resources: "Resources",
        *,
        should_stop: Callable[[], bool],
        eager: bool = False,
        progress: "Callable[[int, int], None] | None" = None,
    ) -> None:
        """`should_stop` is called before each envelope. With `eager`, ignore earlier back-off and wait for the lock."""
        self._resources = resources
        self._spool = resources.spool
        self._already_delivered = resources.already_delivered
        self._should_stop = should_stop
        self._waits_for_lock = self._eager = eager
        self._progress = progress
        directory = resources.spool.directory
        self._history = History(directory, *resources.spool.history, resources.spool.ages, resources.clock)
        self._in_flight: dict[str, bytes] = {}  # name → what was sent
        self._limits = RateLimits(directory, resources.clock)
        self._lock = DeliveryLock(directory)
        self._lock_wait = _LOCK_RETRY[0]
        self._requests: ParallelRequests | None = None
        self._failed: dict[str, tuple[int, float]] = {}  # name → times, not to be retried before (in ticks)
        self._failing: set[str] = set()  # names that failed since the last envelope was accepted
        self._failures = 0  # how often they did
        self._pid = os.getpid()
        self._accepted: Accepted | None = None  # the last event that the history does not keep, in this turn
        self.own_waiting = 0  # envelopes of this process, as of the last listing and deliveries since
        self.had_lock = False  # in the last `run`: no other process was delivering
        self.delivered = 0
        self.quarantined = 0
        self.reason = ""  # why the last attempt did not deliver
        self.is_refused = False  # by a wrong DSN, address or proxy: only a person can change that

    def disconnect(self) -> None:
        """Close the connections; the next `run` opens others."""
        requests, self._requests = self._requests, None
        if requests is not None:
            requests.close()

    def run(self) -> "float | None":
        """Deliver what can be delivered now. Return the seconds until the next `run`; None when nothing waits."""
        usable = self._spool.usable()
        self.had_lock = True
        if usable:
            self._spool.sweep_if_due(self._should_stop)  # also while nothing can be sent
        wait = self._limits.wait()
        if wait and not self._eager:
            return wait
        try:
            requests = self._connect()
        except ours(DsnError) as error:
            self.reason = str(error)
            self.is_refused = True
            return LONGEST_NAP
        self._spool.write_from_memory()
        held = self._lock.take() if usable else None
        if held is False:
            return self._run_without_lock(requests)
        try:
            if held:
                self._limits.load()
                self._already_delivered.load()
                self._history.sweep_if_due(self._should_stop)
                if self._eager:
                    self._limits.forget_backoff()
                    self._eager = False
            self._lock_wait = _LOCK_RETRY[0]
            return self._explained(self._limits.wait()) or self._deliver(requests, memory_only=not held)
        finally:
            if held:
                self._already_delivered.save()
            if self._accepted is not None:
                note_accepted(self._spool.directory, self._accepted)
                self._accepted = None
            self._lock.release()

    def _connect(self) -> ParallelRequests:
        if self._requests is None:
            resources = self._resources
            another = (lambda: resources.connect(None)) if resources.parallel else None
            self._requests = ParallelRequests(resources.connect(None), another, resources.tick, resources.await_end)
        return self._requests

    def _run_without_lock(self, requests: ParallelRequests) -> "float | None":
        """Another process delivers the folder: send what this one has in memory, and stay while it may be needed."""
        self.had_lock = False
        self.reason = "another process is delivering"
        wait = self._deliver(requests, memory_only=True)
        if not self._waits_for_lock and wait is None and not self.own_waiting:
            return None
        first = self._lock_wait
        self._lock_wait = min(first * 2, _LOCK_RETRY[1])
        return first * (0.5 + self._resources.random())

    def _deliver(self, requests: ParallelRequests, *, memory_only: bool) -> "float | None":
        while True:
            batch, ready, soonest = self._list(memory_only=memory_only)
            if not batch:
                return self._explained(soonest)
            wait = self._send(requests, batch, ready)
            if wait is not None:
                return wait
            self._spool.sweep_if_due(self._should_stop)
            if not memory_only:
                self._history.sweep_if_due(self._should_stop)

    def _list(self, *, memory_only: bool) -> "tuple[list[SpoolEntry], int, float | None]":
        """Return a batch to send, the number of all that can be sent, and the seconds until the first other one can."""
        own = ready = 0
        soonest: float | None = None
        failed = {}

        def wanted(entry: "SpoolEntry") -> bool:
            nonlocal own, ready, soonest
            own += entry.pid == self._pid
            if entry.name in self._failed:
                failed[entry.name] = self._failed[entry.name]
            if memory_only and entry.data is None:
                return False
            if entry.name in self._already_delivered:
                if self._spool.remove(entry):
                    self._already_delivered.discard(entry.name)
                return False
            wait = self._wait(entry)
            if wait:
                soonest = wait if soonest is None else min(soonest, wait)
                return False
            ready += 1
            return True

        batch = self._spool.waiting(BATCH, wanted)
        self.own_waiting, self._failed = own, failed
        return batch, ready, soonest

    def _send(self, requests: ParallelRequests, batch: "list[SpoolEntry]", ready: int) -> "float | None":
        """Return the seconds to wait before the rest of the batch, or None. Nothing is in flight afterwards."""
        try:
            for index, entry in enumerate(batch):
                if self._should_stop():
                    return 0.0
                self._resources.between()
                if self._wait(entry):
                    continue  # a limit that came with a response to this batch
                envelope = self._read(entry)
                if envelope is not None:
                    self._in_flight[entry.name] = envelope.data
                    self._handle(requests.send(entry, envelope.data))
                if self._progress is not None:
                    done = self.delivered + self.quarantined
                    self._progress(done, done + ready - index - 1)
                wait = self._limits.wait()
                if wait > _BRIEF:
                    return wait
                if wait:
                    self._resources.sleep(wait)
        finally:
            self._handle(requests.wait_for_all())
        wait = self._limits.wait()
        return wait if wait > _BRIEF else None

    def _explained(self, seconds: "float | None") -> "float | None":
        if seconds and not self.reason:
            self.reason = f"backing off; next attempt in {int(-(-seconds // 1))} s"
        return seconds

    def _wait(self, entry: "SpoolEntry") -> float:
        _, not_before = self._failed.get(entry.name, (0, 0.0))
        return max(self._limits.wait(entry.category), not_before - self._resources.tick(), 0.0)

    def _read(self, entry: "SpoolEntry") -> "Envelope | None":
        try:
            return self._spool.read(entry)
        except ours(UnreadableError) as error:
            self._quarantine(entry, f"cannot be read: {error}")
        except ours(OSError) as error:
            self.reason = f"cannot be read: {error}"
            self._fail(entry)
        return None

    def _handle(self, completed: "list[tuple[SpoolEntry, Outcome]]") -> None:
        for entry, outcome in completed:
            data = self._in_flight.pop(entry.name)
            for category, seconds in outcome.limits.items():
                self._limits.limit(category or ALL, seconds)
            if outcome.kind == transport.ACCEPTED:
                self._succeed(entry, data, outcome.status)
                continue
            self.reason = outcome.detail
            if outcome.kind == transport.REJECTED:
                self._quarantine(entry, outcome.detail)
                continue
            self.is_refused = outcome.kind == transport.REFUSED
            if self.is_refused:
                self._limits.limit(BACKOFF, _REFUSED_WAIT)
            elif outcome.kind == transport.UNREACHABLE or not self._limits.wait(entry.category):
                self._fail(entry)  # the second: a 429 that limits other categories than this one
            self._limits.set_reason(outcome.detail)
            self._limits.save()

    def _succeed(self, entry: "SpoolEntry", data: bytes, status: int) -> None:
        accepted = Accepted(self._resources.clock(), status, self._resources.host)
        if not self._history.keep(self._spool.path(entry), entry, data, accepted):
            if not self._spool.remove(entry):
                self._already_delivered.add(entry.name)  # the folder is read-only now, or somebody else removed it
            if entry.category == "error":
                self._accepted = accepted
        self.delivered += 1
        self.own_waiting -= entry.pid == self._pid
        self._failing.clear()
        self._failures = 0
        self.is_refused = False
        self.reason = ""
        self._limits.set_reason("")
        self._limits.save()
        self._resources.add_count("sent", entry.category, 1)

    def _quarantine(self, entry: "SpoolEntry", reason: str) -> None:
        try:
            self._spool.quarantine(entry, reason)
        except ours(OSError) as error:
            self.reason = f"cannot be set aside: {error}"
            self._fail(entry)
            return
        self.quarantined += 1
        self.own_waiting -= entry.pid == self._pid

    def _fail(self, entry: "SpoolEntry") -> None:
        """Back off from this envelope, and from all of them once a second one fails too.

        So one that Sentry cannot process delays no other, a Sentry that fails now and then still gets its events, and
        one that is down is left alone.
        """
        times = self._failed.get(entry.name, (0, 0.0))[0] + 1
        self._failed[entry.name] = (times, self._resources.tick() + self._backoff(times))
        self._failing.add(entry.name)
        self._failures += 1
        if len(self._failing) > 1:
            self._limits.limit(BACKOFF, self._backoff(self._failures - _SOONER))

    def _backoff(self, failures: int) -> float:
        longest = min(self._resources.first_backoff * 2.0 ** (min(failures, 30) - 1), _LONGEST_BACKOFF)
        return longest * (0.5 + self._resources.random() / 2)
