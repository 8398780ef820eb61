"""Folds what processes count, once a minute, for as long as any of them counts: part of the life of who delivers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..base import clocks, health, imports, own_folders
from ..base.interrupts import ours
from ..measure import due
from . import groups
from .send.lock import DeliveryLock

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.health import Health

_PATIENCE = 120.0  # seconds without a count after which a process is no reason to stay
_TIDY = 3600.0  # seconds between two looks for files of groups that nobody needs any more
_RETRY = 60.0  # seconds after which a fold is tried again that has failed


class Folding:
    """For the state folder that the counters in `health` are in."""

    def __init__(
        self,
        health: Health,
        *,
        clock: Callable[[], float] = clocks.time,
        tick: Callable[[], float] = clocks.monotonic,
    ) -> None:
        """`clock` is the time of day, `tick` a clock that nobody sets."""
        self._health = health
        self._clock = clock
        self._tick = tick
        self._alive: list[int] = []  # processes that counted at the last fold
        self._changed = 0.0  # when that found something new
        self._not_before = 0.0
        self._tidied = -_TIDY
        self._problem = ""

    def turn(self) -> bool:
        """Fold if that is due, or if all who counted have ended. Return whether to stay for the next time."""
        state = os.path.dirname(self._health.directory)
        all_ended = bool(self._alive) and not any(health.alive(pid) for pid in self._alive)
        if self._tick() >= self._not_before and (all_ended or due.is_due(state, self._clock())):
            try:
                self._fold(state)
            except ours(OSError) as error:
                self._not_before = self._tick() + _RETRY
                self._report(f"counts are not added to the history, and stay in the files of counts: {error}")
        return bool(self._alive) and self._tick() - self._changed < _PATIENCE

    def _fold(self, state: str) -> None:
        with imports.Guarded():
            from ..measure.fold import fold
        folder = os.path.join(state, due.FOLDER)
        own_folders.make(folder)
        lock = DeliveryLock(folder)
        held = lock.take()
        if held is None:
            raise OSError(f"{folder} cannot be written to")
        if not held:
            self._alive = []  # another process does it
            return
        try:
            folded = fold(state, self._clock)
        finally:
            lock.release()
        if self._tick() - self._tidied >= _TIDY:
            self._tidied = self._tick()
            groups.tidy(state, self._clock())
        self._alive = folded.alive
        if folded.changed:
            self._changed = self._tick()
        self._problem = ""

    def _report(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._health.record("problem", problem)
            self._health.flush()
