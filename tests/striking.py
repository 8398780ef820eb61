"""Raise a host's time limit at each place of the agent's code in turn, from a trace function."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import agent

HERE = os.path.dirname(agent.__file__) + os.sep
EVENTS = ("call", "line")

Place = tuple[CodeType, int, str]


class Limit(Exception):
    pass


def places(work: Callable[[], object], where: str = HERE) -> list[Place]:
    """Return the lines and functions of files below `where` that `work` runs, each once."""
    found: dict[Place, None] = {}

    def tracer(frame: Any, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(where):
            return None
        if event in EVENTS:
            found.setdefault((frame.f_code, frame.f_lineno, event))
        return tracer

    _traced(work, tracer)
    return list(found)


def struck(work: Callable[[], object], place: Place) -> bool:
    """Run it and raise Limit at that place. Return whether that place was reached; Limit is raised unless it is swallowed."""
    code, line, wanted = place
    hit = False

    def tracer(frame: Any, event: str, _: object) -> Any:
        nonlocal hit
        if not frame.f_code.co_filename.startswith(HERE):
            return None
        if not hit and event == wanted and frame.f_code is code and frame.f_lineno == line:
            hit = True
            raise Limit
        return tracer

    _traced(work, tracer)
    return hit


def _traced(work: Callable[[], object], tracer: Any) -> None:
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        work()
    finally:
        sys.settrace(before)


def each(
    make: Callable[[], tuple[Callable[[], object], Any]], step: Callable[[str], int] = lambda file: 1
) -> Iterator[tuple[Place, Any, str]]:
    """Interrupt fresh work at each place in turn. Yield the place, the state that `make` returned, and the outcome.

    Of the places in a file, every `step(file)`th.
    """
    for number, place in enumerate(places(make()[0])):
        if number % step(place[0].co_filename[len(HERE) :]):
            continue
        work, state = make()
        try:
            outcome = "swallowed" if struck(work, place) else "not met"
        except Limit:
            outcome = "went on"
        yield place, state, outcome


def name(place: Place) -> str:
    return f"{place[0].co_filename[len(HERE) :]}:{place[1]} {place[0].co_name} ({place[2]})"
