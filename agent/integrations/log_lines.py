"""Looks at log records in the one method that handles each record not filtered out.

They become `observe.around.breadcrumbs`; errors among them are looked at by `logged`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..hook.code import wrap
from ..observe.around import breadcrumbs, context
from .logged import ERROR

if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import LogRecord
    from types import ModuleType

    from ..hook.code import patch


class LogLines:
    def __init__(self, errors: Callable[[LogRecord], None]) -> None:
        """`errors` gets the records of errors."""
        self._errors = errors
        self._keeps = False

    def keep(self) -> None:
        """From now on they are breadcrumbs."""
        self._keeps = True
        context.register("log", breadcrumbs.provide)

    def follow(self, logging: ModuleType) -> patch.Layer:
        """Watch `Logger.callHandlers`.

        Handlers and formatters (loguru's recipe, structlog) find the caller as the first frame outside of `logging`.
        Therefore no frame of ours may lie between.
        """
        return wrap.watch(logging.Logger.callHandlers, returned=self._note, passed=("record",))

    def _note(self, _: object, record: LogRecord) -> None:
        if record.levelno >= ERROR:
            self._errors(record)
        if self._keeps:
            breadcrumbs.add(record)
