"""Begins a trace with each piece of work, and decides at its end whether it is kept: sampled, slow or failed."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ..base import guard
from ..base.clocks import perf_counter
from ..base.interrupts import ours
from ..hook.code import trampoline
from ..observe.around import context, traces, work
from ..observe.around.origin import Origin
from ..observe.call.limits import Limiter
from ..observe.call.spans import Span
from . import threads, transaction, what
from . import trace as recording
from .trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.model import Envelope, Platform, SentryData
    from ..observe.call.probe import Probe
    from .profiler import Profiles
    from .trace import Lane

#: Why a trace is kept.
SAMPLE, SLOW, FAILED = "sample", "slow", "failed"


class Recorder:
    """The traces of this process.

    `keep` takes envelopes, `count(reason, why)` what became of traces, `note` a problem that `status` is to show.
    """

    def __init__(
        self,
        sentry: SentryData,
        platform: Callable[[], Platform],
        keep: Callable[[Envelope], None],
        count: Callable[[str, str], None],
        note: Callable[[str], None],
    ) -> None:
        self._sentry = sentry
        self._platform = platform
        self._keep = keep
        self._count = count
        self._settings = sentry["traces"]
        self._limiter = Limiter(self._settings["rate_limit"])
        self._current = recording.current
        #: May a trace that was not sampled be kept? Then it is profiled as often: which one will be slow is not known.
        self._any_may_be_kept = self._settings["keep_slow"] is not None or self._settings["keep_failed"]
        self.profiles: Profiles | None = None
        if sentry["profiles_sample_rate"] and (sentry["traces_sample_rate"] or self._any_may_be_kept):
            from .profiler import Profiles

            self.profiles = Profiles(sentry["profiles_sample_rate"], note)
        chosen = sentry["integrations"]
        self._carried = chosen == "auto" or "threading" in chosen  # are traces carried into threads?
        self._carriers: dict[str, list[threads.Change]] = {}
        self._loaded = 0  # modules, when we last looked for them

    def install(self) -> None:
        work.opens, work.closes, traces.running = self.opens, self.closes, running
        context.register("trace", traces.provide)

    def undo(self) -> None:
        if work.opens == self.opens:
            work.opens = work.closes = traces.running = None
        for layer in [layer for layers in self._carriers.values() for layer in layers]:
            layer.undo()
        self._carriers.clear()

    def close(self) -> None:
        if self.profiles is not None:
            self.profiles.close()

    def after_fork(self) -> None:
        made = running()
        if made is not None:
            made.close()
            self._current.set(None)
        if self.profiles is not None:
            self.profiles.after_fork()

    def _carry(self) -> None:
        """Into threads, once the host has imported what starts them."""
        self._loaded = len(sys.modules)
        for name, module in threads.loaded():
            if name not in self._carriers:
                self._carriers[name] = list(threads.follow(name, module))
        self._carried = self._carried and len(self._carriers) < len(threads.MODULES)

    def span_of(self, probe: Probe, passable: tuple[str, ...]) -> Span:
        """The callables for the code of a function."""
        if probe.monitor["kind"] == "transaction":
            return _Root(self, probe, passable).span()
        return what.span_of(probe, passable)

    # A piece of work.

    def opens(self, doing: work.Work) -> None:
        try:
            doing.trace = made = self.begin(doing.kind.op, "", traces.origin_of(doing))
            made.root.token = self._current.set(made.root)
        except ours(Exception):
            guard.swallow("beginning a trace")

    def closes(self, doing: work.Work) -> None:
        made = doing.trace
        if type(made) is not Trace:
            return
        try:
            made.failed = made.failed or doing.outcome > work.WELL or (doing.status or 0) >= 500
            self.end(made)
        except ours(Exception):
            guard.swallow("ending a trace")

    def begin(self, op: str, name: str, origin: Origin) -> Trace:
        if self._carried and len(sys.modules) != self._loaded:
            self._carry()
        made = Trace(op, name, origin, self._settings["max_spans"])
        made.sampled = origin.decide(self._sentry["traces_sample_rate"])
        if self.profiles is not None and (made.sampled or self._any_may_be_kept):
            made.profile = self.profiles.begin(made.started, lambda: [lane.ident for lane in list(made.lanes)])
        return made

    def begin_alone(self, op: str, name: str) -> Trace | None:
        """A trace that is no piece of work; None inside of another one. Pass it to `end_alone`."""
        if running() is not None:
            return None
        try:
            made = self.begin(op, name, Origin(os.urandom(16).hex()))
            made.root.token = self._current.set(made.root)
        except ours(Exception):
            guard.swallow("beginning a trace")
            return None
        return made

    def end_alone(self, made: Trace, *, failed: bool) -> None:
        try:
            made.failed = made.failed or failed
            self.end(made)
        except ours(Exception):
            guard.swallow("ending a trace")

    def end(self, made: Trace) -> None:
        """Called while its piece of work is the current one."""
        ended = perf_counter()
        if made.most < 0:  # the process that began it goes on with it: this one was forked
            return
        token, made.root.token = made.root.token, None
        if token is not None:
            try:
                self._current.reset(token)
            except ours(ValueError):  # ended in another context than begun
                self._current.set(None)
        if made.profile is not None and self.profiles is not None:
            self.profiles.end(made.profile)
        why = self._why(made, ended - made.started)
        try:
            if why:
                self._keep_one(made, ended, why)
        finally:
            made.close()

    def _keep_one(self, made: Trace, ended: float, why: str) -> None:
        facts = context.collect()
        name, source = transaction.name_of(made, facts)
        if not made.sampled and self._limiter.decide((why, name)) < 0:
            self._count("trace-rate", why)
            return
        self._keep(transaction.envelope(made, ended, why, facts, (name, source), self._sentry, self._platform()))
        self._count("trace-kept", why)

    def _why(self, made: Trace, lasted: float) -> str:
        """Why the trace is to be kept; "" where it is not."""
        slow = self._settings["keep_slow"]
        if self._settings["keep_failed"] and made.failed:
            return FAILED
        if slow is not None and (lasted >= slow or made.slow):
            return SLOW
        return SAMPLE if made.sampled else ""


def running() -> Trace | None:
    """The trace that is on here. One that has ended is none, in what it started and what outlives it."""
    lane = recording.current.get()
    return lane.trace if lane is not None and lane.trace.most >= 0 else None


class _Root:
    """A function of `kind: transaction`: a call of it is a trace where none is on, else a span."""

    def __init__(self, recorder: Recorder, probe: Probe, passable: tuple[str, ...]) -> None:
        self._recorder = recorder
        self._what = what.What(probe, passable)
        self._begin, self._end = what.calls_of(probe)

    def span(self) -> Span:
        return Span(trampoline.Callback(self.enter), trampoline.Callback(self.leave), self._what.reads)

    def enter(self) -> Lane | Trace | None:
        if running() is not None:
            return self._begin()
        made = self._recorder.begin_alone(self._what.op, self._what.description)
        if made is not None:
            # It has no span of its own: see `span_here`.
            made.root.notes = {id(sys._getframe(1)): made.span_id}
        return made

    def leave(self, start: float, result: object, begun: Lane | Trace | None, failed: bool, *passed: object) -> None:
        if type(begun) is Trace:
            self._recorder.end_alone(begun, failed=failed)
        else:
            self._end(self._what, start, result, begun, failed, *passed)
