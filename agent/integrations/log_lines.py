"""Follows what the host logs, for `observe.around.breadcrumbs`, in the one method that each line passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..hook.code import wrap
from ..observe.around import breadcrumbs, context

if TYPE_CHECKING:
    from logging import LogRecord
    from types import ModuleType

    from ..hook.code import patch


def follow(logging: ModuleType) -> patch.Layer:
    """Undo through what is answered.

    Handlers and formatters look for the caller that logs by the first frame that is not `logging`'s: loguru's recipe,
    structlog. So none of ours may stand beneath them.
    """
    context.register("log", breadcrumbs.provide)
    return wrap.watch(logging.Logger.callHandlers, returned=_note, passed=("record",))


def _note(_: object, record: LogRecord) -> None:
    breadcrumbs.add(record)
