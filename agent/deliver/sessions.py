"""Release health without the Sentry SDK: how many requests of a release succeeded, had an error, or crashed.

https://develop.sentry.dev/sdk/telemetry/sessions/ describes the format. Requests are counted by the minute in which
they end, and a full minute is sent with the first request after it: no thread has to wait for that. What a process has
counted when it is killed is lost, as it is with the SDK; its events are not.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from typing import TYPE_CHECKING, Callable

from ..base import clocks
from ..base.model import Envelope
from ..base.version import __version__
from ..observe.event.encode import encode
from ..privacy import scrub
from . import wire

if TYPE_CHECKING:
    from ..base.model import Json

_OUTCOMES = ("exited", "errored", "crashed")  # of `work`, in its order


class Sessions:
    def __init__(
        self,
        keep: Callable[[Envelope], None],
        *,
        release: str,
        environment: str | None,
        clock: Callable[[], float] = clocks.time,
    ) -> None:
        self._keep = keep
        self._attributes: dict[str, Json] = {"release": release}
        if environment:
            self._attributes["environment"] = environment
        self._clock = clock
        self.after_fork()

    def after_fork(self) -> None:
        """In the child: the parent sends its own counts."""
        self._lock = allocate_lock()
        self._minute = 0
        self._counted: dict[int, list[int]] = {}

    def add(self, outcome: int) -> None:
        """Count a request that has ended. `outcome` is one of those in `work`."""
        minute = int(self._clock() // 60)
        with self._lock:
            counts = self._counted.get(minute)
            if counts is None:
                counts = self._counted[minute] = [0, 0, 0]
            counts[outcome] += 1
            done = []
            if minute != self._minute:
                self._minute = minute
                done = [(each, self._counted.pop(each)) for each in list(self._counted) if each != minute]
        if done:
            self._send(done)

    def close(self) -> None:
        """Send what is counted at the end of the process, even if the minute is not over."""
        with self._lock:
            done, self._counted = list(self._counted.items()), {}
        if done:
            self._send(done)

    def _send(self, done: list[tuple[int, list[int]]]) -> None:
        aggregates: list[Json] = [
            {"started": _moment(minute * 60), **{name: number for name, number in zip(_OUTCOMES, counts) if number}}
            for minute, counts in sorted(done)
        ]
        payload = encode(scrub.scrub({"attrs": self._attributes, "aggregates": aggregates}))
        envelope_id = os.urandom(16).hex()
        headers: dict[str, Json] = {"sdk": {"name": "erp-sentry-agent", "version": __version__}}
        self._keep(Envelope(envelope_id, "session", wire.encode(envelope_id, "sessions", payload, headers)))


def _moment(seconds: int) -> str:
    return clocks.strftime("%Y-%m-%dT%H:%M:%SZ", clocks.gmtime(seconds))
