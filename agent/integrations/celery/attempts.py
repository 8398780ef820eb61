"""Celery's running tasks, and which of them may be run again.

A task that succeeds at its third attempt does not make two errors. The failures of an attempt are held back only for a
task that looks as if it retries (it has `autoretry_for`, or its function mentions `retry`), and only while attempts are
left: the last one is reported like the call of any other function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...hook.code import patch
from ...observe.around import work
from ..signals import Receiver
from ..tasks import running
from ..tasks.adopted import classes_of
from . import task_context, trace_headers

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

#: A task as a piece of work. It is about what Celery's request of the task holds.
KIND = running.Kind("celery", trace_headers.header)


def watch(signals: Any, settle: Callable[..., None]) -> list[Receiver]:
    """Follow tasks from `task_prerun` to `task_postrun`. `settle(attempt, again=…)` ends an attempt."""
    work.declares = running.declares

    def begin(task: Any = None, **_: Any) -> None:
        run = running.begin(task_context.request_of(task), KIND, tries=may_try_again(task))
        run.declared = classes_of(getattr(task, "throws", ()))

    def end(state: Any = None, **_: Any) -> None:
        run = running.current()
        if run is not None:
            run.crashed, run.again = state == "FAILURE", state == "RETRY"
            running.end(run, settle)

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
