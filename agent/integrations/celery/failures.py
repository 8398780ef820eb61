"""Reports tasks that fail for good and that no monitor has reported.

The process that ran the task reports it. Where that process was lost, the worker's main process does.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ...base import guard
from ...base.interrupts import ours
from ...hook.code import patch
from ..signals import Receiver
from ..tasks.adopted import EXPECTED
from . import task_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType


def receive(signals: Any, failed: Callable[..., bool]) -> Receiver:
    """Report each task that fails, while its exception is handled.

    It calls `failed(what, error, operation=…, function=…, severity=…, raised=…)`.
    """

    def fails(sender: Any = None, exception: Any = None, **_: Any) -> None:
        # Celery replaces an exception that cannot be pickled; the one being handled is the task's own.
        if task_context.about() is None:
            report(failed, sender, sys.exc_info()[1] or exception)

    return Receiver(signals.task_failure, fails, "reporting a task that failed")


class Losses:
    """Tasks that no process will run to their end, as the worker's main process learns of them.

    Nothing is reported where a monitor watches the same method, as those of the pack do.
    """

    def __init__(self, methods: Any, failed: Callable[..., bool]) -> None:
        self._methods = methods
        self._failed = failed

    def timed_out(self, original: Callable[..., Any], request: Any, soft: Any, *rest: Any, **options: Any) -> Any:
        """Wrapper of `Request.on_timeout(soft, timeout)`."""
        try:
            if not soft and not _is_watched(self._methods["on_timeout"]):
                limit = rest[0] if rest else options.get("timeout")
                error = sys.modules["billiard.exceptions"].TimeLimitExceeded(limit)
                report(self._failed, request.task, error, raised=False)
        except ours(Exception):
            guard.swallow("reporting a task that took too long")
        return original(request, soft, *rest, **options)

    def failed(self, original: Callable[..., Any], request: Any, exc_info: Any, *rest: Any, **options: Any) -> Any:
        """Wrapper of `Request.on_failure(exc_info, …)`."""
        try:
            if is_lost(exc_info) and not runs_again(request) and not _is_watched(self._methods["on_failure"]):
                error = getattr(exc_info.exception, "exc", exc_info.exception)
                if not isinstance(error, Exception):  # it ended by SystemExit
                    error = sys.modules["billiard.exceptions"].WorkerLostError(str(error)[:100])
                report(self._failed, request.task, error, raised=False)
        except ours(Exception):
            guard.swallow("reporting a task whose process was lost")
        return original(request, exc_info, *rest, **options)


def report(failed: Callable[..., bool], task: Any, error: BaseException | None, *, raised: bool = True) -> None:
    """`raised` is False for an exception that the task did not raise: its process was lost."""
    if error is None:
        return
    run = getattr(task, "_orig_run", None) or task.run
    function = f"{getattr(run, '__module__', '')}.{getattr(run, '__qualname__', 'run')}"
    throws = getattr(task, "throws", ()) or ()
    severity = EXPECTED if isinstance(error, throws) else "error"
    failed("task", error, operation=str(task.name), function=function, severity=severity, raised=raised)


def is_lost(exc_info: Any) -> bool:
    """Whether the process failed, and not the task."""
    names = {cls.__name__ for cls in getattr(getattr(exc_info, "type", None), "__mro__", ())}
    return not names.isdisjoint(("WorkerLostError", "SystemExit"))


def runs_again(request: Any) -> bool:
    """Whether a task whose process was lost will be delivered again, or retried (from Celery 5.7)."""
    task = request.task
    if getattr(task, "retry_on_worker_lost", False):
        tried, most = request._request_dict.get("retries") or 0, task.max_retries
        return most is None or tried < most
    return bool(task.acks_late and task.reject_on_worker_lost)


def _is_watched(function: FunctionType) -> bool:
    return any(hasattr(layer.owner, "receiver") for layer in patch.layers_of(function))
