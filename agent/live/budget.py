"""Keeps what each monitor costs this process within its budget, which is a share of the process's time.

What it costs: the time that its callbacks took (`observe.call.cost`), and its calls times what counting one costs,
which is measured once. Above the budget for some seconds, fewer successes are looked at; where that does not help, the
code in its functions is exchanged for one that only counts successes, then for one that a success does not pay for, and
at last for none. For how long calls were not counted is counted instead. Each monitor comes back by itself after a
pause, which is longer each time.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..base import clocks
from ..base.errors import CannotPatch
from ..base.interrupts import ours
from ..base.model import Captured, Observation
from ..observe.call.cost import GIVEN_UP
from . import price
from .while_idle import WhileIdle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..measure.tally import Tally
    from ..observe.call.cost import Cost
    from ..observe.call.probe import Probe

    Substitute = Callable[[str, Callable[[Probe], Probe]], int]

#: Looks above the budget until something is done; and from then on, until more is.
_PATIENCE, _IMPATIENCE = 3, 2
_SHORTEST = 0.9  # seconds between two looks
#: Seconds until a monitor comes back: the first time, the next time, and from then on.
PAUSES = (60.0, 300.0, 1800.0)
#: Seconds without need after which the pause is the first one again.
WELL = 3600.0
_MOST = 10_000  # of so many successes one is looked at; if that is too much still, the monitor is taken out

FULL, SAMPLED, COUNTED, FAILURES, OUT = range(5)
_WORDS = {
    COUNTED: "successes are only counted",
    FAILURES: "only failures are reported and counted",
    OUT: "it is taken out of its functions",
}


class _Watched:
    """One monitor."""

    __slots__ = ("announced", "level", "misses", "over", "pause", "probe", "until")

    def __init__(self) -> None:
        self.level = FULL
        self.misses = False  # are there calls that it does not count?
        self.over = 0  # looks in a row
        self.pause = 0  # of `PAUSES`, the next one
        self.until = 0.0  # when it comes back, or came back
        self.probe: Probe | None = None  # of one of its functions
        self.announced = ""  # the severity of its event


class Budget:
    """`costs` are those of all monitors, by name. `look` is called by a thread while a monitor is out.

    `substitute(monitor, new)` exchanges the probes in its functions for what `new` returns; `record(monitor, words)`
    shows these in `status`. `clock` returns seconds.
    """

    def __init__(
        self,
        costs: Mapping[str, Cost],
        *,
        substitute: Substitute,
        tallies: Callable[[], Iterable[Tally]],
        report: Callable[[Observation], object],
        record: Callable[[str, str], None],
        look: Callable[[], None],
        clock: Callable[[], float] = clocks.monotonic,
    ) -> None:
        self._costs, self._substitute, self._tallies = costs, substitute, tallies
        self._send, self._record, self._clock = report, record, clock
        self.watched: dict[str, _Watched] = {}
        self._calls: dict[Tally, int] = {}  # at the last look
        self._at = self._cleared = clock()
        self._pid = os.getpid()
        # What a call of a function that nothing else monitors would bring: the look at which it comes back.
        self.thread = WhileIdle("bringing back what cost too much", self._is_anything_out, look)

    def _is_anything_out(self) -> bool:
        return any(each.level > SAMPLED and each.until < float("inf") for each in list(self.watched.values()))

    def look(self) -> None:
        """Called about once a second, if anything happens in the process."""
        now = self._clock()
        elapsed = now - self._at
        if elapsed < _SHORTEST:
            return
        self._at = now
        counting, least = self._counting()
        forked, self._pid = self._pid != os.getpid(), os.getpid()
        for name, cost in list(self._costs.items()):
            watched = self.watched.get(name)
            if watched is None or not (watched.level or watched.over):
                if not (name in counting or cost.spent or cost.checked or cost.skipped or cost.faults or cost.given_up):
                    continue
                watched = watched or self.watched.setdefault(name, _Watched())
            checked, spent, skipped = cost.taken()
            if watched.misses:
                self._note_uncounted(name, elapsed)
            if cost.budget is not None and not forked:
                rest = spent + counting.get(name, 0.0) + (skipped * price.of_a_skipped_call() if skipped else 0.0)
                self._judge(name, watched, checked / elapsed, rest / elapsed, least.get(name, 0.0) / elapsed, now)
            if len(cost.faults) >= GIVEN_UP and watched.until < float("inf"):
                self._switch_off(name, watched)
            while cost.given_up:
                rule, why = cost.given_up.popitem()
                self._record(f"{name}, {rule}", f"not evaluated any more in this process: {why}")
        if now - self._cleared > WELL:
            self._cleared = now
            for cost in list(self._costs.values()):
                cost.faults.clear()
        if self._is_anything_out():
            self.thread.wake()

    def _note_uncounted(self, name: str, seconds: float) -> None:
        for tally in list(self._tallies()):
            if tally.monitor["name"] == name:
                tally.uncounted(seconds)

    def _counting(self) -> tuple[dict[str, float], dict[str, float]]:
        """Seconds that counting took since the last time, by monitor; and those that it would take at the least."""
        found: dict[str, float] = {}
        least: dict[str, float] = {}
        known = self._calls
        for tally in list(self._tallies()):
            calls = tally.calls
            more = calls - known.get(tally, 0)
            if not more:
                continue
            known[tally] = calls
            if more > 0:  # a forked child begins at zero
                cost = more * (price.of_a_call(tally.monitor) if tally.is_batched else price.of_a_counted_call())
                name = tally.monitor["name"]
                found[name] = found.get(name, 0.0) + cost
                least[name] = least.get(name, 0.0) + more * price.of_an_item()
        return found, least

    def _judge(self, name: str, watched: _Watched, checked: float, rest: float, least: float, now: float) -> None:
        """`checked` and `rest` are the shares that looking at successes and all else took; `least` is what counting
        calls would take: 0.0 where they are not counted.
        """
        cost = self._costs[name]
        budget = cost.budget or 1.0
        if watched.level and now >= watched.until:
            self._bring_back(name, watched, now)
        elif checked + rest <= budget:
            watched.over = 0
        else:
            watched.over += 1
            if watched.over >= (_IMPATIENCE if watched.level else _PATIENCE):
                watched.over = 0
                self._reduce(name, watched, checked, rest, least, now)

    def _reduce(self, name: str, watched: _Watched, checked: float, rest: float, least: float, now: float) -> None:
        cost = self._costs[name]
        budget = cost.budget or 1.0
        if watched.level == FULL:
            if now - watched.until > WELL:
                watched.pause = 0
            pause = PAUSES[watched.pause]
            watched.until = now + pause
            watched.pause = min(watched.pause + 1, len(PAUSES) - 1)
        every = cost.every * -int(-checked / max(budget - rest, budget / 10) // 1)  # rounded up
        if watched.level <= SAMPLED and rest < budget and every <= _MOST:
            watched.level, cost.every = SAMPLED, every
            what = f"of its successes, 1 in {every} is looked at"
        else:
            cost.every = 1
            if watched.level <= SAMPLED or not self._exchange(name, watched):  # no function was patched since
                cheap = watched.level <= SAMPLED and 0.0 < least < budget
                watched.level = COUNTED if cheap else min(max(watched.level + 1, FAILURES), OUT)
                self._exchange(name, watched)
            what = _WORDS[watched.level]
        until = clocks.strftime("%H:%M:%S", clocks.localtime(clocks.time() + watched.until - now))
        share = f"{100 * (checked + rest):.3g}% of this process's time (budget {100 * budget:g}%)"
        words = f"cost {share}: {what} until {until}"
        self._record(name, words)
        severity = "warning" if watched.level == OUT else "info"  # as long as failures are reported, nothing is lost
        if watched.level > SAMPLED and watched.announced not in (severity, "warning"):
            self._report(watched, severity, "the monitor {monitor} {cost}", cost=words)

    def _exchange(self, name: str, watched: _Watched) -> int:
        """Reduce the probes in the functions of a monitor to its level; return how many were whole."""
        whole = []
        level = watched.level
        watched.misses = False

        def reduced(probe: Probe) -> Probe:
            watched.probe = probe.whole
            if probe.whole is probe:
                whole.append(probe)
            made = probe.reduced(counts=level == COUNTED, failures=level < OUT)
            watched.misses = watched.misses or made.misses_calls
            return made

        try:
            self._substitute(name, reduced)
        except ours(CannotPatch):  # the interpreter refuses the code of a function: it stays as it is
            pass
        return len(whole)

    def _switch_off(self, name: str, watched: _Watched) -> None:
        """Its own code failed again and again."""
        watched.level, watched.until = OUT, float("inf")
        self._exchange(name, watched)
        words = "switched off in this process: the agent's own code failed %d times, last while %s%s" % (
            GIVEN_UP, self._costs[name].faults[-1], " (a restart, or a change of the configuration, brings it back)",
        )  # fmt: skip
        self._record(name, words)
        self._report(watched, "warning", f"the monitor {name} {words}")

    def _bring_back(self, name: str, watched: _Watched, now: float) -> None:
        cost = self._costs[name]
        cost.every = 1
        if watched.level > SAMPLED:
            try:
                self._substitute(name, lambda probe: probe.whole)
            except ours(CannotPatch):
                return
        watched.level, watched.over, watched.announced, watched.until = FULL, 0, "", now
        watched.misses = False
        self._record(name, "")

    def bring_all_back(self) -> None:
        """Another plan is in force."""
        now = self._clock()
        for name, watched in list(self.watched.items()):
            if watched.level:
                self._bring_back(name, watched, now)

    def _report(self, watched: _Watched, severity: str, message: str, **captured: str) -> None:
        """`captured` holds what differs each time: the message alone groups the events."""
        watched.announced = severity
        probe = watched.probe
        if probe is None:
            return
        named = probe._named  # `monitor` has the placeholders that a call fills
        self._send(
            Observation(
                monitor=named.monitor,
                operation=named.operation,
                function=probe.path,
                report="budget",
                severity=severity,
                message=message,
                operations=[named.operation],
                captured=Captured(captured),
                ended=clocks.time(),
            )
        )
