"""Celery's tasks as they run: each is a piece of work, to which log lines belong, and maybe an attempt of several.

A task that succeeds at its third try is not two errors. Only a task that looks as if it retried is watched for that:
one with `autoretry_for`, or whose function mentions `retry`. And only while tries are left: the last one reports as any
other function does.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ...base import guard
from ...base.interrupts import ours
from ...hook.code import patch
from ...observe.around import work
from ...observe.failure.attempts import Attempt

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

#: The tasks that run here, one inside the other where they are eager. No work of its own has one that runs within a
#: request, or within another task.
_running: ContextVar[tuple[tuple[Attempt | None, work.Entered | None], ...]] = ContextVar(
    "erp_agent_celery_running", default=()
)

_UID = "erp-sentry-agent"


def current() -> Attempt | None:
    """The provider for `attempts.register`."""
    running = _running.get()
    return running[-1][0] if running else None


class Watch:
    """Two receivers of Celery's signals; `settle(attempt, again)` is called when an attempt has ended."""

    def __init__(self, signals: Any, settle: Callable[[Attempt, bool], None]) -> None:
        self._signals = signals
        self._settle = settle
        signals.task_prerun.connect(self._begin, weak=False, dispatch_uid=_UID)
        signals.task_postrun.connect(self._end, weak=False, dispatch_uid=_UID)

    def undo(self) -> bool:
        self._signals.task_prerun.disconnect(self._begin, dispatch_uid=_UID)
        self._signals.task_postrun.disconnect(self._end, dispatch_uid=_UID)
        return True

    def _begin(self, task: Any = None, **_: Any) -> None:
        try:
            attempt = Attempt() if may_try_again(task) else None
            entered = work.enter(None) if work.current() is None else None
            _running.set((*_running.get(), (attempt, entered)))
        except ours(Exception):
            guard.swallow("beginning a task")

    def _end(self, state: Any = None, **_: Any) -> None:
        try:
            running = _running.get()
            if not running:
                return
            _running.set(running[:-1])
            attempt, entered = running[-1]
            try:
                if attempt is not None and attempt.held:
                    self._settle(attempt, state == "RETRY")
            finally:
                if entered is not None:
                    work.leave(entered)
        except ours(Exception):
            guard.swallow("ending a task")


def may_try_again(task: Any) -> bool:
    request = task.request_stack.top
    most = getattr(task, "max_retries", None)
    if request is None or (type(most) is int and getattr(request, "retries", 0) >= most):
        return False
    kind = type(task)
    known = _retries.get(kind)
    if known is None:
        if len(_retries) > 5_000:
            _retries.clear()
        known = _retries[kind] = bool(getattr(task, "autoretry_for", ())) or _mentions_retry(task)
    return known


_retries: dict[type, bool] = {}


def _mentions_retry(task: Any) -> bool:
    function: Any = getattr(task, "_orig_run", None) or type(task).__dict__.get("run") or task.run
    for _ in range(20):
        function = getattr(function, "__func__", function)
        code = getattr(function, "__code__", None)
        if code is not None and _names_retry(patch.original_code(function), 3):
            return True
        function = getattr(function, "__wrapped__", None)
        if function is None:
            return False
    return False


def _names_retry(code: CodeType, depth: int) -> bool:
    if "retry" in code.co_names:
        return True
    return depth > 0 and any(_names_retry(each, depth - 1) for each in code.co_consts if isinstance(each, type(code)))
