"""The part of the agent that works: imported with the first module that a monitor names.

Wires the applier, the probes and the sink together, and keeps them right across fork and exit.
"""

import os
import sys
import time
from _thread import allocate_lock

from . import guard
from .health import Health
from .hook.apply import Applier
from .start import HOOKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FunctionType, ModuleType
    from typing import Any

    from .config.cache import Index
    from .deliver.sink import Sink
    from .hook.resolve import Found
    from .model import Envelope, MonitorData, Observation
    from .observe.limits import Limiter
    from .observe.probe import Probe
    from .observe.tally import Tallies
    from .observe.terms import Terms


class Engine:
    def __init__(self, index: "Index", state: str) -> None:
        self.sentry, self.spool = index.sentry, index.spool
        self.state = state
        self._index = index
        self.health = Health(os.path.join(state, "run"), index.path, index.stale)
        self._said = 0  # of index.notes
        for problem in index.problems:
            self.health.record("problem", problem)
        if index.stale:
            since = time.strftime("%Y-%m-%d %H:%M", time.localtime(index.stale_since))
            self.health.record("problem", f"the last good plan is in force since {since}: {index.stale}")
        self._sink: "Sink | None" = None
        self._closes = False
        self._tallies: "Tallies | None" = None
        self._telling = allocate_lock()
        self._terms: "Terms | None" = None  # of the monitor that was bound last
        self._settled = False  # Django's settings have said what they say
        self._limiters: "dict[str, Limiter]" = {}
        self.applier = Applier(index.monitors_of, self._bind, self._record)
        self._integrations = _Integrations(self)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    @property
    def follows_subclasses(self) -> bool:
        return self.applier.follows_subclasses

    @property
    def waits(self) -> bool:
        return self.applier.waits

    def imported(self, name: str, module: "ModuleType") -> None:
        """A module that a monitor or an integration names has just been run."""
        self.applier.imported(name, module)
        self._terms = None  # by the next import, the host may trace
        self._integrations.imported(name, module)
        for note in self._index.notes[self._said :]:
            self.health.record("problem", note)
        self._said = len(self._index.notes)
        self.health.flush()

    def defined(self, name: str, namespace: "dict[str, Any]", names: "set[str] | None") -> None:
        """A program that monitors know as `name` has defined `names`; None: it will define no more."""
        from .hook.main_module import module_in

        self.applier.defined(name, module_in(namespace), names)
        self.health.flush()

    def look_again(self) -> None:
        """For what was not there when its module had run."""
        if self.applier.retry():
            self.health.flush()

    def follow_settings(self) -> bool:
        """Once Django has read its settings: what they say of Sentry counts. Answers whether they bring a DSN."""
        if self._settled or "django.conf" not in sys.modules:
            return False
        from .integrations import django_settings

        said = django_settings.read()
        if said is None:
            return False
        self._settled = True
        if said.problem:
            self.health.record("problem", said.problem)
        before, dsn = self.sentry["dsn"], said.dsn_for(self.sentry["dsn"])
        if dsn == before:
            return False
        self.sentry = {**self.sentry, "dsn": dsn}
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close()
        return dsn is not None

    def keep(self, envelope: "Envelope") -> None:
        """An envelope that is none of ours, on disk when this returns."""
        self.sink().keep_envelope(envelope)

    def sink(self) -> "Sink":
        """Where reports go; made with the first one."""
        if not self._settled:
            self.follow_settings()
        if self._sink is None:
            from .deliver.sink import Sink

            self._sink = Sink(self.sentry, self.spool, self.state, self.health, self._packages())
            self._close_at_exit()
        return self._sink

    def _close_at_exit(self) -> None:
        if not self._closes:
            import atexit

            self._closes = True
            atexit.register(self.close)

    def _tally(self) -> "Tallies | None":
        """Where calls are counted; None, and nothing of it is in any function, where nobody asked for metrics."""
        if self._tallies is None and self.sentry["metrics"]:
            from .observe.tally import Tallies

            self._tallies = Tallies(self._tell_metrics)
            self.health.measured = self._tallies.by_monitor
            self._close_at_exit()
        return self._tallies

    def _tell_metrics(self) -> None:
        """Once a minute, on the thread of a call that has just ended: no thread of ours has to wait for that."""
        if self._tallies is None or not self._telling.acquire(False):
            return
        try:
            if self.sentry["dsn"] is not None:
                self.sink().keep_metrics(self._tallies)
            self.health.flush()
        except Exception:
            guard.swallow("sending metrics")
        finally:
            self._telling.release()

    def _packages(self) -> "tuple[str, ...]":
        return tuple(self._index.packages)

    def set_up_sdk(self, framework: str) -> None:
        """A framework was imported: give the Sentry SDK its integration and our spool, if there is a DSN."""
        self.follow_settings()
        if self.sentry["dsn"] is None or self.sentry["integrations"] == []:
            return
        try:
            from .deliver import sentry

            outcome = sentry.set_up(framework, self.sentry, self.keep, self._packages())
        except ImportError as error:
            outcome = f"the Sentry SDK cannot be imported: {error}"
        self.health.record("sdk", outcome)

    def report(self, observation: "Observation") -> None:
        self.sink().report(observation)

    def close(self) -> None:
        """At exit: what waits has a moment to leave, the counters are written."""
        try:
            self._tell_metrics()
            if self._sink is not None:
                self._sink.close()
            self.health.flush(final=True)
        except Exception:
            guard.swallow("ending")

    def undo(self) -> None:
        self.applier.undo()
        self._integrations.undo()

    def _bind(self, monitor: "MonitorData", found: "Found", function: "FunctionType") -> "Probe":
        from .observe.probe import Probe

        probe = Probe(self._terms_of(monitor), found, function)
        for reason in probe.disabled:
            self.health.record("failed", monitor["name"], found.path, reason)
        return probe

    def _terms_of(self, monitor: "MonitorData") -> "Terms":
        """What all functions of a monitor share, those of one module after the other."""
        from .observe.terms import Terms

        terms = self._terms
        if terms is None or terms.monitor is not monitor:
            terms = self._terms = Terms(
                monitor,
                report=self.report,
                count=self.health.count,
                ignore=self.sentry["ignore_errors"],
                limiter=self._limiter(monitor),
                span=self._integrations.span_for(monitor),
                tallies=self._tally(),
            )
        return terms

    def _limiter(self, monitor: "MonitorData") -> "Limiter":
        """The limits of a monitor, which all its functions share."""
        from .observe.limits import Limiter

        limiter = self._limiters.get(monitor["name"])
        if limiter is None:
            sample = monitor["sample"] * self.sentry["sample_rate"]
            limiter = self._limiters[monitor["name"]] = Limiter(monitor["rate_limit"], sample)
        return limiter

    def _record(self, what: str, monitor: str, path: str, note: str) -> None:
        self.health.record(what, monitor, path, note)

    def _forked(self) -> None:
        try:
            from .hook import patch

            patch.after_fork()
            self.health.after_fork()
            self._telling = allocate_lock()
            if self._tallies is not None:
                self._tallies.after_fork()
            if self._sink is not None:
                self._sink.after_fork()
        except Exception:
            guard.swallow("going on after a fork")


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
            __import__(__package__ + ".integrations." + integration)
            install = sys.modules[__package__ + ".integrations." + integration].install
            self._undo += install(name, module, self._engine)
        except Exception:
            guard.swallow("integrating with " + name)

    def span_for(self, monitor: "MonitorData") -> "Any":
        if monitor["span"] == "never":
            return None
        if self._engine.sentry["dsn"] is None:
            # The host may have a client of its own, whose transactions our spans then belong to.
            if "sentry_sdk" not in sys.modules:
                return None
            from .deliver import sentry

            if not sentry.host_traces(self._engine._packages()):
                return None
        elif not self._engine.sentry["traces_sample_rate"] and monitor["span"] != "always":
            return None
        from .observe import spans

        if spans.begin is None and self._engine.sentry["dsn"] is not None:
            spans.start = lambda: self._engine.set_up_sdk("")
        return spans.enter, spans.leave

    def undo(self) -> None:
        for change in reversed(self._undo):
            change.undo()
        self._undo.clear()
