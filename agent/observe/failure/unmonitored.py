"""Reports failures that nothing handled and no monitor reported: a request that ends in a 500, a task that fails."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ...base.model import Observation
from ...base.slots import traceback_of
from ...language.monitor_keys import DEFAULT_RATE_LIMIT
from ..around import work
from ..call import callers
from ..call.limits import Limiter
from ..event.represent import type_name
from . import reported, synthetic
from .severity import Severities

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Unmonitored:
    def __init__(
        self,
        report: Callable[[Observation], object],
        count: Callable[[str, str], None],
        *,
        ignore: Sequence[str] = (),
        sample: float = 1.0,
    ) -> None:
        """`ignore`: dotted exceptions that are no failures anywhere; `sample`: the share that is reported."""
        self._report = report
        self._count = count
        self._ignore = ignore
        self._limits = Limiter(DEFAULT_RATE_LIMIT, sample)

    def failed(
        self,
        what: str,
        error: BaseException,
        *,
        operation: str,
        function: str,
        severity: str = "error",
        handled: bool = False,
    ) -> bool:
        """Report it, unless a monitor has, or it is ignored, or there were too many. Returns whether it was reported.

        `what` has failed: `request`, `task` or `graphql`; `function` is the dotted path of what it ran. `handled`: the
        piece of work goes on.
        """
        monitor = synthetic.monitor(
            "unmonitored." + what,
            "no monitor has seen it",
            operation=operation,
            severity=severity,
            rate_limit=DEFAULT_RATE_LIMIT,
            fingerprint=["{monitor}", "error", "{cause}"],
        )
        if not isinstance(error, Exception) or Severities(monitor, self._ignore).of_error(error) is None:
            return False
        if not handled:
            work.note(work.CRASHED)
        if is_reported(error):
            return False
        traceback = traceback_of(error)
        doing = work.current()
        if doing is not None:
            doing.failure = reported.place_of(error, traceback)
        suppressed = self._limits.admit((operation, type_name(type(error)), *reported.end_of(traceback)[0]))
        if suppressed is None:
            self._count("rate", monitor["name"])
            return False
        frame = traceback.tb_frame.f_back if traceback is not None else None
        self._report(
            Observation(
                monitor=monitor,
                operation=operation,
                function=function,
                report="error",
                severity=severity,
                message=None,
                exception=error,
                traceback=traceback,
                frame=frame,
                operations=[*callers.operations(frame), operation],
                suppressed=suppressed,
                ended=time.time(),
            )
        )
        return True


def is_reported(error: BaseException) -> bool:
    """Was this exception reported, by a monitor or as what the current piece of work ended in?"""
    if reported.is_reported(error):
        return True
    doing = work.current()
    return doing is not None and doing.failure is not None and doing.failure.is_of(error)
