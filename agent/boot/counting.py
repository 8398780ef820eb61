"""The counts of a process: where calls are counted, and who is asked once a minute to send and to fold them."""

import os
from _thread import allocate_lock

from ..base import guard, health, imports, programs
from ..base.interrupts import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..measure.tallies import Tallies
    from ..measure.tally import Tally
    from ..plan.index import Index
    from .outlet import Outlet


class Counting:
    def __init__(self, index: "Index", outlet: "Outlet", look: "Callable[[], None]") -> None:
        """`look` is called by counted calls now and then: the configuration may have changed."""
        self.index = index  # of the plan in force
        self.problems: "set[str]" = set()
        self.works = True  # off where no counts of several threads come out right
        self._outlet = outlet
        self._look = look
        self._tallies: "Tallies | None" = None
        self._sending = allocate_lock()

    def tallies(self) -> "Tallies":
        """Where calls are counted."""
        if self._tallies is None:
            with imports.Guarded():
                from ..measure.store import Store
                from ..measure.tallies import Tallies
                from ..observe.around import work
            dropped = lambda number: self._outlet.health.count("counts-dropped", "", number)  # noqa: E731
            store = None  # in the tests of an ERP
            if self._outlet.state:
                store = Store(self._outlet.follow_user, self._facts, failed=self._failed, dropped=dropped)
            self._tallies = Tallies(store, wake=self._counted, looked=self._look)
            work.ends = self._tallies.work_ended
        return self._tallies

    def all(self) -> "list[Tally]":
        """All that count calls in this process."""
        return self._tallies.all() if self._tallies is not None else []

    def _facts(self) -> "dict[str, object]":
        """What the file of counts states about this process."""
        pid = os.getpid()
        platform = self._outlet.sink().platform
        return {
            "pid": pid, "born": programs.born(pid), "program": health.program(), "release": platform.release,
            "environment": self._outlet.sentry["environment"], "server": platform.server_name,
            "config": self.index.path, "plan": self.index.identity, "container": programs.container(),
        }  # fmt: skip

    def _failed(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.add(problem)
            self._outlet.health.record("problem", problem)
            self._outlet.health.flush()

    def _counted(self) -> None:
        """Once in a minute in which calls were counted, on the thread of one that has just ended."""
        self._send()
        self._fold()

    def _send(self) -> None:
        sentry = self._outlet.sentry
        if self._tallies is None or not sentry["metrics"] or sentry["dsn"] is None or not self._sending.acquire(False):
            return
        try:
            self._outlet.sink().keep_metrics(self._tallies)
        except ours(Exception):
            guard.swallow("sending metrics")
        finally:
            self._sending.release()

    def _fold(self, *, ending: bool = False) -> None:
        """What processes have counted is added to the history: by a courier, which is started if need be."""
        try:
            self._outlet.sink().fold(ending=ending)
        except ours(OSError):
            pass  # the next one does it
        except ours(Exception):
            guard.swallow("having counts folded")

    def close(self) -> None:
        if self._tallies is None:
            return
        self._tallies.close()
        self._send()
        if self._outlet.state:
            self._fold(ending=True)

    def after_fork(self) -> None:
        self._sending = allocate_lock()
        if self._tallies is not None:
            self._tallies.after_fork()
