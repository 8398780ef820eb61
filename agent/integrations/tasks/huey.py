"""Huey: tasks and periodic tasks. Its messages have no room for the headers of a trace."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ...hook.code import wrap
from .check_ins import crontab, local_zone
from .library import Library, beginning, library_of, quietly

if TYPE_CHECKING:
    from types import ModuleType

    from ...boot.engine import Engine
    from .check_ins import Schedule
    from .running import Run

#: Huey's signals that a task has failed. It may be run again: then `retrying` follows.
_FAILED = ("error", "timeout")

#: The fields of a crontab, as Huey's `crontab` goes through them, and what is in one that is not limited.
_FIELDS = {"m": range(1, 13), "d": range(1, 32), "w": range(7), "H": range(24), "M": range(60)}


def install(_name: str, module: ModuleType, engine: Engine) -> list[Any]:
    """Called when huey.api has been imported."""
    made = library_of("huey", engine, lambda: Library("huey", ("huey.api", "Task.execute"), facts, engine))
    huey = vars(module)["Huey"]
    periodic = vars(module)["PeriodicTask"]

    def begins(instance: Any, task: Any) -> Run:
        run = made.begin(task, tries=bool(task.retries), queue=instance.name)
        made.waited(run, due(task, utc=instance.utc))
        if isinstance(task, periodic):
            made.scheduled(run, type(task).__name__, schedule(task), "UTC" if instance.utc else local_zone())
        made.adopt(closed_over(type(task).execute, "func"))
        return run

    def signals(signal: Any, task: Any) -> None:
        run = made.of(task)
        if run is None:
            return
        if signal in _FAILED:
            run.error = sys.exc_info()[1]
        elif signal == "retrying":
            run.again = True

    def ended(run: Run | None, _failed: bool) -> None:
        if run is not None:
            if run.error is not None:
                made.failed(run, run.error, again=run.again)
            made.end(run)

    return [
        wrap.surround(
            vars(huey)["_execute"], beginning(begins), quietly(ended), passed=["self", "task"]
        ),
        wrap.surround(vars(huey)["_emit"], wrap.guarded(signals), passed=["signal", "task"]),
    ]  # fmt: skip


def facts(task: Any) -> dict[str, object]:
    kind = type(task)
    known: dict[str, object] = {"task": f"{kind.__module__}.{kind.__name__}", "id": str(task.id)}
    left, most = task.retries, getattr(task, "default_retries", None)
    if type(left) is int and type(most) is int and left <= most:
        known["retries"] = most - left
    return known


def due(task: Any, *, utc: bool) -> float | None:
    """Only tasks with a time have one in their message; Huey keeps it without a zone."""
    when = task.eta
    if type(when) is not datetime:
        return None
    return (when.replace(tzinfo=timezone.utc) if utc and when.tzinfo is None else when).timestamp()


def closed_over(function: Any, name: str) -> Any:
    """What a closure has under this name; None where it has nothing."""
    if not isinstance(function, FunctionType) or name not in function.__code__.co_freevars:
        return None
    return (function.__closure__ or ())[function.__code__.co_freevars.index(name)].cell_contents


def schedule(task: Any) -> Schedule | None:
    """The crontab of a periodic task, of which Huey keeps the numbers. A day and a weekday must both match there."""
    numbers = closed_over(closed_over(type(task).validate_datetime, "validate_datetime"), "cron_settings")
    if type(numbers) is not list or len(numbers) != len(_FIELDS):
        return None
    fields = {name: _field(set(given), every) for given, (name, every) in zip(numbers, _FIELDS.items())}
    if fields["d"] != "*" and fields["w"] != "*":
        return None
    return crontab(" ".join([fields[each] for each in "MHdmw"]))


def _field(given: set[int], every: range) -> str:
    return "*" if given.issuperset(every) else ",".join([str(each) for each in sorted(given)])
