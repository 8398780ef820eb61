"""RQ: jobs, and the schedules of `rq cron` and rq-scheduler.

A worker forks for each job. The trace that a job is enqueued in, and its check-in, travel in `job.meta`.
"""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ...hook.code import wrap
from ...observe.event.represent import instance_dict
from . import running
from .check_ins import crontab, every, local_zone
from .header import HEADER
from .library import Library, NoRetriesLeft, beginning, carried, library_of, quietly

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, FunctionType, ModuleType

    from ...boot.engine import Engine
    from .running import Run


def install(name: str, module: ModuleType, engine: Engine) -> list[Any]:
    """Called when a module of RQ has been imported."""
    made = library_of("rq", engine, lambda: Library("rq", ("rq.job", "Job.perform"), facts, engine, _header))
    return list(_INSTALL[name](made, module))


def _header(job: Any, name: str) -> object:
    return carried(job.meta, name)


def facts(job: Any) -> dict[str, object]:
    """What is known without unpickling the job, which would import the ERP's modules."""
    held = instance_dict(job) or {}
    name, number = held.get("_func_name"), held.get("number_of_retries")
    if type(name) is not str:  # in the main process, which runs no job: `shop.tasks.ship(…)`
        name = str(held.get("description") or "").partition("(")[0]
        name = name if name.replace(".", "").isidentifier() else "job"
    known = {"task": name, "id": held.get("_id"), "queue": held.get("origin"), "retries": number}
    return {fact: value for fact, value in known.items() if type(value) in (str, int)}


def due(job: Any) -> float | None:
    """When it was put into its queue, or moved there from a schedule."""
    when = (instance_dict(job) or {}).get("enqueued_at")
    if type(when) is not datetime:
        return None
    return (when if when.tzinfo is not None else when.replace(tzinfo=timezone.utc)).timestamp()


def _methods(module: ModuleType, name: str) -> Iterator[FunctionType]:
    """The functions of this name in the classes that a module has: what is where differs from release to release."""
    found = [vars(each).get(name) for each in vars(module).values() if isinstance(each, type)]
    yield from dict.fromkeys(each for each in found if each is not None)


def _jobs(library: Library, module: ModuleType) -> Iterator[Any]:
    """`Job.perform` runs a job, in a worker or, where a queue is not asynchronous, where it is enqueued."""
    job_class = vars(module)["Job"]

    def performs(job: Any) -> Run | None:
        run = library.of(job)
        if run is None:
            return library.begin(job)
        library.waited(run, due(job))
        return None

    def fails(error: BaseException, frame: FrameType) -> None:
        run = library.of(frame.f_locals.get("self"))
        if run is not None:
            run.error = error

    def performed(run: Run | None, _failed: bool) -> None:
        if run is not None:
            if run.error is not None:
                library.failed(run, run.error)
            library.end(run)

    def found(function: object) -> None:
        if running.current() is not None:
            library.adopt(function)

    yield wrap.surround(
        vars(job_class)["perform"], beginning(performs), quietly(performed), passed=["self"], failed=fails
    )
    # The function is adopted once RQ itself has found it: to look for it twice could import a module twice.
    yield wrap.watch(vars(job_class)["func"].fget, returned=found)


def _workers(library: Library, module: ModuleType) -> Iterator[Any]:
    def begins(job: Any) -> Run:
        left = getattr(job, "retries_left", None) or 0
        return library.begin(job, tries=left > 0, came=(job.meta or {}).get(HEADER))

    def failed(worker: Any, job: Any, exc_info: Any) -> None:
        run = library.of(job)
        if run is not None and exc_info[1] is not None:
            stopped = getattr(worker, "_stopped_job_id", None) == job.id
            library.failed(run, exc_info[1], again=run.attempt is not None and not stopped)

    def retries(job: Any, retry: Any) -> None:
        """The job has returned a `Retry`."""
        run = library.of(job)
        if run is None:
            return
        run.again = not job.number_of_retries or job.number_of_retries < retry.max
        if not run.again:
            library.failed(run, NoRetriesLeft(f"it has returned Retry {retry.max + 1} times"), raised=False)

    def lost(job: Any, status: Any) -> None:
        left = getattr(job, "retries_left", None) or 0
        ended = os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None
        why = f"it was ended by the signal {ended}" if ended is not None else f"it ended with the status {status}"
        library.lost(job, why, again=left > 0, came=(job.meta or {}).get(HEADER))

    for each in _methods(module, "perform_job"):
        yield wrap.surround(each, beginning(begins), quietly(library.ended), passed=["job"])
    for each in _methods(module, "handle_exception"):
        yield wrap.surround(each, wrap.guarded(failed), passed=["self", "job", "exc_info"])
    for each in _methods(module, "handle_job_retry"):
        yield wrap.surround(each, wrap.guarded(retries), passed=["job", "retry"])
    for each in _methods(module, "handle_work_horse_killed"):
        yield wrap.surround(each, wrap.guarded(lost), passed=["job", "ret_val"])
    for each in _methods(module, "execute_job"):  # in the main process, which a reload must reach as well
        yield wrap.surround(each, library.engine.look)


def _queues(library: Library, module: ModuleType) -> Iterator[Any]:
    def carry(job: Any) -> None:
        found = library.outgoing(job.meta)
        if found and type(job.meta) is dict:
            job.meta = {**job.meta, **found}  # it may be a dictionary of the caller's

    queue_class = vars(module)["Queue"]
    yield wrap.watch(vars(queue_class)["create_job"], returned=carry)
    yield wrap.surround(vars(queue_class)["enqueue_job"], wrap.guarded(carry), passed=["job"])


def _cron(library: Library, module: ModuleType) -> Iterator[Any]:
    job_class = vars(module)["CronJob"]
    next_time = vars(job_class).get("get_next_enqueue_time")
    zone = local_zone() if next_time is not None and "astimezone" in next_time.__code__.co_names else "UTC"

    def publishes(entry: Any) -> Any:
        schedule = crontab(entry.cron) if entry.cron else every(entry.interval)
        return library.announce(getattr(entry, "name", None) or entry.func_name, schedule, zone)

    yield wrap.surround(
        vars(job_class)["enqueue"], wrap.guarded(publishes), quietly(library.announced), passed=["self"]
    )


def _scheduler(library: Library, module: ModuleType) -> Iterator[Any]:
    """rq-scheduler."""

    def publishes(job: Any) -> Any:
        line, seconds = job.meta.get("cron_string"), job.meta.get("interval")
        if not line and not seconds:
            return None
        schedule = crontab(line) if line else every(float(seconds))
        return library.announce(job.func_name, schedule, local_zone() if job.meta.get("use_local_timezone") else "UTC")

    scheduler = vars(module)["Scheduler"]
    yield wrap.surround(
        vars(scheduler)["enqueue_job"], wrap.guarded(publishes), quietly(library.announced), passed=["job"]
    )


_INSTALL = {
    "rq.cron": _cron,
    "rq.job": _jobs,
    "rq.queue": _queues,
    "rq.worker": _workers,
    "rq_scheduler.scheduler": _scheduler,
}
