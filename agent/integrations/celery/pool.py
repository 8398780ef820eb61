"""Reports on a prefork worker, from its main process.

Three things are reported: all processes are busy with the same tasks for too long; many processes are replaced because
of their memory; the main process was blocked. They are checked when Celery maintains its pool, every five seconds and
at the end of each process, so that no task costs anything.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ...base import clocks, guard
from ...base.interrupts import ours
from ...base.model import Captured, Observation
from ...observe.call.limits import Escalation
from ...observe.failure import synthetic

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...base.model import CeleryData

_FULL = "celery.pool_full"
_STALLED = "celery.worker_stalled"
_RECYCLED = "celery.memory_recycles"
_MOST_TASKS = 20

#: Seconds between two calls of `maintain_pool`, by Celery's timer.
_INTERVAL = 5.0


class Processes:
    """`maintained` wraps `billiard.pool.Pool.maintain_pool`, `ended` its `_join_exited_workers`.

    `clock` is the one by which billiard notes when a process began its task.
    """

    def __init__(
        self,
        settings: CeleryData,
        report: Callable[[Observation], object],
        clock: Callable[[], float] = clocks.monotonic,
    ) -> None:
        self._steps = settings["pool_full"]
        self._stalled = settings["worker_stalled"]
        self._looked: float | None = None  # when Celery last maintained its pool
        self._report = report
        self._clock = clock
        self._reported = 0  # steps of the ladder that were reported since a process was free
        often = settings["memory_recycles"]
        self._recycled = Escalation(*often, clock=clock) if often is not None else None

    def maintained(self, original: Callable[..., Any], pool: Any, *rest: Any, **options: Any) -> Any:
        result = original(pool, *rest, **options)
        try:
            self._check_stalled()
            self._check_full(pool)
        except ours(Exception):
            guard.swallow("checking a pool")
        return result

    def ended(self, original: Callable[..., Any], pool: Any, *rest: Any, **options: Any) -> Any:
        statuses = original(pool, *rest, **options)
        try:
            self._count(pool, statuses)
        except ours(Exception):
            guard.swallow("counting processes that ended")
        return statuses

    def _check_stalled(self) -> None:
        now = self._clock()
        since = 0.0 if self._looked is None else now - self._looked - _INTERVAL
        self._looked = now
        passed = [step for step in self._stalled if since > step[0]]
        if passed:
            limit, severity = passed[-1]
            message = "The worker's main process was blocked for {duration}"
            self._send(_STALLED, "slow", severity, message, {}, duration=since, threshold=limit)

    def _check_full(self, pool: Any) -> None:
        jobs = list(pool._cache.values())
        began = [job._time_accepted for job in jobs if not job.ready() and type(job._time_accepted) is float]
        full = 0 < pool._processes <= len(began)
        since = self._clock() - max(began) if full else 0.0
        passed = [step for step in self._steps if since > step[0]]
        if len(passed) > self._reported:
            limit, severity = passed[-1]
            tasks, waiting = _tasks()
            values = {"processes": pool._processes, "waiting": waiting, "tasks": tasks}
            message = "All {processes} processes have been busy with the same tasks for {duration}; {waiting} more wait"
            self._send(_FULL, "slow", severity, message, values, duration=since, threshold=limit)
        self._reported = len(passed)

    def _count(self, pool: Any, statuses: Any) -> None:
        """Count those replaced for their memory. A limit on tasks gives the same status: then none are counted."""
        limit = pool._max_memory_per_child
        if self._recycled is None or not limit or pool._maxtasksperchild:
            return
        for _ in range(list(statuses).count(sys.modules["billiard.pool"].EX_RECYCLE)):
            if self._recycled.passes(_RECYCLED):
                many, seconds = self._recycled.rate
                message = "More than %g processes in %g s were replaced because they took over {limit} kB" % (
                    many,
                    seconds,
                )
                self._send(_RECYCLED, "rule", "warning", message, {"limit": limit})

    def _send(
        self,
        name: str,
        report: str,
        severity: str,
        message: str,
        values: dict[str, object],
        duration: float | None = None,
        threshold: float | None = None,
    ) -> None:
        monitor = synthetic.monitor(name, name, operation=name, severity=severity, fingerprint=[name])
        self._report(
            Observation(
                monitor=monitor, operation=name, function="billiard.pool.Pool", report=report, severity=severity,
                message=message, duration=duration, threshold=threshold, operations=(name,), captured=Captured(values),
                ended=clocks.time(),
            )
        )  # fmt: skip


def _tasks() -> tuple[dict[str, int], int]:
    """Return name → number of running tasks, and how many more tasks this worker was sent."""
    state = sys.modules["celery.worker.state"]
    running, sent = list(state.active_requests), len(state.reserved_requests)
    counts: dict[str, int] = {}
    for request in running:
        name = getattr(request, "name", None)
        if type(name) is str and (name in counts or len(counts) < _MOST_TASKS):
            counts[name] = counts.get(name, 0) + 1
    return counts, max(0, sent - len(running))
