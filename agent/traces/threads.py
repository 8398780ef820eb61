"""Carries a trace into the threads that are started inside it, and into those of executors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..base import guard
from ..base.interrupts import ours
from ..hook.code import wrap
from .trace import current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from ..hook.code import patch
    from .trace import Lane

#: What starts threads → what must be there before it can be patched: the host may be in the middle of its import.
MODULES = {"threading": "_shutdown", "concurrent.futures.thread": "ThreadPoolExecutor"}

#: Under which name an object that a thread will run holds the lane that it was made in.
_HELD = "_erp_agent_lane"


def follow(name: str, module: ModuleType) -> Iterator[patch.Layer]:
    """Patch `threading` or `concurrent.futures.thread`, once the host has imported it."""
    if name == "threading":
        classes = module.Thread.__mro__  # gevent puts a class of its own there, without these methods
        for method, wrapper in (("start", _start), ("_bootstrap_inner", _run)):
            yield wrap.wrap(next(each.__dict__[method] for each in classes if method in each.__dict__), wrapper)
    else:
        methods = module._WorkItem.__dict__
        yield wrap.wrap(methods["__init__"], _make)
        yield wrap.wrap(methods["run"], _run)


def _start(original: Callable[..., Any], thread: Any) -> Any:
    _note(thread)
    return original(thread)


def _make(original: Callable[..., Any], item: Any, *arguments: Any, **named: Any) -> Any:
    _note(item)
    return original(item, *arguments, **named)


def _note(holder: Any) -> None:
    lane = current.get()
    if lane is not None:
        try:
            holder.__dict__[_HELD] = lane
        except ours(Exception):
            guard.swallow("carrying a trace into a thread")


def _run(original: Callable[..., Any], holder: Any, *arguments: Any) -> Any:
    lane: Lane | None = holder.__dict__.pop(_HELD, None)
    if lane is None or lane.trace.most < 0:
        return original(holder, *arguments)
    token = current.set(lane.trace.lane(lane))
    try:
        return original(holder, *arguments)
    finally:
        current.reset(token)


def loaded() -> Iterator[tuple[str, ModuleType]]:
    """Those that the host has imported so far."""
    for name, attribute in MODULES.items():
        module = sys.modules.get(name)
        if hasattr(module, attribute):
            yield name, module  # type: ignore[misc]
