"""Applies the monitors of `celery.app.task:Task.run` to the functions of Celery's tasks.

A task's class, with its `run`, is made when the application is finalised, long after the module with the function was
imported. Celery builds a tracer for each task that a process may run: then the function is patched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...hook.targets import resolve
from ...observe.event.represent import instance_dict
from ..tasks.adopted import Adopted, named, names_of
from . import task_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ...hook.targets.apply import Applier


def tracing(applier: Applier) -> Callable[..., Any]:
    """Return the wrapper of `celery.app.trace.build_tracer(name, task, …)`."""
    adopted = Adopted(applier, "celery.app.task", "Task.run", lambda task: (_run_of(task), expected(task)))

    def build(original: Callable[..., Any], name: Any, task: Any, *rest: Any, **options: Any) -> Any:
        adopted.adopt(task)
        return original(name, task, *rest, **options)

    return build


def expected(task: Any) -> tuple[str, ...]:
    """Return the exceptions that the task declares in `throws`, as dotted names."""
    return names_of(getattr(task, "throws", ()))


def _run_of(task: Any) -> resolve.Found | None:
    """Return the function that the task runs; None for Celery's own `Task.run`, and for one without code to patch."""
    for cls in type(task).__mro__:
        raw = resolve.namespace(cls).get("run")
        if raw is not None:
            if cls.__module__ == "celery.app.task":
                return None
            found = resolve.found_in(f"{cls.__module__}.{cls.__qualname__}", cls, "run", raw)
            return named(found, is_no_task)  # and not `run`, the name of them all
    return None


def is_no_task(frame: FrameType) -> bool:
    """Whether the caller gets what the task raises: it called the function directly, or ran the task with `throw`.

    Celery counts neither as a failed task. A caller that does not handle the exception fails with it and is reported.
    """
    _, request = task_context.running()
    held = instance_dict(request) or {}
    if held.get("called_directly", True):  # set to False in the request of what is run as a task
        return request is not None
    return bool(held.get("is_eager")) and _propagates(frame)


def _propagates(frame: FrameType) -> bool:
    """Whether Celery's tracer raises to its caller what the task raises. A closure in the tracer holds the setting.

    Between the tracer and the task's function may be a few wrappers.
    """
    back = frame.f_back
    for _ in range(20):
        if back is None:
            break
        if back.f_code.co_name == "trace_task" and back.f_globals.get("__name__") == "celery.app.trace":
            fails = back.f_locals.get("on_error")
            cells = dict(zip(fails.__code__.co_freevars, fails.__closure__ or ())) if fails is not None else {}
            return "propagate" in cells and cells["propagate"].cell_contents is True
        back = back.f_back
    return False
