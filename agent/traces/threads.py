"""Carries a trace into the threads and greenlets that are started inside it, and into the threads of executors."""

from __future__ import annotations

import sys
from contextvars import Context
from typing import TYPE_CHECKING, Any

from ..base import guard
from ..base.interrupts import ours
from ..hook.code import wrap
from .trace import current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import Protocol

    from .trace import Lane

    class Change(Protocol):
        def undo(self) -> object: ...


#: What starts threads → what must be there before it can be patched: the host may be in the middle of its import.
MODULES = {
    "threading": "_shutdown",
    "concurrent.futures.thread": "ThreadPoolExecutor",
    "gevent.greenlet": "Greenlet",
    "eventlet.greenthread": "GreenThread",
}

#: Under which name an object that a thread will run holds the lane that it was made in.
_HELD = "_erp_agent_lane"


def follow(name: str, module: ModuleType) -> Iterator[Change]:
    """Patch one of MODULES, once the host has imported it."""
    if name == "threading":
        classes = module.Thread.__mro__  # gevent puts a class of its own there, without these methods
        for method, wrapper in (("start", _start), ("_bootstrap_inner", _run)):
            yield wrap.wrap(next(each.__dict__[method] for each in classes if method in each.__dict__), wrapper)
    elif name == "gevent.greenlet":
        module.Greenlet.add_spawn_callback(_carry)
        yield _Callback(module.Greenlet.remove_spawn_callback)
    elif name == "eventlet.greenthread":
        yield wrap.wrap(module.GreenThread.__dict__["__init__"], _make_greenlet)
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


class _Callback:
    """What gevent calls with each greenlet that is started."""

    def __init__(self, remove: Callable[[Any], object]) -> None:
        self._remove = remove

    def undo(self) -> object:
        return self._remove(_carry)


def _make_greenlet(original: Callable[..., Any], greenlet: Any, *arguments: Any) -> Any:
    made = original(greenlet, *arguments)
    _carry(greenlet)
    return made


def _carry(greenlet: Any) -> None:
    """A greenlet begins with no context. It gets one with its lane and nothing else, so the host sees no difference."""
    lane = current.get()
    if lane is None:
        return
    try:
        if greenlet.gr_context is None:
            own = Context()
            own.run(current.set, lane.trace.lane(lane))
            greenlet.gr_context = own
    except ours(Exception):
        guard.swallow("carrying a trace into a greenlet")


def loaded() -> Iterator[tuple[str, ModuleType]]:
    """Those that the host has imported so far."""
    for name, attribute in MODULES.items():
        module = sys.modules.get(name)
        if hasattr(module, attribute):
            yield name, module  # type: ignore[misc]
