"""django-q2: tasks of `manage.py qcluster`, and its schedules. What goes with a task travels in its package.

A broker that waits for a receipt delivers a task that failed once more, until Q_CLUSTER's `max_attempts`. Only the
process that saves results knows how often that was: it decides on what the worker has held back.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ...deliver.spool.names import parse_name
from ...hook.code import wrap
from ...observe.failure.attempts import Attempt
from ..signals import Receiver
from .check_ins import crontab
from .header import HEADER
from .library import Library, TaskNotFound, carried, library_of, quietly

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, ModuleType

    from ...boot.engine import Engine
    from .check_ins import Schedule

#: What a worker held back, on the way to the process that saves results.
_HELD = "erp_agent_held"
_FARTHEST = 12  # frames from the signal to the scheduler

#: Kinds of schedules → Sentry's interval; minutes have a number of their own.
_INTERVALS = {"H": (1, "hour"), "D": (1, "day"), "W": (1, "week"), "BW": (2, "week"), "M": (1, "month"),
              "BM": (2, "month"), "Q": (3, "month"), "Y": (1, "year")}  # fmt: skip


def install(name: str, module: ModuleType, engine: Engine) -> list[Any]:
    """Called when a module of django-q2 has been imported."""
    made = library_of(
        "django_q", engine, lambda: Library("django_q", ("django_q.worker", "worker"), facts, engine, carried)
    )
    return list(_INSTALL[name](made, module))


def facts(task: Any) -> dict[str, object]:
    function = task.get("func")
    if type(function) is not str:
        function = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', 'task')}"
    known = {"task": function, "id": task.get("id"), "queue": task.get("cluster"), "group": task.get("group")}
    return {fact: value for fact, value in known.items() if type(value) in (str, int)}


def _signals(library: Library, module: ModuleType) -> Iterator[Any]:
    def publishes(task: Any = None, **_: Any) -> None:
        entry = _entry(sys._getframe(1))
        made = None
        if entry is not None:
            made = library.announce(entry.name or f"{entry.func}-{entry.id}", schedule(entry), _zone())
        task.update(library.outgoing(task))
        library.announced(made, False)

    def begins(func: Any = None, task: Any = None, **_: Any) -> None:
        run = library.begin(task, tries=attempts_of(task) > 1, came=task.get(HEADER))
        started = task.get("started")  # when it was published
        library.waited(run, started.timestamp() if isinstance(started, datetime) else None)
        library.adopt(func)

    def ends(task: Any = None, **_: Any) -> None:
        run = library.of(task)
        if run is None:
            return
        if task.get("success") is False and run.error is None:
            library.failed(run, TaskNotFound("its function cannot be imported"), raised=False)
        if run.crashed and run.attempt is not None:
            task[_HELD] = [(entry.name, monitor) for entry, monitor in run.attempt.held.items()]
            run.attempt = run.check_in = None
        library.end(run)

    yield Receiver(module.pre_enqueue, publishes, "publishing a task of django-q2")
    if not hasattr(module, "post_execute_in_worker"):
        return  # an older release shows no end of a task
    yield Receiver(module.pre_execute, begins, "beginning a task of django-q2")
    yield Receiver(module.post_execute_in_worker, ends, "ending a task of django-q2")


def _time_limits(library: Library, module: ModuleType) -> Iterator[Any]:
    """The exception of a task passes what ends its time limit, and becomes a text then."""

    def fails(error: Any) -> None:
        run = library.current()
        if run is not None and isinstance(error, BaseException):
            run.error = error
            library.failed(run, error)

    yield wrap.surround(vars(module.TimeoutHandler)["__exit__"], wrap.guarded(fails), passed=["exc_value"])


def _results(library: Library, module: ModuleType) -> Iterator[Any]:
    """In the process that saves results: was that the last attempt?"""
    saved: list[int] = []  # how often the task that is being saved was run

    def saves(task: Any) -> Any:
        held = task.pop(_HELD, None)
        saved.clear()
        return None if held is None else (held, attempts_of(task), task.get(HEADER))

    def has_saved(made: Any, failed: bool) -> None:
        if made is not None:
            held, most, came = made
            again = not failed and bool(saved) and saved[-1] < most
            attempt = Attempt()
            for name, monitor in held:
                entry = parse_name(name)
                if entry is not None:
                    attempt.held[entry._replace(held=True)] = monitor
            library.settle(attempt, again=again)
            if not again:
                library.end_check_in(came, "error")

    def counts(instance: Any = None, **_: Any) -> None:
        saved.append(instance.attempt_count)

    yield wrap.surround(vars(module)["save_task"], wrap.guarded(saves), quietly(has_saved), passed=["task"])
    yield wrap.surround(vars(module)["save_cached"], wrap.guarded(saves), quietly(has_saved), passed=["task"])
    signals, models = sys.modules["django.db.models.signals"], sys.modules["django_q.models"]
    yield Receiver(signals.post_save, counts, "counting the attempts of a task of django-q2", sender=models.Task)


def attempts_of(task: Any) -> int:
    """How often a task may run; 0 where it is not delivered again, or is so for ever."""
    if not task.get("ack_id") or task.get("ack_failure"):
        return 0
    most = getattr(getattr(sys.modules.get("django_q.conf"), "Conf", None), "MAX_ATTEMPTS", 0)
    return most if type(most) is int else 0


def _entry(frame: FrameType | None) -> Any:
    """The schedule that a task is published for; None where a scheduler does not publish it."""
    for _ in range(_FARTHEST):
        if frame is None:
            return None
        if frame.f_code.co_name == "scheduler" and frame.f_globals.get("__name__") == "django_q.scheduler":
            return frame.f_locals.get("s")
        frame = frame.f_back
    return None


def schedule(entry: Any) -> Schedule | None:
    if entry.schedule_type == "C":
        return crontab(entry.cron or "")
    number, unit = (
        (entry.minutes or 0, "minute") if entry.schedule_type == "I" else _INTERVALS.get(entry.schedule_type, (0, ""))
    )
    return {"type": "interval", "value": number, "unit": unit} if number else None


def _zone() -> str:
    """Django's time zone, which schedules are in."""
    settings = getattr(sys.modules.get("django.conf"), "settings", None)
    return str(getattr(settings, "TIME_ZONE", ""))


_INSTALL = {"django_q.signals": _signals, "django_q.timeout": _time_limits, "django_q.monitor": _results}
