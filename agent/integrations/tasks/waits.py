"""Reports how long tasks waited in their queue: from the time they were due until a worker begins them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...base import clocks
from ...base.model import Captured, Observation
from ...observe.call.limits import Limiter
from ...observe.failure import synthetic

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...base.model import TasksData

#: A backlog of thousands is reported by task, not by message: one report a minute for the same task, ten for all.
_EACH = (1.0, 60.0)
_RATE = (10.0, 60.0)
_MOST_KINDS = 500


class Waits:
    """Reports tasks of a library that waited too long.

    The clocks of two machines may differ: a task that seems to begin early has not waited.
    """

    def __init__(
        self,
        library: str,
        settings: TasksData,
        report: Callable[[Observation], object],
        count: Callable[[str, str], None],
        clock: Callable[[], float] = clocks.time,
    ) -> None:
        self._settings = settings
        self._report = report
        self._count = count
        self._clock = clock
        self._limits = Limiter(_RATE)
        self._each: dict[tuple[str, str, str], Limiter] = {}
        self._operation = name = f"{library}.queue_wait"
        self._monitor = synthetic.monitor(
            name, name, operation=name, severity="warning", fingerprint=[name, "{queue}", "{task}"], rate_limit=_RATE
        )

    def begins(self, task: str, queue: str, due: float) -> None:
        """A task of this name begins, which was due at that time, in seconds since the epoch."""
        steps = self._settings["queues"].get(queue, self._settings["queue_wait"])
        now = self._clock()
        passed = [step for step in steps if now - due > step[0]]
        if passed:
            self._waited(task, queue, now - due, passed[-1], now)

    def _waited(self, task: str, queue: str, seconds: float, step: tuple[float, str], now: float) -> None:
        limit, severity = step
        suppressed = self._admit((queue, task, severity))  # a backlog that grows is reported at each step
        if suppressed is None:
            self._count("rate", self._operation)
            return
        self._report(
            Observation(
                monitor=self._monitor, operation=self._operation, function=task, report="slow", severity=severity,
                message="{task} waited {duration} in the queue {queue}", duration=seconds, threshold=limit,
                operations=(self._operation,), captured=Captured({"task": task, "queue": queue}), suppressed=suppressed,
                ended=now,
            )
        )  # fmt: skip

    def _admit(self, kind: tuple[str, str, str]) -> int | None:
        each = self._each.get(kind)
        if each is None:
            if len(self._each) >= _MOST_KINDS:
                self._each.clear()
            each = self._each[kind] = Limiter(_EACH)
        suppressed = each.admit(kind)
        return suppressed if suppressed is None or self._limits.admit(kind) is not None else None
