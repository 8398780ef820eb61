"""A thread that looks at something once a second, for as long as nothing in the process does so anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..deliver.background.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..deliver.background.worker import State

_EVERY = 1.0  # seconds


class WhileIdle(Worker):
    def __init__(self, what: str, is_idle: Callable[[], bool], look: Callable[[], None]) -> None:
        """Call `look` while `is_idle()`; `what` it does, for messages."""
        super().__init__(what)
        self._is_idle, self._look = is_idle, look

    def serve(self, state: State) -> None:
        state.gate.acquire(False)
        while not state.stopping() and self._is_idle():
            state.pause(_EVERY)
            if not state.stopping():
                self._look()
