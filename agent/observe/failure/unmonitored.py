"""Reports failures that nothing handled and no monitor reported: a request that ends in a 500, a task that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...base import clocks
from ...base.model import Observation
from ...base.slots import traceback_of
from ...language.monitor_keys import DEFAULT_RATE_LIMIT, plain_monitor
from ..around import work
from ..call import callers, data_access
from ..call.limits import Limiter
from ..event.represent import type_name
from . import attempts, reported, synthetic
from .severity import NOWHERE, Severities, is_control_flow, is_expected_anywhere

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from ...base.model import StancesData


#: A loop that cannot reach its broker logs that every few seconds, for hours: one an hour shows that it goes on.
RATE_OF_LOGGED = (24.0, 86_400.0)

#: A job that is tried again logs each attempt, and may succeed in the end.
HANDFUL_OF_LOGGED = 2

#: Seconds until an equal mistake of a user in a job is reported again, by any process; then twice as long, and so on.
REPEAT_OF_MISTAKES = {"error": 3600.0}

#: Requests and tasks that ended in an exception, of which a server or a worker may log that afterwards.
LAST_OUTCOMES = 64


class Unmonitored:
    def __init__(
        self,
        report: Callable[[Observation], object],
        count: Callable[[str, str], None],
        *,
        stances: StancesData = NOWHERE,
        sample: float = 1.0,
    ) -> None:
        """`stances`: what is made of exceptions everywhere; `sample`: the share that is reported."""
        self._report = report
        self._count = count
        self._stances = stances
        #: By the severity of exceptions that no list names, and whether a job has failed that nobody waits for.
        self._severities: dict[tuple[str, bool], Severities] = {}
        self._limits = Limiter(DEFAULT_RATE_LIMIT, sample)
        self._limits_of_logged = Limiter(RATE_OF_LOGGED, sample, handful=HANDFUL_OF_LOGGED)
        self._outcomes: list[reported.Reported] = []  # of pieces of work, the last ones

    def failed(
        self,
        what: str,
        error: BaseException,
        *,
        operation: str,
        function: str,
        severity: str = "error",
        handled: bool = False,
        logged: Mapping[str, object] | None = None,
    ) -> bool:
        """Report it, unless a monitor has, or it is no failure, or there were too many. Returns whether it was.

        `what` has failed: `request`, `task` or `graphql`; `function` is the dotted path of what it ran. `handled`: the
        piece of work goes on. `severity` is that of exceptions which no list names. `logged`: of `logged`, which were
        handled by a line of the log, facts about that line.
        """
        if is_control_flow(type(error)):
            return False
        name = "unmonitored." + what
        traceback = traceback_of(error)
        frame = traceback.tb_frame.f_back if traceback is not None else None
        graded = self._severity(error, severity, frame)
        is_mistake = graded is None and what == "task" and severity == "error" and _is_unattended()
        if is_mistake:
            graded = self._severity(error, severity, frame, unattended=True)
        if graded is not None and not handled:
            work.note(work.CRASHED)
        if logged is not None and reported.is_among(error, self._outcomes):
            return False  # a request or a task has ended in it: its caller logs that when it is over
        if graded is not None and is_reported(error):
            return False
        doing = work.current()
        if doing is not None:
            doing.failure = reported.place_of(error, traceback)
            if logged is None:
                self._outcomes = [*self._outcomes[1 - LAST_OUTCOMES :], doing.failure]
        if graded is None:
            self._count("expected", name)
            return False
        if logged is not None:
            reported.remember(error, traceback)  # it may be raised again, into a monitored function
        limits = self._limits if logged is None else self._limits_of_logged
        key = (operation, type_name(type(error)), *reported.end_of(traceback)[0])
        suppressed = limits.admit(key)
        if suppressed is None:
            self._count("rate", name)
            return False
        attempts.note(limits, key, suppressed)
        monitor = synthetic.monitor(
            name,
            synthetic.NO_MONITOR,
            operation=operation,
            severity=graded,
            rate_limit=DEFAULT_RATE_LIMIT if logged is None else RATE_OF_LOGGED,
            fingerprint=["{monitor}", "error", "{cause}"],
            repeat_interval=REPEAT_OF_MISTAKES if is_mistake or (what == "task" and severity == "info") else None,
        )
        self._report(
            Observation(
                monitor=monitor,
                operation=operation,
                function=function,
                report="error",
                severity=graded,
                message=None,
                exception=error,
                traceback=traceback,
                frame=frame,
                operations=[*callers.operations(frame), operation],
                suppressed=suppressed,
                ended=clocks.time(),
                handled=logged is not None,
                more={**data_access.failed_statement(error, traceback), **({"logged": logged} if logged else {})},
            )
        )
        return True

    def _severity(
        self, error: BaseException, severity: str, frame: FrameType | None, *, unattended: bool = False
    ) -> str | None:
        severities = self._severities.get((severity, unattended))
        if severities is None:
            stances = self._stances
            if unattended:
                stances = {**stances, "everywhere": stances["unattended"]}
            severities = Severities(plain_monitor(severity=severity), stances)
            self._severities[severity, unattended] = severities
        if is_expected_anywhere(type(error)) and callers.expect(type(error), frame):
            return None
        return severities.of_error(error)


def _is_unattended() -> bool:
    """Does a task or a job run here, and not inside a request, whose user is shown what it fails with?"""
    doing = work.current()
    return doing is not None and doing.kind.op == work.TASK


def is_reported(error: BaseException) -> bool:
    """Was this exception reported, by a monitor or as what the current piece of work ended in, or is it no failure?"""
    if reported.is_reported(error):
        return True
    doing = work.current()
    return doing is not None and doing.failure is not None and doing.failure.is_of(error)
