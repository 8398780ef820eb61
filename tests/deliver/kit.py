"""What the tests of delivery share: a clock to turn by hand, counters, and envelopes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

from agent.base.model import Envelope
from agent.deliver import wire
from agent.deliver.http.transport import ACCEPTED, Outcome
from agent.deliver.send.resources import Resources, to_sentry
from agent.deliver.spool.spool import Spool

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Time:
    """A clock that only `sleep` moves, and `leap` sets as a person would."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now
        self.leapt = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def uptime(self) -> float:
        return self.now - self.leapt - 1_600_000_000.0

    def leap(self, seconds: float) -> None:
        self.now += seconds
        self.leapt += seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Counts:
    def __init__(self) -> None:
        self.all: Counter[tuple[str, str]] = Counter()

    def __call__(self, reason: str, category: str, number: int) -> None:
        self.all[reason, category] += number

    def of(self, reason: str) -> int:
        return sum(number for (each, _), number in self.all.items() if each == reason)


class Script:
    """A connection with a list of outcomes; afterwards it accepts everything."""

    def __init__(self, *outcomes) -> None:
        self.outcomes = list(outcomes)
        self.sent: list[str] = []
        self.closed = 0

    def send(self, data: bytes) -> Outcome:
        self.sent.append(wire.decode(data).headers["event_id"])
        outcome = self.outcomes.pop(0) if self.outcomes else Outcome(ACCEPTED, 200)
        return outcome(self.sent[-1]) if callable(outcome) else outcome

    def close(self) -> None:
        self.closed += 1


def through(connection, resources: Resources, **options) -> Resources:
    """The same resources with one connection."""
    return resources._replace(connect=lambda _: connection, parallel=False, **options)


class Kit:
    def __init__(self, directory, counts: Counts, clock: Time) -> None:
        self.directory = str(directory)
        self.counts = counts
        self.clock = clock

    def spool(self, **options) -> Spool:
        settings = {
            "max_size": 64 << 20,
            "max_age": 7 * 86400.0,
            "durable": False,
            "count": self.counts,
            "clock": self.clock,
            "uptime": self.clock.uptime,
        }
        return Spool(self.directory, **{**settings, **options})

    def resources(self, spool: Spool, connection=None, dsn: str = "http://key@127.0.0.1:9/1", **options) -> Resources:
        """With `connection`, that one alone sends."""
        made = to_sentry(spool, dsn, self.counts)._replace(
            clock=self.clock, tick=self.clock.uptime, sleep=self.clock.sleep, random=lambda: 0.5
        )
        return through(connection, made, **options) if connection is not None else made._replace(**options)

    def files(self, folder: str = "new") -> list[str]:
        try:
            return sorted(os.listdir(os.path.join(self.directory, folder)))
        except OSError:
            return []

    def ids(self, folder: str = "new") -> list[str]:
        return [name.split("-")[4][:32] for name in self.files(folder) if name.endswith(".envelope")]


def new_id() -> str:
    return os.urandom(16).hex()


def envelope(event_id: str | None = None, category: str = "error", size: int = 100) -> Envelope:
    event_id = event_id or new_id()
    kind = {"error": "event", "session": "sessions"}.get(category, category)
    payload = b'{"event_id":"%s","message":"%s"}' % (event_id.encode(), b"x" * size)
    return Envelope(event_id, category, wire.encode(event_id, kind, payload))


def python(code: str, *arguments: str, **options) -> subprocess.Popen:
    """A process that has the agent and this kit on its path."""
    paths = [ROOT, os.path.join(ROOT, "tests"), os.path.join(ROOT, "tests", "deliver")]
    paths += filter(None, [os.environ.get("PYTHONPATH")])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "AGENT_TESTING": "1", "AGENT_DISABLED": "1"}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment, **options)
