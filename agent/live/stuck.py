"""Reports calls that do not return: once while they run, with the stack that they wait in, and once when they return.

A thread looks at the stacks; monitored calls pay nothing. A call is recognised by its frame, which is held from the
second look on that sees it: so what is reported is one call, not many short ones, and it has run at least that long.
"""

from __future__ import annotations

import os
from _thread import get_ident
from typing import TYPE_CHECKING, cast

from ..base import clocks, guard
from ..base.interrupts import ours
from ..base.model import Observation
from ..deliver.background.worker import Worker
from ..observe.call import callers, stacks
from . import limits_of_hosts, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from ..deliver.background.worker import State
    from .running import Call

_LOOKS = 8  # in the time after which a call is stuck
_SHORTEST, _LONGEST = 0.1, 5.0  # seconds between two looks
_HELD = 0.5  # the longest while a call is held: what it has finished with is freed that much later
_SHARE = 0.01  # of the time, at most, for looking everywhere
_MOST = 1_000  # calls that are followed
_NEVER = float("inf")
_TOLERANCE = 0.05  # seconds by which a look may come too early


class _Followed:
    __slots__ = ("call", "earliest", "reported", "since")

    def __init__(self, call: Call, since: float, earliest: float) -> None:
        self.call = call
        self.since = since  # it has run since then at least
        self.earliest = earliest  # and no longer than since then
        self.reported = False


class Stuck(Worker):
    """`report` takes an Observation. `clock` returns seconds."""

    def __init__(
        self,
        report: Callable[[Observation], object],
        count: Callable[[str, str], None],
        clock: Callable[[], float] = clocks.monotonic,
    ) -> None:
        super().__init__("looking for calls that do not return")
        self._send, self._count, self._clock = report, count, clock
        self._shortest = _NEVER  # of the limits of all monitors
        self._hosts = _NEVER  # the shortest time limit of a server or worker that was seen
        self._times = clock(), clock()  # of the last two looks
        self._once: set[int] = set()  # frames that the last look saw for the first time
        self.followed: dict[int, _Followed] = {}
        self._pid = 0
        self._everywhere_at = 0.0  # when to look for greenlets again that are not known

    def follow(self, seconds: float) -> None:
        """There is a monitor with this limit."""
        self._shortest = min(self._shortest, seconds)
        self.keep_looking()

    def follow_only(self, limits: list[float]) -> None:
        """Another plan is in force: these are the limits of all monitors now. Without any, the thread ends."""
        self._shortest = min(limits, default=_NEVER)

    def keep_looking(self) -> None:
        """Called now and then: a fork ends the thread."""
        if self._shortest == _NEVER:
            return
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._once, self.followed = set(), {}
        self.wake()

    def after_fork(self) -> None:
        super().after_fork()
        running.after_fork()

    def serve(self, state: State) -> None:
        state.gate.acquire(False)
        me = get_ident()
        while not state.stopping() and self._shortest < _NEVER:
            state.pause(self._pause())
            if not state.stopping():
                try:
                    self.look(me)
                except ours(Exception):
                    guard.swallow("looking for calls that do not return")
        if self._shortest == _NEVER:
            self._once, self.followed = set(), {}

    def _pause(self) -> float:
        return min(self._interval(), _HELD) if self.followed else self._interval()

    def _interval(self) -> float:
        return min(max(min(self._shortest, self._hosts) / _LOOKS, _SHORTEST), _LONGEST)

    def look(self, me: int) -> None:
        """Follow what runs; report what has run for too long, and what has returned after it was reported."""
        now = self._clock()
        there: dict[int, Call] = {}
        everywhere = now >= self._everywhere_at
        with stacks.of_others:
            for call in running.calls(me, everywhere=everywhere):
                if call.probe.monitor["stuck"] is not None:
                    there.setdefault(id(call.frame), call)
        for key, followed in list(self.followed.items()):
            if key not in there:
                del self.followed[key]
                if followed.reported:
                    self._report(followed, now, returned=True)
        for key, call in there.items():
            known = self.followed.get(key)
            if known is None:
                self._hosts = min(self._hosts, limits_of_hosts.of(call.top) or _NEVER)
                if key in self._once and len(self.followed) < _MOST:
                    self.followed[key] = _Followed(call, now, self._times[0])
                continue
            known.call = call
            if not known.reported and self._is_stuck(known, now):
                known.reported = True
                self._report(known, now, returned=False)
        self._once = there.keys() - self.followed.keys()
        self._times = self._times[1], now
        if everywhere:
            after = self._clock()
            self._everywhere_at = max(now + self._interval(), after + (after - now) / _SHARE) - _TOLERANCE

    def _is_stuck(self, followed: _Followed, now: float) -> bool:
        call = followed.call
        if now - followed.since >= (call.probe.monitor["stuck"] or 0.0):
            return True
        hosts = limits_of_hosts.of(call.top)  # which does not wait until it is certain how long the call has run
        return hosts is not None and now - followed.earliest >= hosts * 0.8

    def _report(self, followed: _Followed, now: float, *, returned: bool) -> None:
        call = followed.call
        probe, terms = call.probe, call.probe.terms
        if terms.limits.admit(("stuck", probe.path, returned)) is None:
            self._count("rate", terms.name)
            return
        seconds = now - followed.since
        try:
            called = probe.called(call.frame)
            operations = callers.operations(call.frame)
        except ours(Exception):  # its frame is gone
            called, operations = probe._named, []
        message = "{operation} returned after more than {duration}" if returned else _MESSAGES[call.where]
        self._send(
            Observation(
                monitor=called.monitor,
                operation=called.operation,
                function=probe.path,
                report="stuck",
                severity="info" if returned else terms.monitor["severity"],
                message=message,
                traceback=None if returned else cast("TracebackType", call.stack()),
                frame=None if returned or call.chain else call.top,
                duration=seconds,
                threshold=terms.monitor["stuck"],
                operations=operations or [called.operation],
                ended=clocks.time(),
            )
        )


_MESSAGES = {
    "thread": "{operation} has not returned for more than {duration}",
    "task": "{operation} has not returned for more than {duration} (an asyncio task)",
    "greenlet": "{operation} has not returned for more than {duration} (a greenlet)",
}
