"""Reports how long tasks waited in their queue: from the time they were due until a worker begins them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ...base.model import Captured, Observation
from ...observe.call.limits import Limiter
from ...observe.event.represent import instance_dict
from ...observe.failure import synthetic
from . import messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...base.model import CeleryData

#: A backlog of thousands is reported by task, not by message: one report a minute for the same task, ten for all.
_EACH = (1.0, 60.0)
_RATE = (10.0, 60.0)
_MOST_KINDS = 500
_OPERATION = "celery.queue_wait"
_MONITOR = synthetic.monitor(
    _OPERATION, _OPERATION, operation=_OPERATION, severity="warning", fingerprint=[_OPERATION, "{queue}", "{task}"],
    rate_limit=_RATE,
)  # fmt: skip


class Waits:
    """Reports tasks that waited too long; `begin` receives `task_prerun`.

    The clocks of two machines may differ: a task that seems to begin early has not waited.
    """

    def __init__(
        self,
        settings: CeleryData,
        report: Callable[[Observation], object],
        count: Callable[[str, str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._report = report
        self._count = count
        self._clock = clock
        self._limits = Limiter(_RATE)
        self._each: dict[tuple[str, str, str], Limiter] = {}

    def begin(self, task: Any = None, **_: Any) -> None:
        request = task.request_stack.top
        header = messages.of_request(request)
        if header is not None:
            queue = _queue(request)
            steps = self._settings["queues"].get(queue, self._settings["queue_wait"])
            now = self._clock()
            passed = [step for step in steps if now - header.due > step[0]]
            if passed:
                self._waited(str(task.name), queue, now - header.due, passed[-1], now)

    def _waited(self, task: str, queue: str, seconds: float, step: tuple[float, str], now: float) -> None:
        limit, severity = step
        suppressed = self._admit((queue, task, severity))  # a backlog that grows is reported at each step
        if suppressed is None:
            self._count("rate", _OPERATION)
            return
        self._report(
            Observation(
                monitor=_MONITOR, operation=_OPERATION, function=task, report="slow", severity=severity,
                message="{task} waited {duration} in the queue {queue}", duration=seconds, threshold=limit,
                operations=(_OPERATION,), captured=Captured({"task": task, "queue": queue}), suppressed=suppressed,
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


def _queue(request: Any) -> str:
    """Return the routing key, which is the queue's name unless the ERP routes by something else."""
    delivery = (instance_dict(request) or {}).get("delivery_info")
    key = delivery.get("routing_key") if type(delivery) is dict else None
    return key if type(key) is str else ""
