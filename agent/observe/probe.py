"""One monitor bound to one patched function: decides, on the slow, failing or matching path, what is worth a report.

The trampoline calls `fail`, `slow`, `check`, `enter` and `leave`. Each reads the caller's frame, which is the
trampoline's, so that arguments cost a call nothing until they are wanted.
"""

from __future__ import annotations

import sys
import time
from _thread import _local
from typing import TYPE_CHECKING, Any

from .. import guard
from ..errors import CannotPatch
from ..hook import inject, patch, trampoline
from ..model import SEVERITIES, Captured, Observation
from . import arguments, causes, inside
from .evaluate import compile_expression
from .limits import Escalation, Limiter
from .represent import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import CodeType, FrameType, FunctionType, TracebackType

    from ..hook.resolve import Found
    from ..model import ExpressionData, MonitorData

    Report = Callable[[Observation], None]
    Count = Callable[[str, str], None]


class _Busy(_local):
    """Set while this thread is inside the agent: what a report itself calls is not monitored."""

    now = False


_busy = _Busy()

#: Names in an expression that are not parameters.
_OWN_NAMES = ("result", "error", "duration")

_RULE, _AUDIT = "rule", "audit"


class _Rule:
    __slots__ = ("failed", "message", "names", "on_error", "severity", "test")

    def __init__(self, when: ExpressionData, message: str, severity: str) -> None:
        self.names = when["names"]
        self.test = compile_expression(when)
        self.on_error = "error" in when["names"]
        self.message = message
        self.severity = severity
        self.failed = 0


