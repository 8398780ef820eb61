"""The functions of Celery's tasks, watched by the monitors of `celery.app.task:Task.run`.

A task's class, and with it its `run`, is made when the application is finalised, long after the import of the module
that holds the function. Celery builds a tracer for each task that a process may run: that is the moment to patch it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import guard
from ..hook import resolve
from ..interrupts import ours
from ..observe import arguments
from ..observe.represent import type_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..hook.apply import Applier


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
            if found.function is None:
                return None
            found.name = arguments.definition(found.function).__name__  # and not `run`, which all of them are
            return found
    return None
