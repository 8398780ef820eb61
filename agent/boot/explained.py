"""Start-up with AGENT_DEBUG (log each step) or AGENT_STRICT (exit 2 on any configuration error)."""

import os
import sys

from ..base import guard, places, programs
from ..plan import in_force
from ..plan import index as plan_index
from . import bootstrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def begin(path: str, state: str, look_out: "Callable[[str, str], bool]", stop: "Callable[[str], None]") -> None:
    """`look_out` and `stop` are the launcher's."""
    if guard.DEBUG:
        guard.step("configuration %s, state %s" % (path, state))
        guard.step("program %s, python %s" % (programs.names(programs.arguments())[0], sys.version.split()[0]))
    nowhere = ""
    if not os.environ.get("AGENT_CONFIG") and not os.path.exists(path):
        why = "is empty" if "AGENT_CONFIG" in os.environ else "is not set"
        nowhere = "AGENT_CONFIG %s, and there is no %s: name the configuration in AGENT_CONFIG" % (why, path)
        if guard.DEBUG:
            guard.step("nothing to do: " + nowhere)
    if places.is_on("AGENT_STRICT") and not _is_a_command():
        if not nowhere:
            bootstrap.begin(path, state)
        problems = _problems(path, state, nowhere)
        if problems:
            nothing = nowhere or (bootstrap.current is not None and not bootstrap.current.index.watches_anything)
            _stop(problems, "nothing would be watched" if nothing else "the configuration is wrong", stop)
        return
    if nowhere:
        return
    fresh = look_out(path, state)
    if not fresh:
        if guard.DEBUG:
            guard.step("there is no fresh plan: " + _why_not_fresh(path, state))
        bootstrap.begin(path, state)
    if guard.DEBUG:
        waits = fresh or bootstrap.current is not None
        guard.step("waiting for the modules of %s" % _what(path, state) if waits else "nothing is monitored")


def _is_a_command() -> bool:
    """Of ours: those show what is wrong."""
    from . import command

    return command.is_ours()


def _problems(path: str, state: str, nowhere: str) -> "list[str]":
    """Why this process would not be watched, or not as configured."""
    if bootstrap.current is not None:
        index = bootstrap.current.index
        if not index.stale and not index.problems and not index.watches_anything:
            return ["%s: it has no monitor that applies here" % path]
        return in_force.reasons if index.stale else index.problems
    head = places.open_head(places.plan_file(state), path)
    if programs.why_not(head[1][5] if head is not None else None):
        return []
    return [nowhere] if nowhere else in_force.reasons or ["the agent could not be started"]


def _stop(problems: "list[str]", why: str, stop: "Callable[[str], None]") -> None:
    try:
        for problem in problems:
            guard.write_line(problem)
        stop(why)
    finally:
        os._exit(2)


def _why_not_fresh(path: str, state: str) -> str:
    head = places.open_head(places.plan_file(state), path)
    if head is None:
        return "none is stored in " + places.plan_file(state)
    for name, value in head[1][2]:
        if os.environ.get(name) != value:
            return f"another value of {name}"
    for name, stamped in head[1][1]:
        if places.stamp(name) != stamped:
            return f"{name} has changed"
    return "files that would be included have come or gone"


def _what(path: str, state: str) -> str:
    index = bootstrap.current.index if bootstrap.current is not None else plan_index.load(state, path)
    return ", ".join(sorted(index.top_packages)) if index is not None and index.top_packages else "nothing"
