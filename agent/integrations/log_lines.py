"""Follows what the host logs, for `observe.crumbs`, in the one method that each line passes which is not dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import guard
from ..interrupts import ours
from ..observe import context, crumbs
from . import wrapping

if TYPE_CHECKING:
    from types import FunctionType, ModuleType

    from ..hook import patch


def follow(logging: ModuleType) -> patch.Layer:
    """Undo through what is answered."""
    context.register("log", crumbs.provide)
    return wrapping.wrap(logging.Logger.callHandlers, _note)


def _note(original: FunctionType, logger: Any, record: Any) -> Any:
    try:
        crumbs.note(record)
    except ours(Exception):
        guard.swallow("noting what the host logs")
    return original(logger, record)
