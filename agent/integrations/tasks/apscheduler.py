"""APScheduler 3: jobs, and their triggers as schedules. A job runs where its scheduler does: nothing is sent."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from ...base import clocks
from ...hook.code import wrap
from ...observe.expression.functions import chosen
from .check_ins import crontab, every
from .library import Library, beginning, library_of, quietly

if TYPE_CHECKING:
    from types import ModuleType

    from ...boot.engine import Engine
    from .check_ins import Schedule
    from .running import Run

_PLAIN = re.compile(r"[0-9*,/-]+")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = re.compile(r"(?<![/\w])[0-6](?!\w)")


def install(_name: str, module: ModuleType, engine: Engine) -> list[Any]:
    """Called when the module with `run_job`, or with `run_coroutine_job`, has been imported."""
    target = ("apscheduler.executors.base", "run_job")
    made = library_of("apscheduler", engine, lambda: Library("apscheduler", target, facts, engine))

    def begins(job: Any, run_times: Any) -> Run:
        run = made.begin(job)
        due = run_times[0].timestamp()
        if job.misfire_grace_time is None or clocks.time() - due <= job.misfire_grace_time:
            made.waited(run, due)
        made.scheduled(run, name_of(job), schedule(job.trigger), str(getattr(job.trigger, "timezone", "")))
        made.adopt(job.func)
        return run

    runs = [vars(module)[name] for name in ("run_job", "run_coroutine_job") if _is_own(module, name)]
    changes = [
        wrap.surround(each, beginning(begins), quietly(made.ended), passed=["job", "run_times"]) for each in runs
    ]
    if module.__name__ == target[0]:
        changes.append(_events(made))
    return changes


def _is_own(module: ModuleType, name: str) -> bool:
    return getattr(vars(module).get(name), "__module__", None) == module.__name__


def _events(library: Library) -> Any:
    """It makes an event of how each run has ended, while the exception is handled."""
    events: Any = sys.modules["apscheduler.events"]

    def ends(code: Any, error: Any) -> None:
        run = library.current()
        if run is None:
            return
        if code == events.EVENT_JOB_ERROR and isinstance(error, BaseException):
            library.failed(run, error)
        elif code == events.EVENT_JOB_MISSED:
            run.missed = True  # a monitor of the pack reports it

    return wrap.surround(vars(events.JobExecutionEvent)["__init__"], wrap.guarded(ends), passed=["code", "exception"])


def facts(job: Any) -> dict[str, object]:
    return {"task": _function_name(job), "id": str(job.id), "queue": str(job.executor)}


def _function_name(job: Any) -> str:
    reference = getattr(job, "func_ref", None)  # `shop.tasks:ship`; None of what cannot be referred to
    if type(reference) is str and reference:
        return reference.replace(":", ".")
    return f"{getattr(job.func, '__module__', '')}.{getattr(job.func, '__qualname__', 'job')}"


def name_of(job: Any) -> str:
    """Of an entry of a schedule: the job's id, if the ERP has chosen it."""
    return chosen(str(job.id)) or _function_name(job)


def schedule(trigger: Any) -> Schedule | None:
    """A trigger in Sentry's form; None for what that cannot express: years, weeks, seconds, single times."""
    seconds = getattr(trigger, "interval_length", None)
    if isinstance(seconds, (int, float)):
        return every(seconds)
    fields = getattr(trigger, "fields", None)
    if type(fields) is not list:
        return None
    known = {each.name: ",".join(map(str, each.expressions)) for each in fields}
    days = _DAY.sub(lambda found: _DAYS[int(found[0])], known["day_of_week"])  # numbers begin with Monday here
    plain = [known[name] for name in ("minute", "hour", "day", "month")]
    whole = known["year"] == known["week"] == "*" and known["second"] == "0" and "*" in (known["day"], days)
    if not whole or not all(_PLAIN.fullmatch(each) for each in plain):
        return None
    return crontab(" ".join([*plain, days]))
