"""The tasks that run here: each is a piece of work, which log lines belong to, and may be one of several attempts."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ...base.slots import ancestors_of
from ...observe.around import work
from ...observe.failure.attempts import Attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .check_ins import Schedule
    from .header import CheckIn


class Kind(work.Kind):
    """The tasks of one library.

    `section` is the name of the section of an event that has the facts about a task: `facts(about)` returns them, with
    the task's dotted name as `task`; None where another provider does.
    """

    __slots__ = ("facts",)

    def __init__(
        self,
        section: str,
        header: Callable[[Any, str], object],
        facts: Callable[[Any], dict[str, object]] | None = None,
    ) -> None:
        super().__init__(work.TASK, header, section=section)
        self.facts = facts


class Run:
    """One run of a task: an attempt, if another may follow."""

    __slots__ = (
        "about", "again", "attempt", "check_in", "crashed", "declared", "entered", "error", "function", "kind", "known",
        "missed", "places", "schedule",
    )  # fmt: skip

    def __init__(self, about: Any, kind: Kind, *, tries: bool) -> None:
        self.about = about  # what the library has of it: a job, a message
        self.kind = kind
        self.attempt = Attempt() if tries else None
        self.entered: work.Entered | None = None  # None inside of another piece of work
        self.function = ""  # dotted, where it is known, and the files and first lines of its code
        self.places: frozenset[tuple[str, int]] = frozenset()
        self.check_in: CheckIn | None = None
        self.schedule: tuple[Schedule | None, str] = (None, "")  # and its time zone, where nobody else has sent them
        self.error: BaseException | None = None  # that it will have ended in
        self.again = False  # will it be run again?
        self.crashed = False
        self.missed = False  # it did not take place
        self.known: dict[str, object] = {}  # facts that the library does not keep with it
        self.declared: tuple[type, ...] = ()  # the exceptions that it may raise without a failure

    def facts(self) -> dict[str, object]:
        return {**self.kind.facts(self.about), **self.known} if self.kind.facts is not None else {}


#: The tasks that run here, nested where they are eager. One that runs inside a request or another task is no piece of
#: work of its own.
_running: ContextVar[tuple[Run, ...]] = ContextVar("erp_agent_tasks", default=())


def current() -> Run | None:
    running = _running.get()
    return running[-1] if running else None


def attempt() -> Attempt | None:
    """The running attempt; registered with `attempts.register`."""
    run = current()
    return run.attempt if run is not None else None


def provide() -> dict[str, object]:
    """Return facts for an event; registered with `context.register`."""
    run = current()
    facts = run.facts() if run is not None else {}
    if run is None or not facts:
        return {}
    doing = work.current()
    return {run.kind.section: facts, "transaction": (doing is not None and doing.called) or facts["task"]}


def name() -> str:
    """Of the task that runs: see `work.task`."""
    run = current()
    return str(run.facts().get("task", "")) if run is not None else ""


def declares(kind: type[BaseException]) -> bool:
    """See `work.declares`."""
    run = current()
    declared = run.declared if run is not None else ()
    return bool(declared) and any(cls is each for cls in ancestors_of(kind) for each in declared)


def begin(about: Any, kind: Kind, *, tries: bool) -> Run:
    """A task begins. `tries`: another attempt may follow this one."""
    run = Run(about, kind, tries=tries)
    if work.current() is None:
        run.entered = work.enter(about, kind)
    _running.set((*_running.get(), run))
    return run


@contextmanager
def about(held: Any, kind: Kind) -> Iterator[Run]:
    """What is reported meanwhile is about a task that runs, or ran, in another process."""
    run = Run(held, kind, tries=False)
    token = _running.set((*_running.get(), run))
    try:
        yield run
    finally:
        _running.reset(token)


def end(run: Run, settle: Callable[..., None]) -> None:
    """It has ended. `settle(attempt, again=…)` decides on what was reported in an attempt."""
    if run.entered is not None and run.crashed:
        work.note(work.CRASHED)
    try:
        if run.attempt is not None and run.attempt.held:
            settle(run.attempt, again=run.again)
    finally:
        try:
            if run.entered is not None:
                work.leave(run.entered)
        finally:
            running = _running.get()
            if run in running:
                _running.set(running[: running.index(run)])
