"""The part of the agent that works: imported with the first module that a monitor names.

Wires the applier, the probes and the outlet together, and keeps them right across another plan, fork and exit.
"""

import os
import sys

from ..base import clocks, ending, guard
from ..base.health import Health
from ..base.interrupts import ours
from ..base.postponed import around_forks
from ..hook.targets.apply import Applier
from .costs import Costs
from .counting import Counting
from .frameworks import Frameworks
from .outlet import Outlet
from .probes import Probes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from ..base.model import Observation
    from ..deliver.sink import Sink
    from ..hook.targets.defined import Names
    from ..live.lines import Lines
    from ..live.while_idle import WhileIdle
    from ..plan.index import Index


class Engine:
    def __init__(
        self,
        index: "Index",
        state: str,
        look: "Callable[[], None]" = lambda: None,
        *,
        health: "Health | None" = None,
        sink: "Sink | None" = None,
    ) -> None:
        """`look` is called now and then, by requests and tasks: the configuration may have changed.

        `health` and `sink` replace those that write to `state`.
        """
        self.look = look
        self.recorded = 0  # lines about targets
        self.health = health or Health(
            os.path.join(state, "run"), index.path, index.stale, plan=index.identity, follows=index.follows
        )
        self._index = index
        self._undone = False
        ending.at_exit(self.close)
        self._notes = 0  # of index.notes, recorded so far
        self._beside: "list[tuple[str, str, str, str]]" = []  # of monitors beside the plan: decorators
        self.renewals: "list[Callable[[], None]]" = []  # of these: what other settings make of them
        self._looks = False  # with each request and task
        self._idle: "WhileIdle | None" = None  # where every monitor was taken out
        self._lines: "Lines | None" = None  # that somebody watches
        self.outlet = Outlet(index, state, self.health, sink)
        self.counting = Counting(index, self.outlet, look)
        if sys.version_info >= (3, 15) or "t" in getattr(sys, "abiflags", ""):
            from . import untested

            index.notes += untested.settle(index.injects)
            self.counting.works = not untested.FREE_THREADED
        self._record_problems(index)
        self._costs = Costs(self)
        self.frameworks = Frameworks(self)
        self.probes = Probes(self.outlet, self.counting, self._costs, self.frameworks, self.report)
        self.applier = Applier(index.monitors_of, self.probes.bind, self._record)
        around_forks(after_in_child=self._forked)

    def imported(self, name: str, module: "ModuleType", own: "Names | None" = None) -> None:
        """A module that a monitor or an integration names has just been run; `own` is what it defines, where known."""
        self.applier.imported(name, module, own or {})
        self.probes.begin_anew()
        self.frameworks.imported(name, module)
        if not self._looks:
            from ..observe.around import work

            self._looks, work.begins = True, self.look
        self.frameworks.follow_log()
        self._make_ready()
        for note in self._index.notes[self._notes :]:
            self.health.record("problem", note)
        self._notes = len(self._index.notes)
        self.health.flush()

    def defined(self, name: str, namespace: "dict[str, Any]", names: "set[str] | None") -> None:
        """A program that monitors know as `name` has defined `names`; None: it will define no more."""
        from ..hook.imports.main_module import module_in

        self.applier.defined(name, module_in(namespace), names)
        self._make_ready()
        self.health.flush()

    def look_again(self) -> None:
        """For what was not there when its module had run, and for classes that were made since."""
        before, retried = self.recorded, self.applier.retry()
        self.applier.follow()
        if retried or self.recorded != before:
            self._make_ready()
            self.health.flush()

    def _make_ready(self) -> None:
        if self.probes.any:
            self.outlet.make_ready()

    def follow(self, index: "Index", names: "list[str]", notes: "list[str]") -> None:
        """Another plan is in force from now on; `names` are the imported modules that it or the old one names."""
        self._index = self.counting.index = index
        everything = self.outlet.follow(index)
        if everything:
            self.frameworks.settings_changed()
        self.probes.replan()
        self.applier.replan(index.monitors_of, names, everything=everything)
        for renew in self.renewals if everything else ():
            renew()
        self.probes.look_only_for(self.applier.owners())
        self._make_ready()
        self._notes = 0
        self.health.restart(index.identity)
        self._record_problems(index)
        for problem in (*notes, *self.counting.problems):
            self.health.record("problem", problem)
        self.watch_lines()
        lines = self._lines.records() if self._lines is not None else ()
        for line in (*self._beside, *self.applier.records(), *lines):
            self.health.record(*line)
        self.health.flush()

    def watch_lines(self) -> None:
        """Watch the lines of the plan in force, and no others."""
        monitors = self._index.lines
        if self._lines is None and monitors:
            from ..live.lines import Lines

            self._lines = Lines(self.probes.terms_of, self.outlet.follow_user, self._record, self.look)
        if self._lines is not None:
            self._lines.follow(monitors)

    def look_while_idle(self) -> None:
        """No monitored call is left to look at the configuration: until there is one, a thread does."""
        from ..live.while_idle import WhileIdle

        if self._idle is None:
            what = "looking for a change of the configuration"
            self._idle = WhileIdle(what, lambda: not self.applier.is_applied, self.look)
        self._idle.wake()

    def keep_looking(self) -> None:
        """Called once a second, if anything happens: in a forked child, threads of the agent begin anew."""
        self.probes.keep_looking()
        self._costs.look()
        if self._lines is not None:
            self._lines.look()

    def record_beside(self, what: str, monitor: str, path: str, note: str) -> None:
        """What became of a monitor that is in no plan, and that another plan leaves alone."""
        self._beside.append((what, monitor, path, note))
        self._record(what, monitor, path, note)

    def note(self, problem: str) -> None:
        """Something that `status` is to show."""
        self.health.record("problem", problem)
        self.health.flush()

    def reduced(self, monitor: str, words: str) -> None:
        """Of a monitor over its budget, for `status`; no words: it is back."""
        self.health.record("reduced", monitor, words)
        self.health.flush()

    def _record_problems(self, index: "Index") -> None:
        for problem in index.problems:
            self.health.record("problem", problem)
        if index.stale:
            since = clocks.strftime("%Y-%m-%d %H:%M", clocks.localtime(index.stale_since))
            self.health.record("problem", f"the last good plan is in force since {since}: {index.stale}")

    def _record(self, what: str, monitor: str, path: str, note: str) -> None:
        self.recorded += 1
        self.health.record(what, monitor, path, note)

    def report(self, observation: "Observation") -> "str | None":
        """The id of the event; HELD where equal ones were reported; None where it was lost, which is counted."""
        try:
            if observation.monitor["live"]:
                self.outlet.sink().show(observation)
                return None
            return self.outlet.sink().report(observation)
        finally:
            self.look()

    def close(self) -> None:
        """At exit: what waits has a moment to leave, the counters are written."""
        if self._undone:
            return
        try:
            self.counting.close()
            self._costs.close()
            if self._idle is not None:
                self._idle.close(0.0)
            self.probes.close()
            self.frameworks.close()
            self.outlet.close()
            self.health.flush(final=True)
        except ours(Exception):
            guard.swallow("ending")

    def undo(self) -> None:
        self._undone = True
        if self._lines is not None:
            self._lines.follow(())
        self.applier.undo()
        self.frameworks.undo()

    def _forked(self) -> None:
        try:
            from ..hook.code import patch

            patch.after_fork()
            self.health.after_fork()
            self.probes.after_fork()
            self._costs.after_fork()
            self.counting.after_fork()
            self.frameworks.after_fork()
            if self._lines is not None:
                self._lines.after_fork()
            self.outlet.after_fork()
        except ours(Exception):
            guard.swallow("going on after a fork")
