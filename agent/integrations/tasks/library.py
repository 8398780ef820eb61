"""What is made of the tasks of one library: pieces of work, reports, waits, check-ins, the headers of traces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...base import clocks, guard
from ...base.interrupts import ours
from ...hook.code import patch
from ...observe.around import context, traces, work
from ...observe.call import arguments
from ...observe.failure import attempts
from ...observe.failure.severity import is_control_flow
from ...traces import propagation
from . import adopted, running
from . import header as headers

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType

    from ...boot.engine import Engine
    from .check_ins import CheckIns, Schedule
    from .header import CheckIn
    from .running import Run


class WorkerLost(Exception):
    """The process that ran a task is gone."""


class NoRetriesLeft(Exception):
    """A task has asked to be run again as often as it may."""


class TaskNotFound(Exception):
    """The function of a task cannot be imported."""


class Library:
    def __init__(
        self,
        name: str,
        target: tuple[str, str],
        facts: Callable[[Any], dict[str, object]],
        engine: Engine,
        header: Callable[[Any, str], object] = lambda _about, _name: None,
    ) -> None:
        """`target` is the module and attribute whose monitors apply to the functions of tasks.

        `facts` and `header` are about what the library has of a task: see `running.Kind`.
        """
        self.name = name
        self.engine = engine
        self._kind = running.Kind(name, header, facts)
        self._declared: dict[FunctionType, tuple[str, ...]] = {}
        self._adopted = adopted.Adopted(
            engine.applier, *target, lambda given: (adopted.found_as(given), self._declared.get(given, ()))
        )
        context.register("tasks", running.provide, first=True)  # a worker may be a command of Django's
        context.register("trace", traces.provide)
        attempts.register(running.attempt)
        work.task = running.name
        work.declares = running.declares
        settings = engine.outlet.sentry.get("tasks")
        self._begun = False  # has a task?
        self._waits = None
        self.check_ins: CheckIns | None = None
        if settings is not None and (settings["queue_wait"] or settings["queues"]):
            from .waits import Waits

            self._waits = Waits(name, settings, engine.report, engine.health.count)
        if settings is not None and settings["check_ins"]:
            from . import check_ins

            self.check_ins = check_ins.CheckIns(
                settings, engine.outlet.sentry, check_ins.keeper(engine), check_ins.noting(engine)
            )
        engine.frameworks.work(name)

    def begin(self, about: Any, *, tries: bool = False, came: object = None, **known: object) -> Run:
        """A worker begins a task. `tries`: it may be run again; `came`: the agent's header; `known`: further facts."""
        if not self._begun:
            self._begun = True
            if self.engine.outlet.sentry["dsn"] is None:  # Django's settings, which are loaded by now, may bring one
                self.engine.frameworks.work(self.name)
        run = running.begin(about, self._kind, tries=tries)
        run.known = known
        header = headers.parse(came)
        run.check_in = header.check_in if header is not None else None
        return run

    def of(self, about: object) -> Run | None:
        """The run of this job or message, if it is the one that is on."""
        run = running.current()
        return run if run is not None and run.about is about else None

    def current(self) -> Run | None:
        """The task of this library that is on."""
        run = running.current()
        return run if run is not None and run.kind is self._kind else None

    def waited(self, run: Run, due: float | None) -> None:
        """The task was due at that time, in seconds since the epoch."""
        traces.note(due=due)
        if self._waits is not None and due is not None:
            facts = run.facts()
            self._waits.begins(str(facts["task"]), str(facts.get("queue", "")), due)

    def scheduled(self, run: Run, name: object, schedule: Schedule | None, zone: str) -> None:
        """What runs is an entry of a schedule, and nobody has sent that it begins."""
        if self.check_ins is not None:
            run.check_in = self.check_ins.begin(name, schedule, zone)
            run.schedule = schedule, zone

    def adopt(self, target: object, declared: tuple[str, ...] = ()) -> None:
        """A task is about to run this function, which declares exceptions."""
        function = adopted.function_of(target)
        if function is None:
            return
        if declared:
            self._declared[function] = declared
        self._adopted.adopt(function)
        run = running.current()
        if run is not None:
            run.places = frozenset([_place(function), _place(arguments.definition(function))])
            run.function = f"{function.__module__}.{function.__qualname__}"

    def failed(
        self, run: Run, error: BaseException, *, again: bool = False, severity: str = "error", raised: bool = True
    ) -> None:
        """The task has ended in this exception, which is being handled; `again`: another attempt follows."""
        run.again = again
        if again or is_control_flow(type(error)):
            return
        run.crashed = True
        if self.engine.frameworks.integrates(self.name):
            task = str(run.facts()["task"])
            function = run.function or task
            self.engine.frameworks.failed(
                "task", error, operation=task, function=function, severity=severity, raised=raised
            )

    def ended(self, run: Run | None, _failed: bool) -> None:
        """For `wrap.surround`, around what runs a task."""
        if run is not None:
            self.end(run)

    def end(self, run: Run) -> None:
        if not run.again:
            self._end(run.check_in, "error" if run.crashed or run.missed else "ok", *run.schedule)
        running.end(run, self.settle)

    def end_check_in(self, came: object, status: str) -> None:
        """Of the task that came with this header of the agent's, where it has a check-in."""
        header = headers.parse(came)
        self._end(header.check_in if header is not None else None, status)

    def _end(self, check_in: CheckIn | None, status: str, schedule: Schedule | None = None, zone: str = "") -> None:
        if check_in is not None and self.check_ins is not None:
            self.check_ins.end(check_in, status, schedule, zone)

    def settle(self, attempt: attempts.Attempt, *, again: bool) -> None:
        self.engine.outlet.sink().settle(attempt, again=again)

    def lost(self, about: Any, why: str, *, again: bool, came: object = None) -> None:
        """The process that ran a task is gone, as the main process of a worker learns."""
        with running.about(about, self._kind) as run:
            if not again:
                self.end_check_in(came, "error")
            self.failed(run, WorkerLost(why), again=again, raised=False)

    # In the process that publishes.

    def outgoing(self, held: object, key: str = headers.TRACE) -> dict[str, object]:
        """The headers of the trace that is on here, and the agent's own, to add to what a message holds already."""
        found: dict[str, object] = {}
        if isinstance(held, dict) and key not in held:
            trace = propagation.headers(lambda _name: "")
            if trace:
                found[key] = trace
        check_in = headers.publishing.get()
        if check_in is not None:
            found[headers.HEADER] = headers.compose(clocks.time(), check_in)
        return found

    def announce(self, name: object, schedule: Schedule | None, zone: str) -> Any:
        """A scheduler publishes a task. Pass the result to `announced`."""
        check_in = self.check_ins.begin(name, schedule, zone) if self.check_ins is not None else None
        return headers.publishing.set(check_in), check_in

    def announced(self, made: Any, failed: bool) -> None:
        if made is None:
            return
        token, check_in = made
        headers.publishing.reset(token)
        if failed:
            self._end(check_in, "error")


