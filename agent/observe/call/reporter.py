"""Makes the report of a call: whom it is left to, the values that it captures, and what it adds up to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ...base import clocks
from ...base.interrupts import ours
from ...base.model import Captured, Observation
from ...base.slots import traceback_of
from ...hook.code import patch
from ..around import traces
from ..event.represent import status_of
from ..expression import reasons
from ..failure import reported
from . import arguments, callers, data_access
from .counted import Counted
from .limits import Escalation
from .naming import named
from .terms import OWN_NAMES, SHADOWED_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType, FunctionType, TracebackType

    from ...hook.targets.resolve import Found
    from ..failure.bursts import Burst
    from .terms import Capture, Exemption, Rule, Terms

ERROR, RULE, AUDIT = "error", "rule", "audit"

#: For functions that look at each failure; never written to.
_NONE: dict[type, tuple[str | None, str]] = {}

#: Of this thread; of the process on systems without threads.
_processor_time = getattr(time, "thread_time", time.process_time)


class Reporter(Counted):
    """One function under one monitor, whose `terms` it shares with the monitor's other functions."""

    __slots__ = ("_burst", "_by_type", "_captures", "_error_rules", "_escalation", "_exemption",
                 "_left_to_another", "_passed", "_rules", "_shared", "_written", "disabled")  # fmt: skip

    def __init__(self, terms: Terms, found: Found, function: FunctionType) -> None:
        self.terms = terms
        self.receiver = found.receiver
        self.span = None
        self._left_to_another = found.left
        self.path = found.path
        written = arguments.definition(found.inner or function)
        self._named, self._by_class = named(terms.monitor, found, written)
        self._code = patch.original_code(function)
        self._written = written if written is not function else None
        self._captures: Sequence[Capture] = terms.captures
        self._rules: Sequence[Rule] = terms.rules
        self._exemption = terms.exemption
        #: Expressions that name a parameter which this function does not have, each with the reason.
        self.disabled: Sequence[str] = ()
        if terms.expressions:
            self._disable_unknown_names(self._names)
        rate = terms.monitor["escalate"]
        self._burst: Burst | None = None
        self._escalation = Escalation(*rate) if rate else None
        # Of a method that several classes share, only the argument shows whose it is.
        self._shared = found.receiver is not None or self._by_class is not None
        each = terms.judges_each or found.receiver is not None or found.left is not None
        each = each or (self._by_class is not None and terms.tallies is not None)
        self._by_type = _NONE if each else terms.severities.by_type
        self._tally = terms.tallies.of(terms.monitor, self.operation) if terms.tallies is not None else None
        self._error_rules = tuple([rule for rule in self._rules if rule.on_error])
        #: The parameters that `check` is called with. None: a decorator's wrapper has other names than the function
        #: below it, and those are read from the frame.
        self._passed: tuple[str, ...] | None = ()
        if self._rules:
            wanted = {name for rule in self._rules for name in rule.names}.difference(OWN_NAMES)
            self._passed = tuple(sorted(wanted)) if wanted.issubset(self._names) else None

    @property
    def live(self) -> bool:
        """Was it put in for a time? Then it sees all, and what it reports is nobody else's concern."""
        return self.terms.monitor["live"]

    def _is_reported(self, error: BaseException, traceback: TracebackType | None) -> bool:
        return not self.live and reported.is_reported_within(error, traceback, self)

    @property
    def _names(self) -> tuple[str, ...]:
        return arguments.parameters(self._code)

    def _expressions(self) -> list[Capture | Rule | Exemption]:
        exemption = [self._exemption] if self._exemption is not None else []
        return [*self._captures, *self._rules, *exemption]

    def _disable_unknown_names(self, names: Sequence[str]) -> None:
        known = set(names)
        if self._written is not None:
            known.update(arguments.parameters(patch.original_code(self._written)))
        known.update([called for called, name in SHADOWED_NAMES.items() if name in known], OWN_NAMES)
        disabled = []
        for item in self._expressions():
            missing = [name for name in item.names if name not in known]
            if missing:
                disabled.append("{}: {!r} names no parameter of {} (it has {})".format(
                    item, missing[0], self.path, ", ".join(names) or "none"))  # fmt: skip
        if disabled:
            self.disabled = disabled
            self._captures = [item for item in self._captures if known.issuperset(item.names)]
            self._rules = [item for item in self._rules if known.issuperset(item.names)]
            if self._exemption is not None and not known.issuperset(self._exemption.names):
                self._exemption = None

    def _is_left_out(
        self, frame: FrameType, result: object, error: BaseException | None, duration: float | None
    ) -> bool:
        """Does another monitor report what happened, or is it exempt? Counts it, if so."""
        if self._is_quiet(frame.f_back) or (self._left_to_another is not None and self._left_to_another(frame)):
            self.terms.count("left-to-another", self.name)
        elif self._exemption is not None and self._exemption.holds(self._values(frame, result, error, duration)):
            self.terms.count("exempt", self.name)
        else:
            return False
        self._note(frame, "other")
        return True

    def _is_quiet(self, frame: FrameType | None) -> bool:
        """Is the call inside one of a monitor that `quiet_inside` names?"""
        quiet = self.terms.quiet
        return bool(quiet) and any(probe.name in quiet for _, probe in callers.calls(frame))

    def _values(
        self, frame: FrameType, result: object, error: BaseException | None, duration: float | None
    ) -> dict[str, object]:
        """The values of all names that expressions may use."""
        if not self._captures and not self._rules and self._exemption is None:
            return {}
        values: dict[str, object] = arguments.of_frame(frame, self._code, self._written)
        hidden = {called: values[name] for called, name in SHADOWED_NAMES.items() if name in values}
        return {**values, **hidden, "result": result, "error": error, "duration": duration}

    def _captured(self, values: Mapping[str, object]) -> Captured:
        found: dict[str, object] = {}
        failed: dict[str, str] = {}
        # A call that failed has no result, and one that succeeded no error: an expression about it is not wrong.
        absent = "error" if values.get("error") is None else "result"
        for capture in self._captures:
            try:
                found[capture.name] = capture.of(values)
            except ours(BaseException) as error:
                if absent in capture.names:
                    continue
                failed[capture.name] = reasons.reason_of(error, capture.text)
                self.terms.failed("capture-raised", f"{capture}: {capture.text}", error)
        return Captured(found, failed)

    def _report_within_limits(
        self,
        frame: FrameType,
        report: str,
        message: str | None,
        severity: str,
        result: object,
        duration: float | None,
        error: Exception | None = None,
    ) -> None:
        suppressed = self._admitted(frame, (report, self._place(frame), message))
        if suppressed is not None:
            self._report(frame, report, severity, result, error, duration, suppressed, message=message)

    def _report(
        self,
        frame: FrameType,
        report: str,
        severity: str,
        result: object,
        error: BaseException | None,
        duration: float | None,
        suppressed: int,
        traceback: TracebackType | None = None,
        *,
        message: str | None = None,
        threshold: float | None = None,
        shares: Sequence[tuple[str, int, float, float]] = (),
        more: Mapping[str, object] = {},
    ) -> None:
        """`error` is what expressions read; the event is about it where `report` is "error"."""
        exception = error if report == ERROR else None
        called = self.called(frame)
        try:
            if self.monitor["kind"] == "database":
                more = {**more, **data_access.called_from(frame.f_back)}
            if error is not None:
                more = {**more, **data_access.failed_statement(error, traceback or traceback_of(error), self)}
            observation = Observation(
                monitor=callers.placed(called.monitor, frame.f_back),
                operation=called.operation,
                function=self.path,
                report=report,
                severity=severity,
                message=message,
                exception=exception,
                traceback=traceback,
                frame=frame.f_back,
                duration=duration,
                threshold=self.terms.lowest if threshold is None else threshold,
                operations=[*callers.operations(frame.f_back), called.operation],
                captured=self._captured(self._values(frame, result, error, duration)),
                suppressed=suppressed,
                ended=clocks.time(),
                inside=shares,
                status=status_of(result),
                more=more,
            )
        except ours(BaseException):
            raise
        except BaseException:  # a time limit of the host's, in a capture for example
            self.terms.count("not-made", self.name)
            raise
        clock = self.terms.clock
        began, worked = clock(), _processor_time()
        kept = self.terms.report(observation)
        self.terms.cost.excuse(clock() - began - (_processor_time() - worked))
        if kept is not None:
            self._note(frame, "reported" if kept else "rate")
            if exception is not None:
                if kept:
                    traces.note(failed=not self.monitor["live"])
                reported.remember(exception, traceback, self, None, reported.Reported if kept else reported.Dropped)
