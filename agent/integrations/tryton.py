"""Tryton: which database, company and user an event is about, jobs of cron and of the queue as pieces of work, and
exceptions that its WSGI application makes a response of.

A transaction is read as it lies in memory: `Transaction()` would begin one where there is none.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..hook.code import wrap
from ..hook.targets import resolve
from ..observe.around import work
from ..observe.event.represent import instance_dict
from .jobs import ends, facts, failing, register
from .retried import Retried, elsewhere
from .web import frameworks, serving
from .web.install import function_of, web_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType, ModuleType

    from ..boot.engine import Engine
    from ..hook.code.wrap import Failed


def cron_name(jobs: Any) -> str:
    """The name of a job, as the job's own code reads it first of all."""
    job = jobs[0] if type(jobs) is list else jobs
    if hasattr(type(job), "function"):  # up to Tryton 5.0
        return f"cron {job.model}.{job.function}"
    method: str = job.method
    return "cron " + method.replace("|", ".")


def task_name(task: Any) -> str:
    return "task {model}.{method}".format(**task.data)


def _whose(task: Any) -> tuple[int, int]:
    """The company and user that have queued a task. The transaction has them only while the task's method runs."""
    data = task.data
    return frameworks.number((data.get("context") or {}).get("company")), frameworks.number(data.get("user"))


#: A module → its function that runs a job, and what shows the job's name in the function's last positional parameter.
_JOBS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "trytond.ir.cron": ("Cron.run_once", cron_name),
    "trytond.ir.queue": ("Queue.run", task_name),  # up to Tryton 6.0
    "trytond.ir.queue_": ("Queue.run", task_name),
}

#: A task that is in the queue for the first time, and not for a time that somebody has chosen.
_NEW = "new"

#: A job as a piece of work. It is about the job's name, company and user.
KIND = work.Kind(work.TASK, route=lambda job: job[0] if job else None)


def install(name: str, module: ModuleType, engine: Engine) -> list[Any]:
    """Called when the module `name` of Tryton has been imported. Returns the changes, each with its undo."""
    register("tryton", provide, user)
    if name == "trytond.wsgi":
        return _failures(module, engine)
    if name == "trytond.pool":
        # The classes of models have just been built, and nothing may be imported any more.
        return [wrap.watch(_function(module, "Pool.init"), returned=lambda _: engine.look_again())]
    retried = Retried(engine)
    if name == "trytond.rpc":
        return [*retried.tries(function_of(module, "RPC.convert"))]
    if name == "trytond.protocols.dispatcher":
        return [*retried.whole(_function(module, "_dispatch"))]
    if name == "trytond.worker":
        return [*retried.whole(function_of(module, "run_task"))]
    engine.frameworks.tracing.follow()
    path, named = _JOBS[name]
    runs = _function(module, path)
    return [
        follow_job(runs, path, named, _fails(engine)),
        *(_cron_tries if name == "trytond.ir.cron" else _task_tries)(module, runs, retried),
    ]


def _function(module: ModuleType, path: str) -> Any:
    return resolve.resolve(module, path).function


def _failures(module: ModuleType, engine: Engine) -> list[Any]:
    """The application returns, with the status 200, what a request has failed with."""
    shown = (sys.modules["trytond.exceptions"].TrytonException, sys.modules["werkzeug.exceptions"].HTTPException)
    returned = failing(engine, lambda error: isinstance(error, shown))
    return [web_of(engine), wrap.watch(_function(module, "TrytondWSGI.dispatch_request"), returned=returned)]


def follow_job(function: Any, path: str, name_of: Callable[[Any], str], failed: Failed | None = None) -> Any:
    """A task of the queue is a piece of work also where the request that has queued it runs it when it has ended."""

    def enter(job: Any) -> work.Entered | None:
        if path == "Cron.run_once" and work.current() is not None:
            return None  # a user clicked on it
        return work.enter((name_of(job), *(_whose(job) if name_of is task_name else (0, 0))), KIND)

    return wrap.surround(function, wrap.guarded(enter), ends, passed=[_last_parameter(function)], failed=failed)


def _fails(engine: Engine) -> Failed:
    """Reports what a job has failed with, unless its monitor has."""

    def failed(error: BaseException, _frame: FrameType) -> None:
        name = _doing()[0]
        if name and isinstance(error, Exception):
            engine.frameworks.failed("task", error, operation=name, function=name)

    return failed


def _last_parameter(function: Any) -> str:
    name: str = function.__code__.co_varnames[function.__code__.co_argcount - 1]
    return name


def _cron_tries(module: ModuleType, runs: Any, retried: Retried) -> Iterator[Any]:
    """`Cron.run` runs one job after the other, each until it does not collide. Tryton 5.0 runs each once."""
    if not hasattr(module.Cron, "function"):
        yield from retried.whole(_function(module, "Cron.run"))
        yield from retried.tries(
            runs, _last_parameter(runs), lambda jobs: jobs[0].id if type(jobs) is list else jobs.id
        )


def _task_tries(module: ModuleType, runs: Any, retried: Retried) -> Iterator[Any]:
    """`run_task` puts back into the queue a task that collides in each try: no failure, unless it came so."""

    def tried(task: Any) -> object:
        return _NEW if task.scheduled_at is None else None  # read together with what names the task

    yield from retried.tries(runs, _last_parameter(runs), tried)

    def pushed(_: object) -> None:
        doing = work.current()
        if doing is None or doing.kind is not KIND:  # a task may queue others
            elsewhere(_NEW)

    yield wrap.watch(_function(module, "Queue.push"), returned=pushed)


def provide() -> dict[str, object]:
    """Return facts for an event; registered with `context.register`."""
    database, company, _ = _current()
    return facts({"database": database, "company": company}, _doing()[0], user())


def user() -> Mapping[str, object]:
    """Return the id of the user. 0 is no user, but Tryton itself."""
    found = _current()[2]
    return {"id": found} if found else {}


def _doing() -> tuple[str, int, int]:
    """The name, company and user of the job that runs; each "" or 0 where there is none."""
    doing = work.current()
    about: Any = doing.about if doing is not None and doing.kind is KIND else None
    return about or ("", 0, 0)


def _current() -> tuple[str, int, int]:
    """The database, company and user of this thread's transaction, or of the request where that has ended."""
    kind = getattr(sys.modules.get("trytond.transaction"), "Transaction", None)
    stack = getattr(getattr(kind, "_local", None), "transactions", None)
    held = (instance_dict(stack[-1]) or {}) if type(stack) is list and stack else {}
    database = (instance_dict(held.get("database")) or {}).get("name")
    if type(database) is not str:
        return frameworks.trytons(serving.current())
    given = held.get("context")
    given = given if isinstance(given, dict) else {}
    number = frameworks.number
    _, company, user = _doing()
    company = number(dict.get(given, "company")) or company
    return database, company, number(held.get("user")) or number(dict.get(given, "user")) or user
