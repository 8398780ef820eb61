"""Has a running process follow its configuration: what changed there counts from then on, without a restart.

`look` is called by what happens in the process anyway: a counted call, a request, a task, an import. It never waits:
another process compiles. Monitors are exchanged in place; a configuration with errors leaves the plan in force.
Where all monitors were taken out, no monitored call is left to look: until there is one again, a thread does.
"""

import sys

from ..base import guard
from ..base.interrupts import ours
from ..plan import index as plan_index
from ..plan.reread import Reread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .bootstrap import Agent
    from .engine import Engine

#: What is read when a process starts, a framework is imported, or the SDK is set up.
_AT_START = ("integrations", "tasks", "celery", "debug", "traces_sample_rate", "profiles_sample_rate")


class Reload:
    def __init__(self, agent: "Agent", state: "Callable[[], str]") -> None:
        """`state` returns the state folder, which another user of the process has elsewhere."""
        self._agent = agent
        self._state = state
        self._reread = Reread(agent.index.path, agent.index.header, agent.index.identity, agent.index.file)

    def look(self) -> None:
        """Follow the configuration if it has changed. Raises nothing. The caller lets one thread in at a time."""
        try:
            found = self._reread.look(self._state())
            if isinstance(found, plan_index.Bad):
                self._refused(found)
            elif found is not None:
                self._follow(found)
        except ours(OSError) as error:
            self._note(str(error))
        except ours(Exception):
            guard.swallow("following the configuration")

    def _refused(self, bad: "plan_index.Bad") -> None:
        first = bad.problems[0] if bad.problems else "unknown reason"
        more = " (and %d more)" % (len(bad.problems) - 1) if len(bad.problems) > 1 else ""
        if self._reread.was_first:
            guard.write_line(
                f"a change of {self._agent.index.path} is not taken up: {first}{more}; see: python -m agent validate"
            )
        self._note(first + more)

    def _note(self, why: str) -> None:
        self._agent.work("noting a change", lambda engine: engine.note("a change is not taken up: " + why))

    def _follow(self, index: "plan_index.Index") -> None:
        agent = self._agent
        before, agent.index = agent.index, index
        index.remake = before.remake
        if self._reread.was_first:
            plan_index.report_partial(index)
        finder = agent.finder
        running = finder.running if finder is not None else {}
        agent.watch(index)
        names = [
            name
            for name, module in list(sys.modules.items())
            if id(module) not in running and (name in before or name in index)
        ]
        if agent.has_engine or names or index.lines:
            done: "list[bool]" = []
            try:
                agent.work("following the configuration", lambda engine: _apply(engine, before, index, names, done))
            finally:
                if not done:  # an exception of the host's struck: a time limit, for example
                    agent.index = before
                    self._reread.again()
        index.plan.release()
        if guard.DEBUG:
            guard.step("the changed configuration counts from now on")


def _apply(
    engine: "Engine", before: "plan_index.Index", index: "plan_index.Index", names: "list[str]", done: "list[bool]"
) -> None:
    notes = []
    changed = [key for key in _AT_START if before.sentry.get(key) != index.sentry.get(key)]
    if changed:
        notes.append("counts from the next start on: sentry." + ", sentry.".join(changed))
    engine.follow(index, names, notes)
    done.append(True)
    if index.follows and (before.top_packages or index.lines) and not engine.applier.is_applied:
        engine.look_while_idle()
