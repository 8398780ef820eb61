"""Follows what the host logs, for `observe.crumbs`, in the one method that each line passes which is not dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..observe import context, crumbs
from . import wrapping

if TYPE_CHECKING:
    from logging import LogRecord
    from types import ModuleType

    from ..hook import patch


def follow(logging: ModuleType) -> patch.Layer:
    """Undo through what is answered.

    Handlers and formatters look for the caller that logs by the first frame that is not `logging`'s: loguru's recipe,
    structlog. So none of ours may stand beneath them.
    """
    context.register("log", crumbs.provide)
    return wrapping.watch(logging.Logger.callHandlers, returned=_note, passed=("record",))


def _note(_: object, record: LogRecord) -> None:
    crumbs.note(record)
