"""Notes log records for `observe.around.breadcrumbs`, in the one method that handles each record not filtered out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..hook.code import wrap
from ..observe.around import breadcrumbs, context

if TYPE_CHECKING:
    from logging import LogRecord
    from types import ModuleType

    from ..hook.code import patch


def follow(logging: ModuleType) -> patch.Layer:
    """Watch `Logger.callHandlers`.

    Handlers and formatters (loguru's recipe, structlog) find the caller as the first frame outside of `logging`.
    Therefore no frame of ours may lie between.
    """
    context.register("log", breadcrumbs.provide)
    return wrap.watch(logging.Logger.callHandlers, returned=_note, passed=("record",))


def _note(_: object, record: LogRecord) -> None:
    breadcrumbs.add(record)
