"""The part of the agent that works: imported with the first module that a monitor names.

Wires the applier, the probes and the sink together, and keeps them right across fork and exit.
"""

import os
import sys
import time
from _thread import allocate_lock

from ..base import ending, guard, health, imports, programs
from ..base.health import Health
from ..base.interrupts import ours
from ..base.places import HOOKS, user
from ..base.postponed import around_forks
from ..hook.targets.apply import Applier
from .costs import Costs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType, ModuleType
    from typing import Any

    from ..base.model import Envelope, Event, MonitorData, Observation
    from ..deliver.sessions import Sessions
    from ..deliver.sink import Sink
    from ..hook.targets.defined import Names
    from ..hook.targets.resolve import Found
    from ..live.stuck import Stuck
    from ..live.while_idle import WhileIdle
    from ..measure.tally import Tallies, Tally
    from ..observe.call.limits import Limiter
    from ..observe.call.probe import Probe
    from ..observe.call.terms import Terms
    from ..observe.failure.unmonitored import Unmonitored
    from ..plan.index import Index


#: What the names of the agent's own modules begin with in this process.
_ROOT = (__package__ or "").partition(".")[0] + "."


class Engine:
    def __init__(self, index: "Index", state: str, look: "Callable[[], None]" = lambda: None) -> None:
        """`look` is called now and then, by requests and tasks: the configuration may have changed."""
        self.look = look
        self.sentry, self.spool = index.sentry, index.spool
        self.state = state
        self.packages = tuple(index.packages)  # the ERP's, wherever they are installed
        self._index = index
        run = os.path.join(state, "run")
        self.health = Health(run, index.path, index.stale, plan=index.identity, follows=index.follows)
        self._undone = False
        self.recorded = 0  # lines about targets
        ending.at_exit(self.close)
        self.health.follow = self.follow_user
        self._notes = 0  # of index.notes, recorded so far
        self._counts = True
        if sys.version_info >= (3, 15) or "t" in getattr(sys, "abiflags", ""):
            from . import untested

            index.notes.append(untested.note())
            self._counts = not untested.FREE_THREADED
        self._beside: "list[tuple[str, str, str, str]]" = []  # of monitors beside the plan: decorators
        self._record_problems(index)
        self._user = user  # that the process had when it started
        self._of_others: "dict[int, tuple[str, Sink | None]]" = {}  # what it wrote to as another user
        self._sink: "Sink | None" = None
        self._bound = False  # a function to a monitor
        self._looks = False  # with each request and task
        self.idle: "WhileIdle | None" = None  # where every monitor was taken out
        self._stuck: "Stuck | None" = None  # where a monitor asks for it
        self._tallies: "Tallies | None" = None
        self._problems_of_counts: "set[str]" = set()
        self._sending_metrics = allocate_lock()
        self._terms: "Terms | None" = None  # of the monitor that was bound last
        self._settings_read = False  # Django's
        self._limiters: "dict[str, Limiter]" = {}
        self._costs = Costs(look)
        self._unmonitored: "Unmonitored | None" = None
        self._follows_log = False
        self.sessions: "Sessions | None" = None  # where the SDK does not count them
        self.applier = Applier(index.monitors_of, self.bind, self._record)
        self._integrations = _Integrations(self)
        around_forks(after_in_child=self._forked)

    @property
    def follows_subclasses(self) -> bool:
        return self.applier.follows_subclasses

    @property
    def waits(self) -> bool:
        return self.applier.waits

    def imported(self, name: str, module: "ModuleType", own: "Names | None" = None) -> None:
        """A module that a monitor or an integration names has just been run; `own` is what it defines, where known."""
        self.applier.imported(name, module, own or {})
        self._terms = None  # by the next import, the host may trace
        self._integrations.imported(name, module)
        if not self._looks:
            from ..observe.around import work

            self._looks, work.begins = True, self.look
        self._follow_log()
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
        """For what was not there when its module had run."""
        if self.applier.retry():
            self._make_ready()
            self.health.flush()

    def follow_user(self) -> str:
        """Where this process writes. It may have changed its user: a server that root starts, its workers."""
        user = _user()
        if user != self._user:
            from ..base import users

            before, self._user = self._user, user
            self._of_others[before] = (self.state, self._sink)
            self.state, self._sink = self._of_others.get(user) or (
                users.state_folder(self._index.path, self.state),
                None,
            )
            self.spool = {**self._index.spool, "directory": users.spool_folder(self._index.spool["directory"])}
            self.health.move(os.path.join(self.state, "run"))
        return self.state

    def follow_settings(self) -> bool:
        """Once Django has read its settings: use what they have of Sentry. Return whether they bring a DSN."""
        if self._settings_read or "django.conf" not in sys.modules:
            return False
        from ..integrations.django import settings

        found = settings.read()
        if found is None:
            return False
        self._settings_read = True
        if found.problem:
            self.health.record("problem", found.problem)
        before, dsn = self.sentry["dsn"], found.dsn_for(self.sentry["dsn"])
        if dsn == before:
            return False
        self.sentry = {**self.sentry, "dsn": dsn}
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close()
        return dsn is not None

    def follow(self, index: "Index", names: "list[str]", notes: "list[str]") -> None:
        """Another plan is in force from now on; `names` are the imported modules that it or the old one names."""
        before, self._index = self._index, index
        settings = (index.sentry, index.spool, tuple(index.packages))
        everything = settings != (before.sentry, before.spool, self.packages)
        if everything:
            sink, self._sink = self._sink, None
            self.sentry, self.spool, self.packages = settings
            self._user, self._of_others, self._settings_read = user, {}, False
            self._unmonitored = None
            self.follow_settings()
            if sink is not None:
                sink.close(0.0)
        self._terms = None
        self._limiters.clear()
        self._costs.bring_all_back()
        self.applier.replan(index.monitors_of, names, everything=everything)
        if self._stuck is not None:
            asked = [probe.terms.monitor["stuck"] for probe in self.applier.owners()]
            self._stuck.follow_only([seconds for seconds in asked if seconds is not None])
        self._make_ready()
        self._notes = 0
        self.health.restart(index.identity)
        self._record_problems(index)
        for note in notes:
            self.health.record("problem", note)
        for problem in self._problems_of_counts:
            self.health.record("problem", problem)
        for line in (*self._beside, *self.applier.records()):
            self.health.record(*line)
        self.health.flush()

    def look_while_idle(self) -> None:
        """No monitored call is left to look at the configuration: until there is one, a thread does."""
        from ..live.while_idle import WhileIdle

        if self.idle is None:
            what = "looking for a change of the configuration"
            self.idle = WhileIdle(what, lambda: not self.applier.is_applied, self.look)
        self.idle.wake()

    def record_beside(self, what: str, monitor: str, path: str, note: str) -> None:
        """What became of a monitor that is in no plan, and that another plan leaves alone."""
        self._beside.append((what, monitor, path, note))
        self._record(what, monitor, path, note)

    def note(self, problem: str) -> None:
        """Something that `status` is to show."""
        self.health.record("problem", problem)
        self.health.flush()

    def _record_problems(self, index: "Index") -> None:
        for problem in index.problems:
            self.health.record("problem", problem)
        if index.stale:
            since = time.strftime("%Y-%m-%d %H:%M", time.localtime(index.stale_since))
            self.health.record("problem", f"the last good plan is in force since {since}: {index.stale}")

    def _make_ready(self) -> None:
        if self._bound:
            self.make_ready()

    def make_ready(self) -> None:
        """Once something can be reported: all that the first report needs is there before it is needed.

        By then there may be no descriptor left to read a module with, no memory, no such file any more, another root
        folder or another user; and a child must not be forked in the middle of an import.
        """
        try:
            self.sink()
        except ours(Exception):
            guard.swallow("making ready to report")

    def keep(self, envelope: "Envelope") -> None:
        """An envelope that is none of ours, on disk when this returns."""
        self.sink().keep_envelope(envelope)

    def sink(self) -> "Sink":
        """Where reports go; made once something can be reported."""
        self.follow_user()
        if not self._settings_read:
            self.follow_settings()
        sink = self._sink
        if sink is None:
            with imports.Guarded():
                from ..deliver.sink import Sink

                sink = self._sink = Sink(
                    self.sentry,
                    self.spool,
                    self.state,
                    self.health,
                    self.packages,
                    hand_over=_hand_over,
                    errored=_count_error,
                )
                for _, other in self._of_others.values():
                    if other is not None:
                        sink.spool.take_over(other.spool)
        return sink

    def _counting(self) -> "Tallies":
        """Where calls are counted."""
        if self._tallies is None:
            with imports.Guarded():
                from ..measure.store import Store
                from ..measure.tally import Tallies
                from ..observe.around import work
            dropped = lambda number: self.health.count("counts-dropped", "", number)  # noqa: E731
            store = None  # in the tests of an ERP
            if self.state:
                store = Store(self.follow_user, self._facts, failed=self._cannot_count, dropped=dropped)
            self._tallies = Tallies(store, wake=self._counted, looked=self.look)
            work.ends = self._tallies.work_ended
        return self._tallies

    def _facts(self) -> "dict[str, object]":
        """What the file of counts says of this process."""
        pid = os.getpid()
        platform = self.sink().platform
        return {
            "pid": pid, "born": programs.born(pid), "program": health.program(), "release": platform.release,
            "environment": self.sentry["environment"], "server": platform.server_name, "config": self._index.path,
            "plan": self._index.identity, "family": health.family(pid),
            "container": programs.container(),
        }  # fmt: skip

    def _cannot_count(self, problem: str) -> None:
        if problem not in self._problems_of_counts:
            self._problems_of_counts.add(problem)
            self.health.record("problem", problem)
            self.health.flush()

    def _counted(self) -> None:
        """Once in a minute in which calls were counted, on the thread of one that has just ended."""
        if self.sentry["metrics"]:
            self._send_metrics()
        self._fold()

    def _fold(self, *, ending: bool = False) -> None:
        """What processes have counted is added to the history: by a courier, which is started if need be."""
        try:
            self.sink().fold(ending=ending)
        except ours(OSError):
            pass  # the next one does it
        except ours(Exception):
            guard.swallow("having counts folded")

    def _send_metrics(self) -> None:
        if self._tallies is None or self.sentry["dsn"] is None or not self._sending_metrics.acquire(False):
            return
        try:
            self.sink().keep_metrics(self._tallies)
        except ours(Exception):
            guard.swallow("sending metrics")
        finally:
            self._sending_metrics.release()

    def integrates(self, name: str) -> bool:
        """Is a framework, or `logging`, to be integrated with?"""
        chosen = self.sentry["integrations"]
        return chosen == "auto" or name in chosen

    def set_up_sdk(self, framework: str) -> None:
        """A framework was imported: give the Sentry SDK its integration and our spool, if it is needed here.

        That is where there is a DSN and transactions are traced, or where the host itself has loaded the SDK: what
        its code sends through the SDK then arrives. All else we do ourselves, at a fraction of the SDK's cost.
        """
        if self.follow_settings():
            self._follow_log()
        if self.sentry["dsn"] is None or self.sentry["integrations"] == []:
            return
        if framework and not self.sentry["traces_sample_rate"] and not _sdk_is_loaded():
            self.health.record("sdk", "not needed: nothing is traced")
            return
        try:
            with imports.Guarded(patient=False):
                from ..sdk import client

                outcome = client.set_up(framework, self.sentry, self.keep, self.packages)
        except ours(ImportError) as error:
            outcome = f"the Sentry SDK cannot be imported: {error}"
        self.health.record("sdk", outcome)

    def serve(self, framework: str) -> None:
        """A server of this framework may begin. Asked again once it does: by then settings are known that bring a DSN,
        or the host has loaded the SDK.
        """
        self.set_up_sdk(framework)
        if self.sentry["dsn"] is None or not self.integrates(framework) or self._sdk_reports(framework):
            self.sessions = None
        elif self.sessions is None:
            from ..deliver.sessions import Sessions
            from ..observe.around import release

            version = self.sentry["release"] or release.of_checkout()
            if version:
                self.sessions = Sessions(self.keep, release=version, environment=self.sentry["environment"])

    def _sdk_reports(self, framework: str) -> bool:
        """Does the SDK report what ends a request or a task: in a client of the host's, or integrated by us?"""
        if not _sdk_is_loaded():
            return False
        from ..sdk import client

        return client.is_integrated(framework)

    def failed(
        self,
        what: str,
        error: BaseException,
        *,
        operation: str,
        function: str,
        severity: str = "error",
        raised: bool = True,
    ) -> bool:
        """A `request` or a `task` has ended in an exception that nobody dealt with: report it, unless a monitor has.

        `function` is the dotted path of what it ran. Return whether it was reported. A client of the host's own
        reports for itself what was `raised`, and nothing else.
        """
        if raised and _sdk_is_loaded():
            from ..sdk import host

            if host.is_active():
                return False
        if self._unmonitored is None:
            from ..observe.failure.unmonitored import Unmonitored

            self._unmonitored = Unmonitored(
                self.report,
                self.health.count,
                ignore=self.sentry["ignore_errors"],
                sample=self.sentry["sample_rate"],
            )
        return self._unmonitored.failed(what, error, operation=operation, function=function, severity=severity)

    def _follow_log(self) -> None:
        """Once the host has loaded `logging`, and with a DSN: its lines become the breadcrumbs of what is reported."""
        if self._follows_log or self.sentry["dsn"] is None or not hasattr(sys.modules.get("logging"), "getLogger"):
            return  # getLogger comes near its end: another thread may be half-way through loading it
        self._follows_log = True
        if self.integrates("logging"):
            self._integrations.follow_log()

    def report(self, observation: "Observation") -> "str | None":
        """The id of the event; None where it was lost, which is counted."""
        try:
            if observation.monitor["live"]:
                self.sink().show(observation)
                return None
            return self.sink().report(observation)
        finally:
            self.look()

    def close(self) -> None:
        """At exit: what waits has a moment to leave, the counters are written."""
        if self._undone:
            return
        try:
            if self._tallies is not None:
                self._tallies.close()
            if self.sentry["metrics"]:
                self._send_metrics()
            if self._tallies is not None and self.state:
                self._fold(ending=True)
            self._costs.close()
            for thread in (self.idle, self._stuck):
                if thread is not None:
                    thread.close(0.0)
            if self.sessions is not None:
                self.sessions.close()
            if self._sink is not None:
                self._sink.close()
            self.health.flush(final=True)
        except ours(Exception):
            guard.swallow("ending")

    def undo(self) -> None:
        self._undone = True
        self.applier.undo()
        self._integrations.undo()

    def bind(self, monitor: "MonitorData", found: "Found", function: "FunctionType") -> "Probe":
        from ..observe.call.probe import Probe

        self._bound = True
        if monitor["learned"]:
            monitor = _with_learned(monitor, found, function)
        if monitor["stuck"] is not None:
            self._look_for_stuck(monitor["stuck"])
        probe = Probe(self._terms_of(monitor), found, function)
        for reason in probe.disabled:
            self.health.record("failed", monitor["name"], found.path, reason)
        return probe

    def _look_for_stuck(self, seconds: float) -> None:
        if self._stuck is None:
            from ..live.stuck import Stuck

            self._stuck = Stuck(self.report, self.health.count)
        self._stuck.follow(seconds)

    def keep_looking(self) -> None:
        """Called once a second, if anything happens: in a forked child, threads of the agent begin anew."""
        if self._stuck is not None:
            self._stuck.keep_looking()
        self._costs.look(self)

    def tallies(self) -> "list[Tally]":
        """All that count calls in this process."""
        return self._tallies.all() if self._tallies is not None else []

    def reduced(self, monitor: str, words: str) -> None:
        """Of a monitor over its budget, for `status`; no words: it is back."""
        self.health.record("reduced", monitor, words)
        self.health.flush()

    def _terms_of(self, monitor: "MonitorData") -> "Terms":
        """What all functions of a monitor share, those of one module after the other."""
        from ..observe.call.terms import Terms

        terms = self._terms
        if terms is None or terms.monitor is not monitor:
            terms = self._terms = Terms(
                monitor,
                report=self.report,
                count=self.health.count,
                failed=self.health.failed,
                ignore=self.sentry["ignore_errors"],
                limiter=self._limiter(monitor),
                cost=self._costs.of(monitor),
                span=self._integrations.span_for(monitor),
                tallies=self._counting() if monitor["metrics"] and self._counts else None,
            )
        return terms

    def _limiter(self, monitor: "MonitorData") -> "Limiter":
        """The limits of a monitor, which all its functions share."""
        from ..observe.call.limits import Limiter

        limiter = self._limiters.get(monitor["name"])
        if limiter is None:
            sample = monitor["sample"] * self.sentry["sample_rate"]
            limiter = self._limiters[monitor["name"]] = Limiter(monitor["rate_limit"], sample)
        return limiter

    def _record(self, what: str, monitor: str, path: str, note: str) -> None:
        self.recorded += 1
        self.health.record(what, monitor, path, note)

    def _forked(self) -> None:
        try:
            from ..hook.code import patch

            patch.after_fork()
            self.health.after_fork()
            if self._stuck is not None:
                self._stuck.after_fork()
            self._costs.after_fork()
            self._sending_metrics = allocate_lock()
            if self._tallies is not None:
                self._tallies.after_fork()
            if self.sessions is not None:
                self.sessions.after_fork()
            if self._sink is not None:
                self._sink.after_fork()
        except ours(Exception):
            guard.swallow("going on after a fork")


