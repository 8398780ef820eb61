"""Whatever happens between two steps, every event is in exactly one place until it is too old, and readers see it once."""

from __future__ import annotations

import os
import shutil
import tempfile

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from kit import Counts, Kit, Script, Time
from test_history import event

from agent.deliver.history.events import Follower, Wanted, local_events
from agent.deliver.history.history import History
from agent.deliver.http import transport
from agent.deliver.http.transport import Outcome
from agent.deliver.send.flush import flush

HOUR = 3600.0
ANSWERS = {
    "accept": Outcome(transport.ACCEPTED, 200),
    "refuse": Outcome(transport.REJECTED, 413, "HTTP 413"),
    "fail": Outcome(transport.UNREACHABLE, 503, "HTTP 503"),
}


class Killed(BaseException):
    """The process dies at this system call."""


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="history-")
        self.clock = Time()
        self.counts = Counts()
        self.kit = Kit(os.path.join(self.folder, "spool"), self.counts, self.clock)
        self.captured: dict[str, float] = {}
        self.accepted: list[str] = []  # ids, as Sentry has them
        self.killed = 0
        self.followed: list[str] = []
        self.spool().write(event(10**6))
        self.captured[f"{10**6:032x}"] = self.clock.now
        self.follower = Follower([self.kit.directory], Wanted(since=0.0))

    def spool(self):
        return self.kit.spool(history=(24 * HOUR, 10**9))

    @rule(many=st.integers(1, 40))
    def capture(self, many: int) -> None:
        spool = self.spool()
        for _ in range(many):
            number = len(self.captured)
            self.captured[f"{number:032x}"] = self.clock.now
            spool.write(event(number))
            self.clock.now += 0.01

    @rule(answers=st.lists(st.sampled_from(sorted(ANSWERS)), max_size=8), dies_after=st.none() | st.integers(0, 30))
    def deliver(self, answers: list[str], dies_after: int | None) -> None:
        script = Script(*(ANSWERS[answer] for answer in answers))

        def send(data, original=script.send):
            outcome = original(data)
            if outcome.kind == transport.ACCEPTED:
                self.accepted.append(script.sent[-1])
            return outcome

        script.send = send
        with self.dying(dies_after):
            flush(self.kit.resources(self.spool(), script), 5.0)

    @rule(dies_after=st.none() | st.integers(0, 30))
    def sweep(self, dies_after: int | None) -> None:
        with self.dying(dies_after):
            History(self.kit.directory, 24 * HOUR, 10**9, self.spool().ages, self.clock).sweep()

    @rule(hours=st.sampled_from([0.01, 0.5, 5, 13]))
    def wait(self, hours: float) -> None:
        self.clock.now += hours * HOUR

    @rule()
    def follow(self) -> None:
        self.followed += [each.id for each in self.follower.look()]

    def dying(self, after: int | None):
        return _Dying(after, self)

    @invariant()
    def every_event_is_in_one_place_or_expired(self) -> None:
        shown = [each.id for each in local_events([self.kit.directory])]
        assert len(shown) == len(set(shown))
        waiting = {name[-41:-9] for name in self.kit.files("new")} | {
            name[-41:-9] for name in self.kit.files("quarantine") if name.endswith(".envelope")
        }
        kept = set(shown) - waiting
        assert waiting <= set(shown)
        assert kept <= set(self.accepted)
        for id_ in self.captured.keys() - set(shown):
            assert id_ in self.accepted, id_
            assert self.clock.now - self.captured[id_] > 24 * HOUR, id_
        assert len(self.accepted) - len(set(self.accepted)) <= self.killed  # sent twice: only after a death

    @invariant()
    def a_follower_prints_nothing_twice(self) -> None:
        assert len(self.followed) == len(set(self.followed))

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


class _Dying:
    """Ends a step at its nth change of the disk."""

    CALLS = ("rename", "unlink", "replace", "write", "mkdir")

    def __init__(self, after: int | None, model: Model) -> None:
        self._left = after
        self._model = model
        self._originals = {name: getattr(os, name) for name in self.CALLS}

    def __enter__(self) -> None:
        if self._left is None:
            return
        for name, original in self._originals.items():
            setattr(os, name, self._wrapped(original))

    def _wrapped(self, original):
        def call(*arguments, **options):
            if self._left == 0:
                raise Killed
            self._left -= 1
            return original(*arguments, **options)

        return call

    def __exit__(self, kind, *_: object) -> bool:
        for name, original in self._originals.items():
            setattr(os, name, original)
        if kind is Killed:
            self._model.killed += 1
        return kind is Killed


TestModel = Model.TestCase
TestModel.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
