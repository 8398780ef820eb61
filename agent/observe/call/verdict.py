"""Decides which calls of one monitored function are worth a report.

The code that a probe puts into the function calls `fail`, `slow` and `check`. Each reads the frame of its caller, so
that a call which nothing is reported of never pays for its arguments.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

from ...base.interrupts import ours
from ...base.model import SEVERITIES
from ...base.slots import name_of, qualname_of, set_traceback, traceback_of
from ...hook.code import trampoline
from ..around import people, traces, work
from ..event import reserve
from ..event.represent import has_attribute, type_name
from ..failure import attempts, bursts, reported, server_errors
from ..failure.severity import is_control_flow, is_expected_anywhere
from . import callers, inside, reentry, repeats
from .cost import GIVEN_UP
from .reporter import AUDIT, ERROR, RULE, Reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence
    from types import FrameType, TracebackType

    from .limits import Escalation
    from .terms import Rule


#: Reports in progress: what a report itself calls is not monitored.
_reports = reentry.Running()


class Verdict(Reporter):
    """What becomes of each call of one function under one monitor."""

    __slots__ = ()

    # Called by the trampoline, or by the code inside the function.

    def fail(self, start: float | bytes) -> None:
        """An exception leaves the call. Nothing here changes it, except that our frame leaves its traceback."""
        error = sys.exc_info()[1]
        if error is None:
            return
        traceback = traceback_of(error)
        if traceback is not None and traceback.tb_frame is sys._getframe(1):
            traceback = traceback.tb_next
            if traceback is not None and trampoline.LEAVES_NO_FRAME:
                set_traceback(error, traceback)
        try:
            self._raised(start, error, traceback, 2)
        except RecursionError:  # no room is left to find out whose it is; the host's own exception propagates
            pass

    def fail_inside(self, start: float | bytes, error: BaseException | None = None) -> None:
        """An exception leaves the call; the frame is the function's own. Before Python 3.11, `error` is not given."""
        if error is None:
            error = sys.exc_info()[1]
            if error is None:
                return
        try:
            self._raised(start, error, traceback_of(error), 2)
        except RecursionError:
            pass

    def slow(self, start: float, result: object) -> None:
        """The call took longer than the lowest threshold."""
        ended = self.terms.clock()
        frame = sys._getframe(1)
        entered = False
        try:
            if _is_in_report(frame):
                return
            _reports.number += 1
            entered = True
            if self._applies_to(frame):
                self._slow(frame, start, ended - start, result)
            self.terms.cost.spent += self.terms.clock() - ended
        except RecursionError:
            pass
        except ours(BaseException):
            self.terms.lost("reporting a slow call of ", self.path)
        finally:
            if entered:
                _reports.number -= 1

    def check(self, result: object, start: float, *passed: object) -> None:
        """The call succeeded, and each success is looked at: for rules, an audit, or the status of a response."""
        frame = sys._getframe(1)
        entered = False
        try:
            if _is_in_report(frame):
                return
            cost, clock = self.terms.cost, self.terms.clock
            if cost.every > 1 and cost.skips() and not self._shared:
                return
            _reports.number += 1
            entered = True
            ended = clock()
            duration = ended - start
            if self._rules:
                self._apply_rules(frame, self._rules, self._passed_values(frame, result, duration, passed), duration)
            if self._shared and self._applies_to(frame):
                tally = self._tally_of(frame)
                if tally is not None:
                    tally.ended(start)
            monitor = self.terms.monitor
            if monitor["repeats"]:
                repeats.count(self, frame, start)
            if monitor["kind"] == "api":
                self._check_status(frame, result, duration)
            if monitor["audit"] and self._applies_to(frame) and not self._is_left_out(frame, result, None, duration):
                self._report_within_limits(frame, AUDIT, None, monitor["audit"], result, duration)
            cost.check(clock() - ended)
        except RecursionError:
            pass
        except ours(BaseException):
            self.terms.lost("checking the rules of ", self.path)
        finally:
            if entered:
                _reports.number -= 1

    def _slow(self, frame: FrameType, start: float, duration: float, result: object) -> None:
        tally = self._tally_of(frame)
        if tally is not None:
            tally.slow(duration)
        if self._is_left_out(frame, result, None, duration):
            return
        passed = [step for step in self.terms.thresholds if duration > step[0]] or self.terms.thresholds[:1]
        threshold, severity = passed[-1]
        traces.note(slow=not self.live)
        shares: Sequence[inside.Share] = ()
        if not self.live:
            shares, longest = inside.remember(frame, self.called(frame).operation, start, duration, severity)
            if longest is not None and self._is_because_of(longest, duration, severity):
                self.terms.count("left-to-another", self.name)
                self._note(frame, "other")
                return
        suppressed = self._admitted(frame, ("slow", self._place(frame), severity))
        if suppressed is not None:
            self._report(
                frame, "slow", severity, result, None, duration, suppressed, threshold=threshold, shares=shares
            )

    def _is_because_of(self, longest: inside.Slow, duration: float, severity: str) -> bool:
        """Is the slow call a pack's, and would it not have been slow without one inside it that was reported?"""
        terms = self.terms
        return (
            terms.of_pack
            and terms.lowest is not None
            and duration - longest.duration <= terms.lowest
            and longest.duration >= duration / 2
            and SEVERITIES.index(longest.severity) >= SEVERITIES.index(severity)
        )

    # An exception.

    def _raised(self, start: float | bytes, error: BaseException, traceback: TracebackType | None, depth: int) -> None:
        """`depth` is that of the frame with the arguments, counted from here.

        Hosts raise a thousand exceptions for each one that is worth a report: one look at the type sorts out the
        others, before anything of the host's runs.
        """
        try:
            ended = self.terms.clock()
            burst = self._burst
            if burst is None or _reports.number or not burst.drops(self, start, error, traceback):
                self._judge(start, error, traceback, depth + 1)
            self.terms.cost.spent += self.terms.clock() - ended
        except ours(RecursionError):
            pass  # nothing was reported, and so a call further out does, which has more of the stack
        except ours(BaseException):
            self.terms.lost("reporting an error in ", self.path)

    def _judge(self, start: float | bytes, error: BaseException, traceback: TracebackType | None, depth: int) -> None:
        if self.terms.repeats:
            repeats.count(self, sys._getframe(depth), start)
        known = self._by_type.get(type(error))
        if known is None or _reports.number:
            self._consider(start, error, traceback, sys._getframe(depth))
            return
        if server_errors.endpoints:
            server_errors.ended(sys._getframe(depth))
        terms = self.terms
        severity, word = known
        if severity is not None and self._is_expected_around(error, sys._getframe(depth)):
            severity, word = None, "expected"
        if self._tally is not None:
            self._tally.raised(start, severity or word, people.current_id if severity else None)
        if severity is None:
            terms.count(word, terms.name)
            return
        if self._is_reported(error, traceback):
            return
        place = self.path if self._by_class is None else self._place(sys._getframe(depth))
        end = reported.end_of(traceback)
        key = (ERROR, place, word, end[0])
        suppressed = self._admitted(None, key, depth + 1)
        if suppressed is None:  # there were too many: no call further out reports it either
            reported.remember(error, traceback, self, end, reported.Dropped)
            self._begin_burst(key, error, traceback, severity)
            return
        attempts.note(terms.limits, key, suppressed)
        duration = self._since(start)
        _reports.number += 1
        try:
            self._report(sys._getframe(depth), ERROR, severity, None, error, duration, suppressed, traceback)
        finally:
            _reports.number -= 1

    def _begin_burst(self, key: Hashable, error: BaseException, traceback: TracebackType | None, severity: str) -> None:
        """Others like it may follow at once."""
        if not bursts.POSSIBLE or traceback is None or self.terms.repeats or self._by_class is not None or self.live:
            return
        bucket = self.terms.limits.dropping(key)
        self._burst = bursts.Burst(bucket, error, traceback, severity) if bucket is not None else None

    def _consider(
        self, start: float | bytes, error: BaseException, traceback: TracebackType | None, frame: FrameType
    ) -> None:
        """A failure whose type alone does not decide whether it is reported."""
        exhausted = issubclass(type(error), MemoryError)
        if exhausted:
            reserve.release()  # to decide takes memory as well
        try:
            if server_errors.endpoints:
                server_errors.ended(frame)
            self._decide(start, error, traceback, frame)
        finally:
            if exhausted:
                reserve.keep()

    def _decide(
        self, start: float | bytes, error: BaseException, traceback: TracebackType | None, frame: FrameType
    ) -> None:
        terms = self.terms
        if not issubclass(type(error), Exception):
            terms.count("control-flow", terms.name)
            self._ended(frame, start, "control-flow")
        elif _is_in_report(frame):
            terms.count("inside-a-report", terms.name)  # what the agent itself, or the host's __str__, called
            self._ended(frame, start, terms.severities.of_error(error) or "expected")
        else:
            failure = cast("Exception", error)
            _reports.number += 1
            try:
                if self._applies_to(frame):
                    self._failed(start, failure, traceback, frame)
            finally:
                _reports.number -= 1

    def _failed(
        self, start: float | bytes, error: Exception, traceback: TracebackType | None, frame: FrameType
    ) -> None:
        terms = self.terms
        severity = terms.severities.of_error(error)
        if severity is not None and self._is_expected_around(error, frame):
            severity = None
        control_flow = is_control_flow(type(error))
        self._ended(frame, start, severity or ("control-flow" if control_flow else "expected"))
        duration = self._since(start)
        if severity is None:
            self._expected(error, traceback, frame, duration)
            return
        if self._is_left_out(frame, None, error, duration):
            return
        if self._is_reported(error, traceback) or callers.lack_room(error, traceback, frame):
            return
        self._apply_error_rules(frame, error, duration)
        end = reported.end_of(traceback)
        key = (ERROR, self._place(frame), type_name(type(error)), end[0])
        suppressed = self._admitted(frame, key)
        if suppressed is None:
            reported.remember(error, traceback, self, end, reported.Dropped)
            return
        attempts.note(self.terms.limits, key, suppressed)
        self._report(frame, ERROR, severity, None, error, duration, suppressed, traceback)

    def _is_expected_around(self, error: BaseException, frame: FrameType) -> bool:
        """Is this exception expected by the operation or the task that the call is a part of?

        Not if this monitor, or its module, names the exception itself.
        """
        kind = type(error)
        severities = self.terms.severities
        if work.declares(kind) and not severities.names(kind):
            return True  # by whom the task is monitored reports it
        if not is_expected_anywhere(kind) or severities.stance_on(kind) is not None:
            return False
        return callers.expect(kind, frame.f_back)

    def _expected(
        self, error: Exception, traceback: TracebackType | None, frame: FrameType, duration: float | None
    ) -> None:
        """Count it. Report it where it came more often than the monitor's `escalate` allows."""
        control_flow = is_control_flow(type(error))
        self.terms.count("control-flow" if control_flow else "expected", self.name)
        if control_flow:
            return
        if self._error_rules and self.terms.severities.expects(type(error)):
            self._apply_error_rules(frame, error, duration)
        if self._escalation is None or self.terms.severities.ignores(type(error)):
            return
        if not self._escalation.passes(qualname_of(type(error))):
            return
        if self._is_reported(error, traceback):
            return
        many, seconds = self._escalation.rate
        message = "%s is expected, but came more than %g times in %g s" % (name_of(type(error)), many, seconds)
        self._report(frame, RULE, self.monitor["severity"], None, error, duration, 0, message=message)

    # Rules.

    def _passed_values(
        self, frame: FrameType, result: object, duration: float, passed: Sequence[object]
    ) -> Mapping[str, object]:
        """The values that rules name: those that `check` was called with, or all of them, read from the frame."""
        if self._passed is None:
            return self._values(frame, result, None, duration)
        return dict(zip(self._passed, passed), result=result, error=None, duration=duration)

    def _apply_error_rules(self, frame: FrameType, error: Exception, duration: float | None) -> None:
        if self._error_rules:
            values = self._values(frame, None, error, duration)
            self._apply_rules(frame, self._error_rules, values, duration, error)

    def _apply_rules(
        self,
        frame: FrameType,
        rules: Sequence[Rule],
        values: Mapping[str, object],
        duration: float | None,
        error: Exception | None = None,
    ) -> None:
        matched = reported = False
        for rule in rules:
            if rule.raised >= GIVEN_UP:
                continue
            try:
                hit = rule.evaluate(*[values[name] for name in rule.names])
            except ours(BaseException) as raised:
                self.terms.rule_failed(rule, raised)
                continue
            rule.raised = 0
            if not hit or not self._applies_to(frame):
                continue
            result = values["result"]
            if not matched:
                if self._is_left_out(frame, result, error, duration):
                    return
                matched = True
                self._note(frame, "rule")
            message = rule.message
            if rule.escalation is not None:
                if not self._is_too_often(rule, rule.escalation, values):
                    continue
                message = "%s (more than %g times in %g s)" % (message, *rule.escalation.rate)
            reported = True
            if rule.escalation is not None and rule.each is None:
                self._report(frame, RULE, rule.severity, result, error, duration, 0, message=message)
            else:
                self._report_within_limits(frame, RULE, message, rule.severity, result, duration, error)
        if matched and not reported:
            self.terms.count("expected", self.name)

    def _is_too_often(self, rule: Rule, escalation: Escalation, values: Mapping[str, object]) -> bool:
        if rule.each is None:
            return escalation.passes(self.path)
        try:
            value = rule.each.of(values)
            # Hashed, so that no value of a stranger's length stays in memory. Types of the host's may raise.
            return value is not None and escalation.passes((self.path, hash(value)))
        except ours(BaseException) as raised:
            self.terms.failed("rule-raised", f"each {rule.each.text}", raised)
            return False

    def _check_status(self, frame: FrameType, response: object, duration: float) -> None:
        """A server error that raised nothing. The innermost endpoint reports it; those around it pass it on."""
        status = getattr(response, "status_code", None) if has_attribute(response, "status_code") else None
        passed_on = server_errors.is_passed_on(frame, response)
        if type(status) is not int or status < 500 or not self._applies_to(frame):
            return
        tally = self._tally_of(frame)
        if tally is not None:
            tally.failed(self.monitor["severity"], people.current_id)
        if not passed_on:
            if self._is_left_out(frame, response, None, duration):
                return
            server_errors.remember(frame, response)
            called = self.called(frame)
            message = "%s returned %d" % (called.monitor["detail"].get("endpoint") or called.operation, status)
            self._report_within_limits(frame, RULE, message, self.monitor["severity"], response, duration)

    def _report_repeats(self, frame: FrameType, inside: repeats.Inside, known: repeats.Repeated) -> None:
        quietly(frame, lambda: repeats.report(self, frame, inside, known))


def _is_in_report(frame: FrameType) -> bool:
    """Is `frame` called by a report, in this greenlet or task?"""
    return _reports.number > 0 and reentry.is_within(frame.f_back, globals())


def quietly(frame: FrameType, report: Callable[[], object]) -> None:
    """Run `report`, which what it calls makes no reports of itself; not where `frame` is called by a report."""
    if _is_in_report(frame):
        return
    _reports.number += 1
    try:
        report()
    finally:
        _reports.number -= 1
