"""A start with AGENT_DEBUG or AGENT_STRICT: as ever, but explained, or stopped at the first thing that is wrong."""

import os
import sys

from . import bootstrap, guard, inforce, programs, start
from .config import cache


def begin(path: str, state: str) -> None:
    if guard.DEBUG:
        guard.step("configuration %s, state %s" % (path, state))
        guard.step("program %s, python %s" % (programs.names(programs.arguments())[0], sys.version.split()[0]))
    if not os.environ.get("AGENT_CONFIG") and not os.path.exists(path):
        if guard.DEBUG:
            guard.step("nothing to do: there is no such file, and AGENT_CONFIG names none")
        return
    if start.is_on("AGENT_STRICT"):
        bootstrap.begin(path, state)
        problems = _problems(path, state)
        if problems:
            _stop(problems)
        return
    fresh = start.look_out(path, state)
    if not fresh:
        if guard.DEBUG:
            guard.step("there is no fresh plan: " + _why_not_fresh(path, state))
        bootstrap.begin(path, state)
    if guard.DEBUG:
        waits = fresh or bootstrap.current is not None
        guard.step("waiting for the modules of %s" % _what(path, state) if waits else "nothing is monitored")


def _problems(path: str, state: str) -> "list[str]":
    if bootstrap.current is not None:
        stale = bootstrap.current.index.stale
        return inforce.reasons if stale else bootstrap.current.index.problems
    head = start.open_head(start.plan_file(state), path)
    if programs.why_not(head[1][5] if head is not None else None):
        return []
    return inforce.reasons or ["the agent could not be started"]


def _stop(problems: "list[str]") -> None:
    """AGENT_STRICT: before the program has run a line of its own, which makes `os._exit` the clean way."""
    try:
        for problem in problems:
            guard.say(problem)
        guard.say("AGENT_STRICT stops this process: the configuration is wrong")
        if sys.stderr is not None:
            sys.stderr.flush()
    finally:
        os._exit(2)


def _why_not_fresh(path: str, state: str) -> str:
    head = start.open_head(start.plan_file(state), path)
    if head is None:
        return "none is stored in " + start.plan_file(state)
    for name, value in head[1][2]:
        if os.environ.get(name) != value:
            return f"another value of {name}"
    for name, stamped in head[1][1]:
        if start.stamp(name) != stamped:
            return f"{name} has changed"
    return "files that would be included have come or gone"


def _what(path: str, state: str) -> str:
    index = bootstrap.current.index if bootstrap.current is not None else cache.load(state, path)
    return ", ".join(sorted(index.top_packages)) if index is not None and index.top_packages else "nothing"
