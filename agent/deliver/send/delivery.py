"""The rules by which envelopes leave the spool: which one is next, and what an answer means for it and the others.

Counted: sent (kept); what the spool drops or sets aside, the spool counts.
"""

import os
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from ...base.dsn import DsnError
from ...base.interrupts import ours
from ..http import transport
from ..spool.spool import Count, Spool, UnreadableError
from .delivered import Delivered
from .lock import DeliveryLock
from .parallel import Connection, ParallelRequests
from .rate_limits import ALL, BACKOFF, RateLimits

if TYPE_CHECKING:
    from ...base.model import Envelope
    from ..http.transport import Outcome
    from ..spool.spool import SpoolEntry

LONGEST_NAP = 30.0  # seconds after which even a long wait looks at the clock again
_LONGEST_BACKOFF = 120.0  # seconds
_REFUSED_WAIT = 900.0  # seconds after a 401 or 403: the DSN is wrong, and only a person can change that
_LOCK_RETRY = (0.1, 5.0)  # seconds between tries while another process delivers: first, and at most
_BRIEF = 0.25  # seconds of backoff that are slept where we are, without a new look at the folder
_SOONER = 6  # doublings by which all are tried again sooner than one that failed
_BATCH = 1000  # envelopes that one look at the folder finds


class Resources(NamedTuple):
    """What a delivery works with; `clock` is that of the day, `tick` one that nobody sets."""

    spool: Spool
    connect: Callable[[], Connection]  # raises DsnError
    connect_another: Optional[Callable[[], Connection]]  # more of them, for a Sentry that is slow to answer
    counted: Count
    clock: Callable[[], float]
    tick: Callable[[], float]
    sleep: Callable[[float], None]
    random: Callable[[], float]  # numbers in [0, 1)
    first_backoff: float  # seconds
    between: Callable[[], None] = lambda: None  # two envelopes: what else whoever delivers has to do


