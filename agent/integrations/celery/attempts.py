"""Celery's running tasks: each is a piece of work, which log lines belong to, and may be one of several attempts.

A task that succeeds at its third attempt does not make two errors. The failures of an attempt are held back only for a
task that looks as if it retries (it has `autoretry_for`, or its function mentions `retry`), and only while attempts are
left: the last one is reported like the call of any other function.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ...hook.code import patch
from ...observe.around import work
from ...observe.failure.attempts import Attempt
from ..signals import Receiver
from . import task_context, trace_headers

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

#: The tasks that run here, nested where they are eager. One that runs inside a request or another task is no piece of
#: work of its own.
_running: ContextVar[tuple[tuple[Attempt | None, work.Entered | None], ...]] = ContextVar(
    "erp_agent_celery_running", default=()
)


#: A task as a piece of work. It is about what Celery's request of the task holds.
KIND = work.Kind("queue.process", trace_headers.header)


def current() -> Attempt | None:
    """Return the running attempt; registered with `attempts.register`."""
    running = _running.get()
    return running[-1][0] if running else None


def watch(signals: Any, decide: Callable[[Attempt, bool], None]) -> list[Receiver]:
    """Follow tasks from `task_prerun` to `task_postrun`. `decide(attempt, again)` is called at its end."""

    def begin(task: Any = None, **_: Any) -> None:
        attempt = Attempt() if may_try_again(task) else None
        entered = work.enter(task_context.request_of(task), KIND) if work.current() is None else None
        _running.set((*_running.get(), (attempt, entered)))

    def end(state: Any = None, **_: Any) -> None:
        running = _running.get()
        if not running:
            return
        _running.set(running[:-1])
        attempt, entered = running[-1]
        if entered is not None and state == "FAILURE":
            work.note(work.CRASHED)
        try:
            if attempt is not None and attempt.held:
                decide(attempt, state == "RETRY")
        finally:
            if entered is not None:
                work.leave(entered)

    return [
        Receiver(signals.task_prerun, begin, "beginning a task"),
        Receiver(signals.task_postrun, end, "ending a task"),
    ]


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
