"""Celery: the task of what is reported, and the SDK's integration where there is a DSN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..observe import context
from . import celery_context

if TYPE_CHECKING:
    from types import ModuleType

    from ..engine import Engine
    from ..hook import patch


def install(_name: str, _module: ModuleType, engine: Engine) -> list[patch.Layer]:
    """Called when Celery's tracer has been imported. Answers what undoes it: nothing is patched."""
    context.register("celery", celery_context.provide)
    engine.set_up_sdk("celery")
    return []
