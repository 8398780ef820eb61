"""What the integrations of ERPs share: jobs as pieces of work, exceptions behind responses, facts for events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..hook.code import wrap
from ..observe.around import context, people, traces, work
from .web.install import function_of, web_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

    from ..boot.engine import Engine

#: A background or scheduled job as a piece of work. It is about the job's name.
KIND = work.Kind(work.TASK, route=lambda name: name)


def register(erp: str, provide: Callable[[], dict[str, object]], user: Callable[[], Mapping[str, object]]) -> None:
    context.register(erp, provide)
    context.register("trace", traces.provide)
    people.current[erp] = user


def begins(name: str) -> work.Entered | None:
    """The job `name` is a piece of work, unless it is run inside one: a user's request, or a queue's task."""
    return work.enter(name, KIND) if work.current() is None else None


def ends(entered: work.Entered | None, failed: bool) -> None:
    if entered is not None:
        if failed:
            work.note(work.CRASHED)
        work.leave(entered)


def failing(engine: Engine, is_shown: Callable[[Exception], bool]) -> Callable[[object], None]:
    """What takes the exceptions that an application makes responses of. One that is no text for the user has failed the
    request.
    """
    web = web_of(engine)

    def failed(error: object) -> None:
        if isinstance(error, Exception) and not is_shown(error):
            web.failed(error)

    return failed


def facts(tags: Mapping[str, object], job: object, user: Mapping[str, object]) -> dict[str, object]:
    """Facts for an event. What is no text or number, empty or 0 is left out of tags, and so is `job`."""
    found: dict[str, object] = {
        "tags": {name: value for name, value in tags.items() if value and type(value) in (str, int)}
    }
    if job and type(job) is str:
        found["transaction"] = job
    if user:
        found["user"] = user
    return found


def look(module: ModuleType, path: str, enter: Callable[..., object], *passed: str) -> Iterator[Any]:
    """Have `enter` called, with the parameters that `passed` names, as the function at `path`, if any, begins."""
    function = function_of(module, path)
    if function is not None:
        yield wrap.surround(function, wrap.guarded(enter), passed=passed)
