"""Tasks that fail for good: told where no monitor has told it.

The process that ran the task tells; the worker's main process does of one that cannot any more.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ...base import guard
from ...base.interrupts import ours
from ...hook.code import patch
from . import task_context, tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType

_UID = "erp-sentry-agent-failures"


class Failures:
    """`failed(what, error, operation=…, function=…, severity=…, raised=…)` is called for each, while it is handled."""

    def __init__(self, signals: Any, failed: Callable[..., bool]) -> None:
        self._failed = failed
        self._signal = signals.task_failure
        self._signal.connect(self._receive, weak=False, dispatch_uid=_UID)

    def undo(self) -> bool:
        self._signal.disconnect(self._receive, dispatch_uid=_UID)
        return True

    def _receive(self, sender: Any = None, exception: Any = None, **_: Any) -> None:
        """Celery makes another exception of one that cannot be pickled; what is being handled is the task's own."""
        try:
            if task_context.about() is None:
                tell(self._failed, sender, sys.exc_info()[1] or exception)
        except ours(Exception):
            guard.swallow("reporting a task that failed")


class Losses:
    """What the main process is told of tasks that nobody will run to their end.

    A monitor of the same methods, such as the pack's, speaks for us.
    """

    def __init__(self, methods: Any, failed: Callable[..., bool]) -> None:
        self._methods = methods
        self._failed = failed

    def timed_out(self, original: Callable[..., Any], request: Any, soft: Any, *rest: Any, **options: Any) -> Any:
        """The wrapper for `Request.on_timeout(soft, timeout)`."""
        try:
            if not soft and not _is_watched(self._methods["on_timeout"]):
                limit = rest[0] if rest else options.get("timeout")
                error = sys.modules["billiard.exceptions"].TimeLimitExceeded(limit)
                tell(self._failed, request.task, error, raised=False)
        except ours(Exception):
            guard.swallow("reporting a task that took too long")
        return original(request, soft, *rest, **options)

    def failed(self, original: Callable[..., Any], request: Any, exc_info: Any, *rest: Any, **options: Any) -> Any:
        """The wrapper for `Request.on_failure(exc_info, …)`."""
        try:
            if is_lost(exc_info) and not runs_again(request) and not _is_watched(self._methods["on_failure"]):
                error = getattr(exc_info.exception, "exc", exc_info.exception)
                if not isinstance(error, Exception):  # it ended by SystemExit
                    error = sys.modules["billiard.exceptions"].WorkerLostError(str(error)[:100])
                tell(self._failed, request.task, error, raised=False)
        except ours(Exception):
            guard.swallow("reporting a process that was lost")
        return original(request, exc_info, *rest, **options)


def tell(failed: Callable[..., bool], task: Any, error: BaseException | None, *, raised: bool = True) -> None:
    """`raised`: by the task, and not made up for one whose process was ended."""
    if error is None:
        return
    run = getattr(task, "_orig_run", None) or task.run
    function = f"{getattr(run, '__module__', '')}.{getattr(run, '__qualname__', 'run')}"
    throws = getattr(task, "throws", ()) or ()
    severity = tasks.EXPECTED if isinstance(error, throws) else "error"
    failed("task", error, operation=str(task.name), function=function, severity=severity, raised=raised)


def is_lost(exc_info: Any) -> bool:
    """Is it the process that failed, and not the task?"""
    names = {cls.__name__ for cls in getattr(getattr(exc_info, "type", None), "__mro__", ())}
    return not names.isdisjoint(("WorkerLostError", "SystemExit"))


def runs_again(request: Any) -> bool:
    """Will a task whose process was lost be delivered once more, or tried again (from Celery 5.7)?"""
    task = request.task
    if getattr(task, "retry_on_worker_lost", False):
        tried, most = request._request_dict.get("retries") or 0, task.max_retries
        return most is None or tried < most
    return bool(task.acks_late and task.reject_on_worker_lost)


def _is_watched(function: FunctionType) -> bool:
    return any(hasattr(layer.owner, "receiver") for layer in patch.layers_of(function))
