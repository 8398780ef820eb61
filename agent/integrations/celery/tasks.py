"""The functions of Celery's tasks, watched by the monitors of `celery.app.task:Task.run`.

A task's class, and with it its `run`, is made when the application is finalised, long after the import of the module
that holds the function. Celery builds a tracer for each task that a process may run: that is the moment to patch it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...base import guard
from ...base.interrupts import ours
from ...hook.targets import resolve
from ...observe.call import arguments
from ...observe.event.represent import instance_dict, type_name
from . import task_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ...hook.targets.apply import Applier


def tracing(applier: Applier) -> Callable[..., Any]:
    """The wrapper for `celery.app.trace.build_tracer(name, task, …)`."""

    def build(original: Callable[..., Any], name: Any, task: Any, *rest: Any, **options: Any) -> Any:
        try:
            found = _run_of(task)
            if found is not None:
                applier.adopt(found, "celery.app.task", "Task.run", dict.fromkeys(expected(task), EXPECTED))
        except ours(Exception):
            guard.swallow("looking at a task")
        return original(name, task, *rest, **options)

    return build


#: Celery logs them at this level, and without their traceback.
EXPECTED = "info"


def expected(task: Any) -> tuple[str, ...]:
    """The exceptions that the task says it `throws`, as dotted names."""
    throws = getattr(task, "throws", ())
    given = throws if type(throws) in (tuple, list) else (throws,)
    return tuple(type_name(each) for each in given if isinstance(each, type))


def _run_of(task: Any) -> resolve.Found | None:
    """The function that the task runs; None for Celery's own `Task.run`, and for what has no code to give."""
    for cls in type(task).__mro__:
        raw = resolve.namespace(cls).get("run")
        if raw is not None:
            if cls.__module__ == "celery.app.task":
                return None
            found = resolve.found_in(f"{cls.__module__}.{cls.__qualname__}", cls, "run", raw)
            # What the class holds may be shared with other tasks, each of which is watched.
            found.receiver = None
            found.left = is_no_task
            if found.function is None:
                return None
            found.name = arguments.definition(found.function).__name__  # and not `run`, which all of them are
            return found
    return None


def is_no_task(frame: FrameType) -> bool:
    """Was a task's function called like any other, or a task with `throw`, so that its caller gets what it raises?

    Celery counts neither as a task that has failed. Who lets it pass fails with it, and is told of.
    """
    _, request = task_context.running()
    held = instance_dict(request) or {}
    if held.get("called_directly", True):  # set to False in the request of what is run as a task
        return request is not None
    return bool(held.get("is_eager")) and _propagates(frame)


def _propagates(frame: FrameType) -> bool:
    """Does the call of Celery's that runs this task let through what it raises?

    Between that and the task's function stand a few wrappers. It knows by what it was built with.
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
