"""Celery: the task of what is reported, its attempts, and the SDK's integration where there is a DSN."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..observe import attempts, context
from . import celery_attempts, celery_context

if TYPE_CHECKING:
    from types import ModuleType

    from ..engine import Engine
    from ..hook import patch


def install(_name: str, _module: ModuleType, engine: Engine) -> list[patch.Layer | Any]:
    """Called when Celery's tracer has been imported. Answers what undoes it: no code is patched."""
    context.register("celery", celery_context.provide)
    attempts.register(celery_attempts.current)
    watch = celery_attempts.Watch(
        sys.modules["celery.signals"], lambda attempt, again: engine.sink().settle(attempt, again=again)
    )
    engine.set_up_sdk("celery")
    return [watch]
