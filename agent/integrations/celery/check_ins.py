"""Check-ins for the entries of Celery beat's schedule.

Beat sends that an entry starts. The process that runs the task sends how it ended; where that process was killed, the
worker's main process does. Retries keep the check-in.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ...base import guard
from ...base.interrupts import ours
from ..tasks import check_ins, header
from . import failures, messages

if TYPE_CHECKING:
    from collections.abc import Callable

#: The state of a task that ended → the check-in's status. RETRY and REJECTED (another worker may run it) are no end.
_ENDS = {"SUCCESS": "ok", "IGNORED": "ok", "FAILURE": "error", "REVOKED": "error"}


class CheckIns(check_ins.CheckIns):
    # In beat.

    def scheduling(self, original: Callable[..., Any], scheduler: Any, entry: Any, *rest: Any, **options: Any) -> Any:
        """Wrapper of `celery.beat.Scheduler.apply_async(entry, …)`."""
        given = getattr(entry, "schedule", None)
        check_in = self.begin(getattr(entry, "name", None), schedule_of(given), str(getattr(given, "tz", None)))
        if check_in is None:
            return original(scheduler, entry, *rest, **options)
        token = header.publishing.set(check_in)
        try:
            return original(scheduler, entry, *rest, **options)
        except Exception:
            self.end(check_in, "error")
            raise
        finally:
            header.publishing.reset(token)

    # In the process that runs the task, and in the worker's main process.

    def ended(self, task: Any = None, state: object = None, **_: Any) -> None:
        """Receives `task_postrun`: this process has run a task to `state`."""
        request = task.request_stack.top
        came = messages.of_request(request)
        check_in = came.check_in if came is not None else None
        if check_in is None and getattr(request, "is_eager", False):
            check_in = header.publishing.get()
        if check_in is not None and state in _ENDS:
            self.end(check_in, _ENDS[str(state)])

    def revoked(self, request: Any = None, **_: Any) -> None:
        """Receives `task_revoked`: the task expired, or somebody revoked it."""
        self._lost(request)

    def _lost(self, request: Any) -> None:
        """End the check-in of a request that no process will run to its end; called in the main process."""
        try:
            came = messages.of_main_process(request)
            if came is not None and came.check_in is not None:
                self.end(came.check_in, "error")
        except ours(Exception):
            guard.swallow("giving a scheduled task up")

    def timed_out(self, original: Callable[..., Any], request: Any, soft: Any, *rest: Any, **options: Any) -> Any:
        """Wrapper of `Request.on_timeout(soft, timeout)`: a hard limit has killed the process."""
        if not soft:
            self._lost(request)
        return original(request, soft, *rest, **options)

    def failed(self, original: Callable[..., Any], request: Any, exc_info: Any, *rest: Any, **options: Any) -> Any:
        """Wrapper of `Request.on_failure(exc_info, …)`, which is called for tasks that `ended` has seen, too."""
        try:
            if failures.is_lost(exc_info) and not failures.runs_again(request):
                self._lost(request)
        except ours(Exception):
            guard.swallow("losing a process")
        return original(request, exc_info, *rest, **options)


def schedule_of(schedule: Any) -> dict[str, object] | None:
    """Return Celery's schedule in Sentry's form; None where there is none: the sun, a single time, seconds."""
    schedules: Any = sys.modules["celery.schedules"]
    if isinstance(schedule, schedules.crontab):
        fields = [getattr(schedule, "_orig_" + name) for name in _FIELDS]
        return check_ins.crontab(" ".join(map(_field, fields)))
    if isinstance(schedule, schedules.schedule):
        return check_ins.every(schedule.run_every.total_seconds())
    return None


_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


def _field(value: Any) -> str:
    if isinstance(value, (str, int)):
        return "".join(str(value).split())
    return ",".join(str(each) for each in sorted(value))
