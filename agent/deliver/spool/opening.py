"""Where the spools of a configuration are, and with which bounds they are opened."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .spool import NO_HISTORY, Spool

if TYPE_CHECKING:
    from ...base.model import SpoolData
    from .layout import Count


def directory_of(settings: SpoolData, state: str) -> str:
    return settings["directory"] or os.path.join(state, "spool")


def history_of(settings: SpoolData) -> tuple[float, int]:
    """Return the bounds of the history: seconds and bytes."""
    return settings.get("history_age", 0.0), settings.get("history_size", 0)  # absent in what an earlier release wrote


def open_in(directory: str, settings: SpoolData, count: Count, *, held: bool = False, own: bool = True) -> Spool:
    """Return a spool with the bounds of the configuration. Not `own`: of a client of the host's, without a history."""
    return Spool(
        directory,
        max_size=settings["max_size"],
        max_age=settings["max_age"],
        max_files=settings["max_files"],
        max_rate=settings["max_rate"],
        durable=settings["durable"],
        keep_interpreter=settings["keep_interpreter"],
        count=count,
        held=held,
        history=history_of(settings) if own else NO_HISTORY,
    )
