"""A progress bar, where a person watches and it takes long enough to be worth one."""

from __future__ import annotations

import time
from typing import Any

from .terminal import console, is_terminal

_WORTH_IT = 1.0  # seconds


class Progress:
    def __init__(self) -> None:
        self._began = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, total: int) -> None:
        if self._bar is None:
            if not is_terminal() or time.monotonic() - self._began < _WORTH_IT:
                return
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("delivering"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Bar(*columns, console=console(), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=total)
        self._bar.update(self._task, completed=done, total=total)