def _user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0


def _with_learned(monitor: "MonitorData", found: "Found", function: "FunctionType") -> "MonitorData":
    """The monitor with the threshold that its operation has learned, if it has learned enough."""
    from ..observe.call import arguments, naming

    operation = naming.named(monitor, found, arguments.definition(found.inner or function))[0].operation
    seconds = monitor["learned"].get(operation)
    if seconds is None:
        return monitor
    severity = monitor["severity"] if monitor["severity"] in ("debug", "info") else "warning"
    return {**monitor, "thresholds": [(seconds, severity)]}


def _hand_over(event: "Event") -> bool:
    from ..sdk import host

    return host.hand_over(event)


def _count_error() -> None:
    client = sys.modules.get(_ROOT + "sdk.client")
    if client is not None:  # there is a client of ours
        client.count_error()


def _sdk_is_loaded() -> bool:
    """The whole of it: the host may be in the middle of its import."""
    return hasattr(sys.modules.get("sentry_sdk"), "capture_event")


class _Integrations:
    """What frameworks need beyond monitors: context, tracing, commands. Each is loaded with its framework."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._undo: "list[Any]" = []

    def imported(self, name: str, module: "ModuleType") -> None:
        integration = HOOKS.get(name)
        if integration is None:
            return
        try:
            __import__(_ROOT + integration)
            install = sys.modules[_ROOT + integration].install
            self._undo += install(name, module, self._engine)
            from ..observe.failure import unmonitored  # noqa: F401  (what it fails in may be reported by no monitor)

            self._engine.make_ready()
        except ours(Exception):
            guard.swallow("integrating with " + name)

    def follow_log(self) -> None:
        try:
            from ..integrations import log_lines

            self._undo.append(log_lines.follow(sys.modules["logging"]))
        except ours(Exception):
            guard.swallow("following what the host logs")

    def span_for(self, monitor: "MonitorData") -> "Any":
        if monitor["span"] == "never":
            return None
        if self._engine.sentry["dsn"] is None:
            # The host may have a client of its own, whose transactions our spans then belong to.
            if "sentry_sdk" not in sys.modules:
                return None
            from ..sdk import host

            if not host.traces(self._engine.packages):
                return None
        elif not self._engine.sentry["traces_sample_rate"] and monitor["span"] != "always":
            return None
        from ..observe.call import spans

        if spans.begin is None and self._engine.sentry["dsn"] is not None:
            spans.start = lambda: self._engine.set_up_sdk("")
        return spans.enter, spans.leave

    def undo(self) -> None:
        for change in reversed(self._undo):
            change.undo()
        self._undo.clear()
