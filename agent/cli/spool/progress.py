"""A progress bar, where a person watches and it takes long enough to be worth one."""

from __future__ import annotations

import time
from typing import Any

from ..terminal import is_terminal, progress_bar

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
            self._bar = progress_bar("delivering")
            self._bar.start()
            self._task = self._bar.add_task("", total=total)
        self._bar.update(self._task, completed=done, total=total)