class Probe:
    """`report` takes an Observation; `count(reason, monitor)` counts what was not reported.

    `limiter` is the one that all functions of a monitor share: its rate is the monitor's, also where a pattern named
    a hundred functions.
    """

    def __init__(
        self,
        monitor: MonitorData,
        found: Found,
        function: FunctionType,
        *,
        report: Report,
        count: Count,
        ignore: Sequence[str] = (),
        sample_rate: float = 1.0,
        limiter: Limiter | None = None,
        span: tuple[Callable[[Probe], object], Callable[[object, bool], object]] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.name = monitor["name"]
        self.monitor = monitor
        self.receiver = found.receiver
        self.path = found.path
        self.operation = _operation(monitor["operation"], function)
        self._report = report
        self._count = count
        self._clock = clock
        self._span = span
        self._code = patch.original_code(function)
        written = arguments.definition(function)
        self._written = written if written is not function else None
        self._written_code = patch.original_code(written) if written is not function else None
        self._names = arguments.parameters(self._code)
        known = {*self._names, *(arguments.parameters(self._written_code) if self._written_code else ()), *_OWN_NAMES}
        self.disabled: list[str] = []
        self._capture: dict[str, tuple[Sequence[str], Callable[..., object]]] = {}
        for name, data in monitor["capture"].items():
            if self._understood(data, known, "capture." + name):
                self._capture[name] = (data["names"], compile_expression(data))
        self._rules = [
            _Rule(rule["when"], rule["message"], rule["severity"])
            for rule in monitor["rules"]
            if self._understood(rule["when"], known, "a rule")
        ]
        self._thresholds = sorted(monitor["thresholds"])
        self._severities = causes.Severities(monitor, ignore)
        self._limits = limiter or Limiter(monitor["rate_limit"], monitor["sample"] * sample_rate)
        rate = monitor.get("escalate")
        self._escalation = Escalation(rate[0], rate[1]) if rate else None
        self._quiet = frozenset(monitor["quiet_inside"])
        self._kind = trampoline.kind_of(self._code)
        self._features = self._decide()

    def _understood(self, data: ExpressionData, known: set[str], what: str) -> bool:
        missing = [name for name in data["names"] if name not in known]
        if missing:
            self.disabled.append("{}: {!r} names no parameter of {} (it has {})".format(
                what, missing[0], self.path, ", ".join(self._names) or "none"))  # fmt: skip
        return not missing

    def _decide(self) -> trampoline.Features:
        """What the trampoline must do; everything else is left out of it."""
        check: tuple[int, ...] | None = None
        if self._rules or self.monitor["audit"] or self.monitor["kind"] == "api":
            wanted = {name for rule in self._rules for name in rule.names} - set(_OWN_NAMES)
            # A decorator's wrapper has other names than the function below it: those are read from the frame.
            check = tuple(self._names.index(name) for name in sorted(wanted)) if wanted <= set(self._names) else ()
            self._passed = tuple(self._names[i] for i in check)
        spans = self._span is not None and self._kind in (trampoline.FUNCTION, trampoline.COROUTINE)
        return trampoline.Features(
            threshold=bool(self._thresholds), check=check, span=spans, wrap=False, timed="duration" in self._all_names()
        )

    def _all_names(self) -> set[str]:
        return {name for names, _ in self._capture.values() for name in names}.union(*(r.names for r in self._rules))

    def make(self, original: FunctionType) -> CodeType:
        """The trampoline for `original`. Raises CannotPatch where the interpreter refuses it."""
        try:
            return trampoline.build(original, self._features, **self._callbacks(self.fail))
        except (ValueError, TypeError, SyntaxError) as error:
            raise CannotPatch(f"{self.path}: the interpreter refuses its trampoline: {error}") from None

    def inject(self, code: CodeType) -> CodeType | None:
        """`code` with this probe in it, or None where only a trampoline will do."""
        return inject.inject(code, self._features, wanted=self._wanted(), **self._callbacks(self.fail_inside))

    def _callbacks(self, fail: Callable[[float], None]) -> dict[str, Any]:
        """What the patched function calls, with the limit and the clock: named alike in both ways to patch."""
        enter, leave = self._span or (None, None)
        return {
            "fail": trampoline.Callback(fail),
            "slow": trampoline.Callback(self.slow),
            "limit": self._thresholds[0][0] if self._thresholds else 0.0,
            "check": trampoline.Callback(self.check),
            "enter": trampoline.Callback(enter, self) if enter is not None else None,
            "leave": trampoline.Callback(leave) if leave is not None else None,
            "clock": self._clock,
        }

    def _wanted(self) -> set[str]:
        """Parameters that are read when the call has ended."""
        names = self._all_names() - set(_OWN_NAMES)
        if names and self._written is not None:
            return set(self._names)
        if self.receiver is not None:
            names.update(self._names[:1])
        return names

    # What the trampoline, or the code put into the function, calls.

    def fail(self, start: float) -> None:
        """An exception is passing. Nothing that happens here may change it, but for our own frame in its traceback."""
        duration = self._clock() - start if start else None
        error = sys.exc_info()[1]
        try:
            frame = sys._getframe(1)
            traceback = error.__traceback__ if error is not None else None
            if traceback is not None and traceback.tb_frame is frame:
                traceback = traceback.tb_next
                if traceback is not None and trampoline.LEAVES_NO_FRAME:
                    error.__traceback__ = traceback  # type: ignore[union-attr]
            self._passing(error, traceback, frame, duration)
        except Exception:
            guard.swallow("reporting an error in " + self.path)

    def fail_inside(self, start: float) -> None:
        """An exception is passing, and the frame is the function's own."""
        duration = self._clock() - start if start else None
        error = sys.exc_info()[1]
        try:
            self._passing(error, error.__traceback__ if error is not None else None, sys._getframe(1), duration)
        except Exception:
            guard.swallow("reporting an error in " + self.path)

    def _passing(
        self, error: BaseException | None, traceback: TracebackType | None, frame: FrameType, duration: float | None
    ) -> None:
        if not isinstance(error, Exception):
            self._count("control-flow", self.name)
        elif not _busy.now:
            _busy.now = True
            try:
                self._failed(error, traceback, frame, duration)
            finally:
                _busy.now = False
        else:
            self._count("inside-a-report", self.name)  # what the agent itself, or the host's __str__, called

    def slow(self, start: float, result: object) -> None:
        """The call took longer than the lowest threshold."""
        duration = self._clock() - start
        if _busy.now:
            return
        _busy.now = True
        try:
            frame = sys._getframe(1)
            if not self._for_us(frame) or self._left_to_another(frame):
                return
            passed = [step for step in self._thresholds if duration > step[0]] or self._thresholds[:1]
            threshold, severity = passed[-1]
            within = inside.note([*causes.enclosing(frame.f_back), self.operation], start, duration)
            suppressed = self._limits.admit(("slow", self.path, severity))
            if suppressed is None:
                self._count("rate", self.name)
                return
            values = self._values(frame, result, None, duration)
            self._emit(
                frame, "slow", severity, duration=duration, threshold=threshold, values=values, suppressed=suppressed,
                within=within,
            )  # fmt: skip
        except Exception:
            guard.swallow("reporting a slow call of " + self.path)
        finally:
            _busy.now = False

    def check(self, result: object, start: float, *passed: object) -> None:
        """The call succeeded, and something must be looked at each time: rules, an audit, a response's status."""
        if _busy.now:
            return
        _busy.now = True
        try:
            duration = self._clock() - start
            frame = sys._getframe(1)
            values: Mapping[str, object]
            if passed or self._passed:
                values = dict(zip(self._passed, passed), result=result, error=None, duration=duration)
            else:
                values = {"result": result, "error": None, "duration": duration}
            if self._rules and self._passed == () and self._needs_frame():
                values = self._values(frame, result, None, duration)
            self._apply_rules(frame, values, duration)
            if self.monitor["kind"] == "api":
                self._look_at_status(frame, result, duration)
            if self.monitor["audit"] and self._for_us(frame) and not self._left_to_another(frame):
                self._admit_and_emit(frame, _AUDIT, None, self.monitor["severity"], result, duration)
        except Exception:
            guard.swallow("checking the rules of " + self.path)
        finally:
            _busy.now = False

    # Deciding.

    def would_report(self, error: BaseException, frame: FrameType | None) -> bool:
        """Is this exception a failure to this monitor, or part of the business? `frame` is the trampoline's."""
        if not isinstance(error, Exception) or self._severities.of_error(error) is None:
            return False
        return frame is None or self._for_us(frame)

    def is_quiet(self, frame: FrameType | None, passed: Sequence[str] = ()) -> bool:
        """Does an enclosing monitor speak for this call? `passed` names some that are known to enclose it, `frame` is
        one that they and all others called.
        """
        if not self._quiet:
            return False
        if not self._quiet.isdisjoint(passed):
            return True
        return any(monitor["name"] in self._quiet for monitor in causes.enclosing_monitors(frame))

    def _left_to_another(self, frame: FrameType) -> bool:
        quiet = self.is_quiet(frame.f_back)
        if quiet:
            self._count("left-to-another", self.name)
        return quiet

    def _failed(
        self, error: Exception, traceback: TracebackType | None, frame: FrameType, duration: float | None
    ) -> None:
        if self.receiver is not None and not self._for_us(frame):
            return
        severity = self._severities.of_error(error)
        if severity is None:
            self._expected(error, traceback, frame, duration)
            return
        if self._left_to_another(frame):
            return
        if not causes.raised_here(error, traceback, self) and causes.reported_inside(error, traceback, self):
            return
        values: Mapping[str, object] | None = None
        if self._rules and any(rule.on_error for rule in self._rules):
            values = self._values(frame, None, error, duration)
            self._apply_rules(frame, values, duration, error)
        suppressed = self._limits.admit(("error", self.path, type_name(type(error)), causes.place(traceback)))
        if suppressed is None:
            self._count("rate", self.name)
            return
        if values is None:
            values = self._values(frame, None, error, duration)
        self._emit(
            frame, "error", severity, exception=error, traceback=traceback, duration=duration, values=values,
            suppressed=suppressed,
        )  # fmt: skip

    def _expected(
        self, error: Exception, traceback: TracebackType | None, frame: FrameType, duration: float | None
    ) -> None:
        """Part of the business; but not so often, where the monitor says how often."""
        if causes.is_control_flow(type(error)):
            self._count("control-flow", self.name)
            return
        self._count("expected", self.name)
        if self._rules and any(rule.on_error for rule in self._rules) and self._severities.expects(type(error)):
            self._apply_rules(frame, self._values(frame, None, error, duration), duration, error)
        if self._escalation is None or not self._escalation.passes(type(error).__qualname__):
            return
        if causes.reported_inside(error, traceback, self):
            return
        many, seconds = self._escalation.rate
        message = "%s is expected, but came more than %g times in %g s" % (type(error).__name__, many, seconds)
        self._emit(
            frame, _RULE, self.monitor["severity"], message=message, duration=duration,
            values=self._values(frame, None, error, duration), suppressed=0,
        )  # fmt: skip

    def _apply_rules(
        self, frame: FrameType, values: Mapping[str, object], duration: float | None, error: Exception | None = None
    ) -> None:
        for rule in self._rules:
            if error is not None and not rule.on_error:
                continue
            try:
                hit = rule.test(*[values[name] for name in rule.names])
            except Exception:
                rule.failed += 1
                if rule.failed == 1:
                    self._count("rule-raised", self.name)
                continue
            if hit and self._for_us(frame) and not self._left_to_another(frame):
                self._admit_and_emit(frame, _RULE, rule.message, rule.severity, values.get("result"), duration, error)

    def _look_at_status(self, frame: FrameType, response: object, duration: float) -> None:
        """A server error that raised nothing. The innermost endpoint reports it; what encloses it passes it on."""
        status = getattr(response, "status_code", None)
        if type(status) is int and status >= 500 and self._for_us(frame) and not causes.answered_inside(frame):
            if self._left_to_another(frame):
                return
            causes.mark_answered(frame)
            message = "%s answered %d" % (self.monitor["detail"].get("endpoint") or self.operation, status)
            self._admit_and_emit(frame, _RULE, message, self.monitor["severity"], response, duration)

    def _admit_and_emit(
        self,
        frame: FrameType,
        report: str,
        message: str | None,
        severity: str,
        result: object,
        duration: float | None,
        error: Exception | None = None,
    ) -> None:
        suppressed = self._limits.admit((report, self.path, message))
        if suppressed is None:
            self._count("rate", self.name)
            return
        values = self._values(frame, result, error, duration)
        self._emit(frame, report, severity, message=message, duration=duration, values=values, suppressed=suppressed)

    def _needs_frame(self) -> bool:
        return any(name not in _OWN_NAMES for rule in self._rules for name in rule.names)

    def _for_us(self, frame: FrameType) -> bool:
        """A method that several classes share is monitored only where the target's class is the receiver."""
        receiver = self.receiver
        if receiver is None:
            return True
        first = frame.f_locals.get(self._names[0]) if self._names else None
        if self._names and first is None and self._code.co_argcount == 0:
            variable = frame.f_locals.get(self._names[0])
            first = variable[0] if isinstance(variable, tuple) and variable else None
        if first is receiver:
            return True
        if not isinstance(receiver, type):
            return False
        if isinstance(first, type):
            return issubclass(first, receiver)
        return issubclass(type(first), receiver)

    def _values(
        self, frame: FrameType, result: object, error: BaseException | None, duration: float | None
    ) -> dict[str, object]:
        if not self._capture and not self._rules:
            return {}
        values: dict[str, object] = arguments.of_frame(frame, self._code, self._written, self._written_code)
        return {**values, "result": result, "error": error, "duration": duration}

    def _captured(self, values: Mapping[str, object]) -> Captured:
        found: dict[str, object] = {}
        failed: list[str] = []
        for name, (names, evaluate) in self._capture.items():
            try:
                found[name] = evaluate(*[values[item] for item in names])
            except Exception:
                failed.append(name)
        return Captured(found, failed)

    def _emit(
        self,
        frame: FrameType,
        report: str,
        severity: str,
        *,
        values: Mapping[str, object],
        duration: float | None,
        suppressed: int,
        message: str | None = None,
        exception: BaseException | None = None,
        traceback: TracebackType | None = None,
        threshold: float | None = None,
        within: Sequence[tuple[str, int, float, float]] = (),
    ) -> None:
        self._report(
            Observation(
                monitor=self._placed(frame.f_back),
                operation=self.operation,
                function=self.path,
                report=report,
                severity=severity if severity in SEVERITIES else "error",
                message=message,
                exception=exception,
                traceback=traceback,
                frame=frame.f_back,
                duration=duration,
                threshold=threshold
                if threshold is not None
                else (self._thresholds[0][0] if self._thresholds else None),
                operations=[*causes.enclosing(frame.f_back), self.operation],
                captured=self._captured(values),
                suppressed=suppressed,
                ended=time.time(),
                inside=within,
            )
        )

    def _placed(self, frame: FrameType | None) -> MonitorData:
        """The monitor, in the module of the nearest enclosing one that has a module, where it has none of its own."""
        if self.monitor["module"] is not None:
            return self.monitor
        for around in causes.enclosing_monitors(frame):
            if around["module"] is not None:
                return {**self.monitor, "module": around["module"], "owner": around["owner"]}
        return self.monitor


def busy() -> bool:
    """Is this thread inside the agent?"""
    return _busy.now


def _operation(template: str, function: FunctionType) -> str:
    if "{" not in template:
        return template
    written = arguments.definition(function)
    for name, value in (
        ("{name}", written.__name__),
        ("{qualname}", written.__qualname__),
        ("{module}", written.__module__ or ""),
    ):
        template = template.replace(name, value)
    return template
