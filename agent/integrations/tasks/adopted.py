"""Applies the monitors of one target to the functions of tasks, which a library finds at run time.

A monitor that names such a function itself takes precedence.
"""

from __future__ import annotations

import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any
from weakref import ref

from ...base import guard
from ...base.interrupts import ours
from ...hook.targets import resolve
from ...observe.call import arguments
from ...observe.event.represent import type_name
from . import running

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ...hook.targets.apply import Applier
    from ...hook.targets.resolve import Found

#: The severity of exceptions that a task declares: its library logs them at this level, without a traceback.
EXPECTED = "info"


class Adopted:
    def __init__(
        self, applier: Applier, module: str, attribute: str, find: Callable[[Any], tuple[Found | None, tuple[str, ...]]]
    ) -> None:
        """`find(thing)` returns how to patch the function of a task, and the exceptions that the task declares."""
        self._applier = applier
        self._target = module, attribute
        self._find = find
        self._known: dict[int, ref[Any]] = {}
        applier.again.append(self._again)

    def adopt(self, thing: Any) -> None:
        """Once for each thing that has a task's function: a task's object, or the function itself."""
        known = self._known.get(id(thing))
        if known is not None and known() is thing:
            return
        self._apply(thing)
        self._known[id(thing)] = ref(thing)

    def _apply(self, thing: Any) -> None:
        try:
            found, declared = self._find(thing)
            if found is not None:
                self._applier.adopt(found, *self._target, dict.fromkeys(declared, EXPECTED))
        except ours(Exception):
            guard.swallow("patching a task")

    def _again(self) -> None:
        for each in list(self._known.values()):
            thing = each()
            if thing is not None:
                self._apply(thing)


def named(found: Found, left: Callable[[FrameType], bool]) -> Found | None:
    """Other tasks may share the function, and each of them is monitored, under the name that it was defined with."""
    found.receiver = None
    found.left = left
    if found.function is None:
        return None
    found.name = arguments.definition(found.function).__name__
    return found


def classes_of(exceptions: object) -> tuple[type, ...]:
    """One class, or those in a tuple or list."""
    given = exceptions if type(exceptions) in (tuple, list) else (exceptions,)
    return tuple(each for each in given if isinstance(each, type))  # type: ignore[attr-defined]


def names_of(exceptions: object) -> tuple[str, ...]:
    """The same as dotted names."""
    return tuple(map(type_name, classes_of(exceptions)))


def function_of(target: object) -> FunctionType | None:
    """The Python function that a task calls, without the object that it is bound to."""
    function = getattr(target, "__func__", None) if not isinstance(target, FunctionType) else target
    return function if isinstance(function, FunctionType) else None


def found_as(function: FunctionType) -> Found | None:
    """How to patch a function that is run as a task."""
    module = sys.modules.get(function.__module__)
    if module is None:
        return None
    path, name = f"{function.__module__}.{function.__qualname__}", function.__qualname__.rpartition(".")[2]
    return named(resolve.found_in(path, module, name, function), is_called)


def is_called(frame: FrameType) -> bool:
    """Whether a task calls this function, which is not its own: what it raises is the caller's to deal with."""
    run = running.current()
    code = frame.f_code
    return run is not None and bool(run.places) and (code.co_filename, code.co_firstlineno) not in run.places