class Delivery:
    """Turns at the spool, taken by one thread or one command. `run` takes a turn."""

    def __init__(
        self,
        resources: "Resources",
        already_delivered: Delivered,
        *,
        ends: Callable[[], bool],
        eager: bool = False,
        progress: "Callable[[int, int], None] | None" = None,
    ) -> None:
        """`ends` is asked before each envelope. An `eager` one forgets earlier backoff and waits for its turn."""
        self._resources = resources
        self._spool = resources.spool
        self._already_delivered = already_delivered
        self._ends = ends
        self._waits_for_turn = self._eager = eager
        self._progress = progress
        directory = resources.spool.directory
        self._limits = RateLimits(directory, resources.clock)
        self._lock = DeliveryLock(directory)
        self._lock_wait = _LOCK_RETRY[0]
        self._requests: ParallelRequests | None = None
        self._failed: dict[str, tuple[int, float]] = {}  # name → times, not to be tried again before (in ticks)
        self._failing: set[str] = set()  # names that failed since something was last taken
        self._failures = 0  # how often they did
        self._pid = os.getpid()
        self.own_waiting = 0  # of this process's envelopes, as the last look found them, and since then
        self.had_its_turn = False  # in the last `run`: no other process was delivering
        self.delivered = 0
        self.quarantined = 0
        self.trouble = ""  # why the last try did not deliver

    def rest(self) -> None:
        """Give the connections back."""
        requests, self._requests = self._requests, None
        if requests is not None:
            requests.close()

    def run(self) -> "float | None":
        """Deliver what can be delivered now. Seconds until it makes sense to look again; None when nothing waits."""
        usable = self._spool.usable()
        self.had_its_turn = True
        if usable:
            self._spool.sweep_if_due(self._ends)  # also while nothing can be sent
        wait = self._limits.wait()
        if wait and not self._eager:
            return wait
        try:
            if self._requests is None:
                self._requests = ParallelRequests(
                    self._resources.connect(), self._resources.connect_another, self._resources.tick
                )
            requests = self._requests
        except ours(DsnError) as error:
            self.trouble = str(error)
            return LONGEST_NAP
        self._spool.settle()
        held = self._lock.take() if usable else None
        if held is False:
            return self._yield_to_other(requests)
        try:
            if held:
                self._limits.load()
                self._already_delivered.load()
                if self._eager:
                    self._limits.forget_backoff()
                    self._eager = False
            self._lock_wait = _LOCK_RETRY[0]
            return self._on_hold(self._limits.wait()) or self._deliver(requests, memory_only=not held)
        finally:
            if held:
                self._already_delivered.save()
            self._lock.release()

    def _yield_to_other(self, requests: ParallelRequests) -> "float | None":
        """Another process delivers: stay only while something of ours might be left to us."""
        self.had_its_turn = False
        self.trouble = "another process is delivering"
        wait = self._deliver(requests, memory_only=True)
        if not self._waits_for_turn and wait is None and not self.own_waiting:
            return None
        first = self._lock_wait
        self._lock_wait = min(first * 2, _LOCK_RETRY[1])
        return first * (0.5 + self._resources.random())

    def _deliver(self, requests: ParallelRequests, *, memory_only: bool) -> "float | None":
        while True:
            look = _Look(self, memory_only=memory_only)
            batch = self._spool.waiting(_BATCH, look.wanted)
            self.own_waiting = look.own
            self._failed = {name: self._failed[name] for name in look.failed}
            if not batch:
                return self._on_hold(look.soonest)
            wait = self._one_by_one(requests, batch, look.ready)
            if wait is not None:
                return wait
            self._spool.sweep_if_due(self._ends)

    def _one_by_one(self, requests: ParallelRequests, batch: "list[SpoolEntry]", ready: int) -> "float | None":
        """Seconds to wait with all that is left of the batch, or None. Nothing is on the way when this returns."""
        try:
            for index, entry in enumerate(batch):
                if self._ends():
                    return 0.0
                self._resources.between()
                if self._wait(entry):
                    continue  # a limit that came with an answer to this batch
                envelope = self._read(entry)
                if envelope is not None:
                    self._judge(requests.send(entry, envelope.data))
                if self._progress is not None:
                    done = self.delivered + self.quarantined
                    self._progress(done, done + ready - index - 1)
                wait = self._limits.wait()
                if wait > _BRIEF:
                    return wait
                if wait:
                    self._resources.sleep(wait)
        finally:
            self._judge(requests.wait_for_all())
        return self._long_wait()

    def _long_wait(self) -> "float | None":
        wait = self._limits.wait()
        return wait if wait > _BRIEF else None

    def _on_hold(self, seconds: "float | None") -> "float | None":
        if seconds and not self.trouble:
            self.trouble = f"an earlier answer, or the lack of one, asks for {int(-(-seconds // 1))} s more of patience"
        return seconds

    def _wait(self, entry: "SpoolEntry") -> float:
        _, not_before = self._failed.get(entry.name, (0, 0.0))
        return max(self._limits.wait(entry.category), not_before - self._resources.tick(), 0.0)

    def _read(self, entry: "SpoolEntry") -> "Envelope | None":
        try:
            return self._spool.read(entry)
        except ours(UnreadableError) as error:
            self._set_aside(entry, f"cannot be read: {error}")
        except ours(OSError) as error:
            self.trouble = f"cannot be read: {error}"
            self._fail(entry)
        return None

    def _judge(self, completed: "list[tuple[SpoolEntry, Outcome]]") -> None:
        for entry, outcome in completed:
            self._judge_one(entry, outcome)

    def _judge_one(self, entry: "SpoolEntry", outcome: "Outcome") -> None:
        for category, seconds in outcome.limits.items():
            self._limits.limit(category or ALL, seconds)
        if outcome.kind == transport.ACCEPTED:
            self._succeed(entry)
            return
        self.trouble = outcome.detail
        if outcome.kind == transport.REJECTED:
            self._set_aside(entry, outcome.detail)
            return
        if outcome.kind == transport.REFUSED:
            self._limits.limit(BACKOFF, _REFUSED_WAIT)
        elif outcome.kind == transport.UNREACHABLE or not self._limits.wait(entry.category):
            self._fail(entry)  # the second: a 429 that limits other categories than this one
        if self._limits.wait(entry.category) > _BRIEF:
            self._limits.set_reason(outcome.detail)
            self._limits.save()

    def _succeed(self, entry: "SpoolEntry") -> None:
        if not self._spool.remove(entry):
            self._already_delivered.add(entry.name)  # the folder is read-only now, or somebody else removed it
        self.delivered += 1
        self.own_waiting -= entry.pid == self._pid
        self._failing.clear()
        self._failures = 0
        self.trouble = ""
        self._limits.set_reason("")
        self._limits.save()
        self._resources.counted("sent", entry.category, 1)

    def _set_aside(self, entry: "SpoolEntry", reason: str) -> None:
        try:
            self._spool.quarantine(entry, reason)
        except ours(OSError) as error:
            self.trouble = f"cannot be set aside: {error}"
            self._fail(entry)
            return
        self.quarantined += 1
        self.own_waiting -= entry.pid == self._pid

    def _fail(self, entry: "SpoolEntry") -> None:
        """Wait with this envelope the longer the oftener it failed, and with all of them once a second one fails too.

        So one that Sentry chokes on holds up no other, a Sentry that fails now and then is still worth its while, and
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


class _Look:
    """One look at the folder: what may go now, and when the soonest of the others may."""

    def __init__(self, delivery: "Delivery", *, memory_only: bool) -> None:
        self._delivery = delivery
        self._memory_only = memory_only
        self.own = 0  # of this process
        self.ready = 0
        self.soonest: float | None = None
        self.failed: list[str] = []

    def wanted(self, entry: "SpoolEntry") -> bool:
        delivery = self._delivery
        self.own += entry.pid == delivery._pid
        if entry.name in delivery._failed:
            self.failed.append(entry.name)
        if self._memory_only and entry.data is None:
            return False
        if entry.name in delivery._already_delivered:
            if delivery._spool.remove(entry):
                delivery._already_delivered.discard(entry.name)
            return False
        wait = delivery._wait(entry)
        if wait:
            self.soonest = wait if self.soonest is None else min(self.soonest, wait)
            return False
        self.ready += 1
        return True