_made: dict[str, Library] = {}


def library_of(name: str, engine: Engine, make: Callable[[], Library]) -> Library:
    """The one library of this name, which several modules of it share."""
    made = _made.get(name)
    if made is None or made.engine is not engine:
        made = _made[name] = make()
    return made


def beginning(function: Callable[..., Run | None]) -> Callable[..., Run | None]:
    """`function` for `wrap.surround`, which begins a task: whatever goes wrong, what has begun is ended."""

    def enter(*arguments: Any) -> Run | None:
        before = running.current()
        try:
            return function(*arguments)
        except ours(Exception):
            guard.swallow("beginning a task")
            begun = running.current()
            return begun if begun is not before else None
        except BaseException:  # a time limit of the host's: its function does not begin
            begun = running.current()
            if begun is not None and begun is not before:
                running.end(begun, lambda _attempt, **_: None)
            raise

    return enter


def quietly(leave: Callable[[Any, bool], None]) -> Callable[[Any, bool], None]:
    """`leave` for `wrap.surround`: what it raises is swallowed."""

    def left(entered: Any, failed: bool) -> None:
        try:
            leave(entered, failed)
        except ours(Exception):
            guard.swallow("ending a task")

    return left


def carried(held: object, name: str, key: str = headers.TRACE) -> object:
    """What came with a task in the header of this name, out of what its message holds."""
    found = held.get(key) if isinstance(held, dict) else None
    return found.get(name) if isinstance(found, dict) else None


def _place(function: FunctionType) -> tuple[str, int]:
    code = patch.original_code(function)
    return code.co_filename, code.co_firstlineno
