"""Celery: tasks as they are made, the task of what is reported, its attempts; with a DSN, the SDK's integration."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..observe import attempts, context
from . import celery_attempts, celery_context, celery_tasks, wrapping

if TYPE_CHECKING:
    from types import ModuleType

    from ..engine import Engine
    from ..hook import patch


def install(name: str, module: ModuleType, engine: Engine) -> list[patch.Layer | Any]:
    """Called when the module `name` of Celery has been imported. Answers what undoes it."""
    if name == "celery.worker.request":
        handlers = [module.Request.__dict__[each] for each in ("on_timeout", "on_failure")]
        return [wrapping.wrap(handler, celery_context.about_request) for handler in handlers]
    context.register("celery", celery_context.provide)
    attempts.register(celery_attempts.current)
    # Celery's own function, before the SDK's integration puts another one in its place.
    tracing = wrapping.wrap(module.build_tracer, celery_tasks.tracing(engine.applier))
    watch = celery_attempts.Watch(
        sys.modules["celery.signals"], lambda attempt, again: engine.sink().settle(attempt, again=again)
    )
    engine.set_up_sdk("celery")
    return [tracing, watch]
