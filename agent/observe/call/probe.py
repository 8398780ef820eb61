"""One monitor bound to one patched function: decides, on the slow, failing or matching path, what is worth a report.

The trampoline calls `fail`, `slow`, `check`, `enter` and `leave`. Each reads the caller's frame, which is the
trampoline's, so that arguments cost a call nothing until they are wanted.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, cast

from ...base.errors import CannotPatch
from ...base.interrupts import ours
from ...base.model import SEVERITIES, Captured, Observation
from ...base.slots import name_of, qualname_of, set_traceback, traceback_of
from ...hook.code import inject, patch, trampoline
from ..event import reserve
from ..event.represent import status_of, type_name
from ..failure import answered
from ..failure import reported as told
from . import arguments, callers, failing, inside, nested, tally
from .limits import Escalation
from .naming import words
from .severity import expected_anywhere, is_control_flow, is_expected_anywhere
from .terms import OWN_NAMES, SHADOWED_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
    from types import CodeType, FrameType, FunctionType, TracebackType

    from ...base.model import MonitorData
    from ...hook.targets.resolve import Found
    from .naming import Called
    from .terms import Capture, Exemption, Rule, Terms


#: Reports that are under way: what a report itself calls is not monitored.
_busy = nested.UnderWay()

_ERROR, _RULE, _AUDIT = "error", "rule", "audit"

#: What counting takes besides the numbers themselves.
_COUNTING = {"bits": tally.bits, "whole": tally.whole, "scale": tally.SCALE, "add": tally.add}

_OWN = frozenset(OWN_NAMES)

#: For probes that must look at each failure; never written to.
_NONE: dict[type, tuple[str | None, str]] = {}


class Probe:
    """One function under one monitor, whose `terms` it shares with the monitor's other functions."""

    __slots__ = ("_by_class", "_captures", "_code", "_escalation", "_exemption", "_features", "_left", "_passed",
                 "_rules", "_tally", "_verdicts", "_words", "_written", "disabled", "path", "receiver",
                 "terms")  # fmt: skip

    def __init__(self, terms: Terms, found: Found, function: FunctionType) -> None:
        monitor = terms.monitor
        self.terms = terms
        self.receiver = found.receiver
        self._left = found.left
        self.path = found.path
        written = arguments.definition(found.inner or function)
        self._words, self._by_class = words(monitor, found, written)
        self._code = patch.original_code(function)
        self._written = written if written is not function else None
        self._captures: Sequence[Capture] = terms.captures
        self._rules: Sequence[Rule] = terms.rules
        #: Expressions that this function has no parameter for, each with the reason.
        self.disabled: Sequence[str] = ()
        self._exemption = terms.exemption
        if terms.expressions:
            self._leave_out_what_names_no_parameter()
        rate = monitor["escalate"]
        self._escalation = Escalation(rate[0], rate[1]) if rate else None
        asks = terms.asks or found.receiver is not None or found.left is not None
        asks = asks or (self._by_class is not None and terms.tallies is not None)
        self._verdicts = _NONE if asks else terms.severities.verdicts
        self._tally = terms.tallies.of(monitor, self.operation) if terms.tallies is not None else None
        self._passed: tuple[str, ...] = ()
        self._features = self._decide()

    @property
    def name(self) -> str:
        """The monitor's."""
        return self.terms.monitor["name"]

    @property
    def monitor(self) -> MonitorData:
        return self.terms.monitor

    def called(self, frame: FrameType) -> Called:
        """The call in `frame` as it is spoken of: the monitor's words may name the class that it is called on."""
        by_class = self._by_class
        return (by_class.of(arguments.first(frame, self._code)) if by_class is not None else None) or self._words

    @property
    def operation(self) -> str:
        """That of a call which shows no class."""
        return self._words.operation

    @property
    def quiet(self) -> frozenset[str]:
        """Monitors to which this one leaves the calls inside theirs."""
        return self.terms.quiet

    def _leave_out_what_names_no_parameter(self) -> None:
        names = arguments.parameters(self._code)
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

    def _decide(self) -> trampoline.Features:
        """What the trampoline must do; everything else is left out of it."""
        terms = self.terms
        check: tuple[int, ...] | None = None
        # Whose method it is that several classes share, only a look at the argument tells: `check` counts it then.
        shared = self._tally is not None and (self.receiver is not None or self._by_class is not None)
        if terms.looks or shared:
            wanted = {name for rule in self._rules for name in rule.names}.difference(OWN_NAMES)
            # A decorator's wrapper has other names than the function below it: those are read from the frame.
            names = self._names
            self._passed = tuple(sorted(wanted)) if wanted.issubset(names) else ()
            check = tuple([names.index(name) for name in self._passed])
        kind = trampoline.kind_of(self._code)
        return trampoline.shared_features(
            bool(terms.thresholds),
            check,
            terms.span is not None and kind in (trampoline.FUNCTION, trampoline.COROUTINE),
            bool(terms.expressions) and "duration" in self._all_names(),
            self._tally is not None and not shared,
        )

    @property
    def _names(self) -> tuple[str, ...]:
        return arguments.parameters(self._code)

    def _all_names(self) -> set[str]:
        """What captures, rules and the exemption speak of."""
        return {name for item in self._expressions() for name in item.names}

    def _expressions(self) -> list[Capture | Rule | Exemption]:
        exemption = [self._exemption] if self._exemption is not None else []
        return [*self._captures, *self._rules, *exemption]

    def make(self, original: FunctionType) -> CodeType:
        """The trampoline for `original`. Raises CannotPatch where the interpreter refuses it."""
        try:
            return trampoline.build(original, self._features, self._values_for(Probe.fail))
        except ours(ValueError, TypeError, SyntaxError) as error:
            raise CannotPatch(f"{self.path}: the interpreter refuses its trampoline: {error}") from None

    def inject(self, code: CodeType) -> CodeType | None:
        """`code` with this probe in it, or None where only a trampoline will do."""
        return inject.inject(code, self._features, self._values_for(Probe.fail_inside), self._wanted())

    def _values_for(self, fail: Callable[..., None]) -> dict[str, Any]:
        """What the patched function calls and compares with: named alike in both ways to patch."""
        terms, features = self.terms, self._features
        values: dict[str, Any] = {"clock": terms.clock, "fail": trampoline.Callback(fail, self)}
        if features.threshold:
            values["slow"] = trampoline.Callback(Probe.slow, self)
            values["limit"] = terms.thresholds[0][0]
        if features.check is not None:
            values["check"] = trampoline.Callback(Probe.check, self)
        if features.tally and terms.tallies is not None and self._tally is not None:
            values.update(_COUNTING, counts=self._tally.counts, due=terms.tallies.due)
            values["look"] = trampoline.Callback(terms.tallies.look)
        if features.span and terms.span is not None:
            values["enter"] = trampoline.Callback(terms.span[0], self)
            values["leave"] = trampoline.Callback(terms.span[1])
        return values

    def _wanted(self) -> Collection[str]:
        """Parameters that are read when the call has ended."""
        names: set[str] = set()
        if self.terms.expressions:
            names = {SHADOWED_NAMES.get(name, name) for name in self._all_names().difference(OWN_NAMES)}
            if names and self._written is not None:
                return self._names
        if self.receiver is not None or self._by_class is not None:
            names.update(self._names[:1])
        return names

    # What the trampoline, or the code put into the function, calls.

    def fail(self, start: float) -> None:
        """An exception is passing. Nothing that happens here may change it, but for our own frame in its traceback."""
        error = sys.exc_info()[1]
        if error is None:
            return
        traceback = traceback_of(error)
        if traceback is not None and traceback.tb_frame is sys._getframe(1):
            traceback = traceback.tb_next
            if traceback is not None and trampoline.LEAVES_NO_FRAME:
                set_traceback(error, traceback)
        try:
            self._passing(start, error, traceback, 2)
        except RecursionError:  # there is no room to look whose it is; the host's own exception goes on
            pass

    def fail_inside(self, start: float, error: BaseException | None = None) -> None:
        """An exception is passing, and the frame is the function's own. Before 3.11, nobody says which one."""
        if error is None:
            error = sys.exc_info()[1]
            if error is None:
                return
        try:
            self._passing(start, error, traceback_of(error), 2)
        except RecursionError:
            pass

    def _passing(self, start: float, error: BaseException, traceback: TracebackType | None, depth: int) -> None:
        """`depth` is that of the frame with the arguments, counted from here.

        Hosts raise a thousand times what nobody has to know: that is found out first, with one look at the type, and
        without running anything of theirs.
        """
        try:
            verdict = self._verdicts.get(type(error))
            if verdict is None or _busy.number:
                self._consider(start, error, traceback, sys._getframe(depth))
                return
            if answered.around:
                answered.ended(sys._getframe(depth))
            terms = self.terms
            severity, word = verdict
            if severity is not None and expected_anywhere and self._is_expected_around(error, sys._getframe(depth)):
                severity, word = None, "expected"
            if self._tally is not None:
                self._tally.ended(terms.clock() - start, failed=severity is not None)
            if severity is None:
                terms.count(word, terms.name)
                return
            if told.inside(error, traceback, self):
                return
            place = self.path if self._by_class is None else self._place(sys._getframe(depth))
            end = told.end_of(traceback)
            suppressed = terms.limits.admit((_ERROR, place, word, end[0]))
            if suppressed is None:  # there were too many: none for those further out either
                terms.count("rate", terms.name)
                told.note(error, traceback, self, end)
                return
            duration = terms.clock() - start if start else None
            frame = sys._getframe(depth)
            _busy.number += 1
            try:
                values = self._values(frame, None, error, duration)
                self._emit(
                    frame, _ERROR, severity, exception=error, traceback=traceback, duration=duration, values=values,
                    suppressed=suppressed,
                )  # fmt: skip
            finally:
                _busy.number -= 1
        except ours(RecursionError):
            pass  # nothing was reported, and so a call further out does, which has more of the stack
        except ours(BaseException):
            self.terms.lost("reporting an error in ", self.path)

    def _consider(self, start: float, error: BaseException, traceback: TracebackType | None, frame: FrameType) -> None:
        """A failure of which the type alone does not say what becomes of it."""
        exhausted = issubclass(type(error), MemoryError)
        if exhausted:
            reserve.release()  # to decide takes room as well
        try:
            if answered.around:
                answered.ended(frame)
            self._look_at(start, error, traceback, frame)
        finally:
            if exhausted:
                reserve.keep()

    def _look_at(self, start: float, error: BaseException, traceback: TracebackType | None, frame: FrameType) -> None:
        terms = self.terms
        if not issubclass(type(error), Exception):
            terms.count("control-flow", terms.name)
            self._ended(frame, start, failed=False)
        elif _is_busy(frame):
            terms.count("inside-a-report", terms.name)  # what the agent itself, or the host's __str__, called
            self._ended(frame, start, failed=terms.severities.of_error(error) is not None)
        else:
            failure = cast("Exception", error)
            _busy.number += 1
            try:
                if self._tally is not None and self._for_us(frame):
                    self._ended(frame, start, failed=self._severity(failure, frame) is not None)
                self._failed(failure, traceback, frame, terms.clock() - start if start else None)
            finally:
                _busy.number -= 1

    def _ended(self, frame: FrameType, start: float, *, failed: bool) -> None:
        if self._tally is not None:
            self._tally_of(frame).ended(self.terms.clock() - start, failed=failed)

    def _tally_of(self, frame: FrameType) -> Any:
        tallies = self.terms.tallies
        if tallies is None or self._by_class is None:
            return self._tally
        return tallies.of(self.monitor, self.called(frame).operation)

    def slow(self, start: float, result: object) -> None:
        """The call took longer than the lowest threshold."""
        duration = self.terms.clock() - start
        frame = sys._getframe(1)
        entered = False
        try:
            if _is_busy(frame):
                return
            _busy.number += 1
            entered = True
            if not self._for_us(frame) or self._is_left(frame, result, None, duration):
                return
            passed = [step for step in self.terms.thresholds if duration > step[0]] or self.terms.thresholds[:1]
            threshold, severity = passed[-1]
            within = inside.note(frame, self.called(frame).operation, start, duration)
            suppressed = self.terms.limits.admit(("slow", self._place(frame), severity))
            if suppressed is None:
                self.terms.count("rate", self.name)
                return
            values = self._values(frame, result, None, duration)
            self._emit(
                frame, "slow", severity, duration=duration, threshold=threshold, values=values, suppressed=suppressed,
                within=within, result=result,
            )  # fmt: skip
        except RecursionError:
            pass
        except ours(BaseException):
            self.terms.lost("reporting a slow call of ", self.path)
        finally:
            if entered:
                _busy.number -= 1

    def check(self, result: object, start: float, *passed: object) -> None:
        """The call succeeded, and something must be looked at each time: rules, an audit, a response's status."""
        frame = sys._getframe(1)
        entered = False
        try:
            if _is_busy(frame):
                return
            _busy.number += 1
            entered = True
            duration = self.terms.clock() - start
            if self._rules:
                self._apply_rules(frame, self._known(frame, result, duration, passed), duration)
            if self._tally is not None and not self._features.tally and self._for_us(frame):
                self._tally_of(frame).ended(duration, failed=False)
            monitor = self.terms.monitor
            if monitor["kind"] == "api":
                self._look_at_status(frame, result, duration)
            if monitor["audit"] and self._for_us(frame) and not self._is_left(frame, result, None, duration):
                self._admit_and_emit(frame, _AUDIT, None, monitor["audit"], result, duration)
        except RecursionError:
            pass
        except ours(BaseException):
            self.terms.lost("checking the rules of ", self.path)
        finally:
            if entered:
                _busy.number -= 1

    def _known(
        self, frame: FrameType, result: object, duration: float, passed: Sequence[object]
    ) -> Mapping[str, object]:
        """What rules may name: values that were handed over, or else everything, read from the frame."""
        if self._passed:
            return dict(zip(self._passed, passed), result=result, error=None, duration=duration)
        if self._needs_frame():
            return self._values(frame, result, None, duration)
        return {"result": result, "error": None, "duration": duration}

    # Deciding.

    def _is_quiet(self, frame: FrameType | None) -> bool:
        """Does an enclosing monitor speak for this call?"""
        return bool(self.quiet) and any(each["name"] in self.quiet for each in callers.enclosing_monitors(frame))

    def _is_left(self, frame: FrameType, result: object, error: BaseException | None, duration: float | None) -> bool:
        """Is what happened told by another monitor, or not to be told at all? Counted, if so."""
        if self._is_quiet(frame.f_back) or (self._left is not None and self._left(frame)):
            self.terms.count("left-to-another", self.name)
        elif self._is_exempt(frame, result, error, duration):
            self.terms.count("exempt", self.name)
        else:
            return False
        return True

    def _is_exempt(self, frame: FrameType, result: object, error: BaseException | None, duration: float | None) -> bool:
        return self._exemption is not None and self._exemption.holds(self._values(frame, result, error, duration))

    def _failed(
        self, error: Exception, traceback: TracebackType | None, frame: FrameType, duration: float | None
    ) -> None:
        if self.receiver is not None and not self._for_us(frame):
            return
        severity = self._severity(error, frame)
        if severity is None:
            self._expected(error, traceback, frame, duration)
            return
        if self._is_left(frame, None, error, duration):
            return
        if told.inside(error, traceback, self) or callers.lack_room(error, traceback, frame):
            return
        values: Mapping[str, object] | None = None
        if any(rule.on_error for rule in self._rules):
            values = self._values(frame, None, error, duration)
            self._apply_rules(frame, values, duration, error)
        end = told.end_of(traceback)
        suppressed = self.terms.limits.admit((_ERROR, self._place(frame), type_name(type(error)), end[0]))
        if suppressed is None:
            self.terms.count("rate", self.name)
            told.note(error, traceback, self, end)
            return
        if values is None:
            values = self._values(frame, None, error, duration)
        self._emit(
            frame, _ERROR, severity, exception=error, traceback=traceback, duration=duration, values=values,
            suppressed=suppressed,
        )  # fmt: skip

    def _severity(self, error: Exception, frame: FrameType) -> str | None:
        severity = self.terms.severities.of_error(error)
        return None if severity is not None and self._is_expected_around(error, frame) else severity

    def _is_expected_around(self, error: BaseException, frame: FrameType) -> bool:
        """Is this business as usual to the operation that the call is a part of?

        Of the monitors around, the nearest that names the exception decides; this one's own word comes before theirs.
        """
        kind = type(error)
        if not is_expected_anywhere(kind) or self.terms.severities.word_on(kind) is not None:
            return False
        for around, owner in callers.calls(frame.f_back):
            if isinstance(owner, Probe) and owner._for_us(around):
                word = owner.terms.severities.word_on(kind)
                if word is not None:
                    return word == "expected"
        return False

    def _place(self, frame: FrameType) -> Hashable:
        """What limits tell apart, besides what happened: the function, and the class where its words name one."""
        return self.path if self._by_class is None else (self.path, self.called(frame).operation)

    def _expected(
        self, error: Exception, traceback: TracebackType | None, frame: FrameType, duration: float | None
    ) -> None:
        """Part of the business; but not so often, where the monitor says how often."""
        reason = "control-flow" if is_control_flow(type(error)) else "expected"
        self.terms.count(reason, self.name)
        if reason == "control-flow":
            return
        if any(rule.on_error for rule in self._rules) and self.terms.severities.expects(type(error)):
            self._apply_rules(frame, self._values(frame, None, error, duration), duration, error)
        if self._escalation is None or not self._escalation.passes(qualname_of(type(error))):
            return
        if told.inside(error, traceback, self):
            return
        many, seconds = self._escalation.rate
        message = "%s is expected, but came more than %g times in %g s" % (name_of(type(error)), many, seconds)
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
            except ours(BaseException) as raised:
                self.terms.failed("rule-raised", f"when {rule.text}", raised)
                continue
            if hit and self._for_us(frame):
                result = values.get("result")
                if self._is_left(frame, result, error, duration):
                    continue
                if rule.escalation is None:
                    self._admit_and_emit(frame, _RULE, rule.message, rule.severity, result, duration, error)
                elif rule.escalation.passes(self.path):
                    message = "%s (more than %g times in %g s)" % (rule.message, *rule.escalation.rate)
                    values = self._values(frame, result, error, duration)
                    self._emit(
                        frame, _RULE, rule.severity, message=message, duration=duration, values=values, suppressed=0,
                        result=result,
                    )  # fmt: skip
                else:
                    self.terms.count("expected", self.name)

    def _look_at_status(self, frame: FrameType, response: object, duration: float) -> None:
        """A server error that raised nothing. The innermost endpoint reports it; what encloses it passes it on."""
        status = getattr(response, "status_code", None)
        passed_on = answered.is_passed_on(frame, response)
        if type(status) is int and status >= 500 and self._for_us(frame) and not passed_on:
            if self._is_left(frame, response, None, duration):
                return
            answered.note(frame, response)
            called = self.called(frame)
            message = "%s answered %d" % (called.monitor["detail"].get("endpoint") or called.operation, status)
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
        suppressed = self.terms.limits.admit((report, self._place(frame), message))
        if suppressed is None:
            self.terms.count("rate", self.name)
            return
        values = self._values(frame, result, error, duration)
        self._emit(
            frame, report, severity, message=message, duration=duration, values=values, suppressed=suppressed,
            result=result,
        )  # fmt: skip

    def _needs_frame(self) -> bool:
        return not all(_OWN.issuperset(rule.names) for rule in self._rules)

    def _for_us(self, frame: FrameType) -> bool:
        """A method that several classes share is monitored only where the target's class is the receiver."""
        receiver = self.receiver
        return receiver is None or arguments.is_received_by(receiver, arguments.first(frame, self._code))

    def _values(
        self, frame: FrameType, result: object, error: BaseException | None, duration: float | None
    ) -> dict[str, object]:
        if not self._captures and not self._rules and self._exemption is None:
            return {}
        values: dict[str, object] = arguments.of_frame(frame, self._code, self._written)
        hidden = {called: values[name] for called, name in SHADOWED_NAMES.items() if name in values}
        return {**values, **hidden, "result": result, "error": error, "duration": duration}

    def _captured(self, values: Mapping[str, object]) -> Captured:
        found: dict[str, object] = {}
        failed: dict[str, str] = {}
        for capture in self._captures:
            try:
                found[capture.name] = capture.evaluate(*[values[name] for name in capture.names])
            except ours(BaseException) as error:
                failed[capture.name] = failing.why(error, capture.text)
                self.terms.failed("capture-raised", f"{capture}: {capture.text}", error)
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
        result: object = None,
    ) -> None:
        called = self.called(frame)
        try:
            observation = Observation(
                monitor=callers.placed(called.monitor, frame.f_back),
                operation=called.operation,
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
                else (self.terms.thresholds[0][0] if self.terms.thresholds else None),
                operations=[*callers.enclosing(frame.f_back), called.operation],
                captured=self._captured(values),
                suppressed=suppressed,
                ended=time.time(),
                inside=within,
                status=status_of(result),
            )
        except ours(BaseException):
            raise
        except BaseException:  # a time limit of the host's, in a capture say
            self.terms.count("not-made", self.name)
            raise
        reported = self.terms.report(observation)
        if exception is not None and reported is not None:
            told.note(exception, traceback, self)


def _is_busy(frame: FrameType) -> bool:
    """Is `frame` called by a report, in this greenlet or task?"""
    return _busy.number > 0 and nested.is_within(frame.f_back, globals())
