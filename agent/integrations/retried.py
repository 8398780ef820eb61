"""Work that a framework tries again by itself, in the same process, because a database could not serialize it.

What is reported in a try that is followed by another is dropped, and counted: only the last one fails.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ..base import guard
from ..base.interrupts import ours
from ..hook.code import wrap
from ..observe.failure import attempts
from .web.install import function_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from ..boot.engine import Engine


class _Work:
    __slots__ = ("attempt", "begins")

    def __init__(self, begins: object) -> None:
        self.begins = begins  # the function that each try begins with; None: whichever is called first
        self.attempt: attempts.Attempt | None = None


_running: ContextVar[tuple[_Work, ...]] = ContextVar("erp_agent_retried", default=())

#: What has found attempts before: a queue's integration.
_others: list[Callable[[], attempts.Attempt | None]] = []


def _current() -> attempts.Attempt | None:
    running = _running.get()
    if running and running[-1].attempt is not None:
        return running[-1].attempt
    return next((found for other in _others if (found := other()) is not None), None)


class Retried:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        if attempts.current is not _current:
            _others.append(attempts.current)
            attempts.register(_current)

    def whole(self, module: ModuleType, path: str, passed: str = "", *, recursive: bool = False) -> Iterator[Any]:
        """`path` is a function that tries until it succeeds, or gives up; `passed` is the parameter that it calls.

        `recursive`: it tries again by calling itself.
        """
        function = function_of(module, path)
        if function is None:
            return

        def enter(begins: Any = None) -> Any:
            if recursive:
                begins = function
                if any(each.begins is function for each in _running.get()):
                    self._begins(function)
                    return None
            begins = getattr(begins, "func", begins)  # of a partial
            token = _running.set((*_running.get(), _Work(getattr(begins, "__func__", begins))))
            if recursive:
                self._begins(function)
            return token

        def leave(token: Any, _failed: bool) -> None:
            if token is None:
                return
            last = _running.get()[-1]
            try:
                _running.reset(token)
            except ours(ValueError):  # in another context
                _running.set(())
            self._settle(last, again=False)

        yield wrap.surround(function, wrap.guarded(enter), leave, passed=[passed] if passed else [])

    def tries(self, module: ModuleType, path: str) -> Iterator[Any]:
        """`path` is a function that a try begins with."""
        function = function_of(module, path)
        if function is not None:
            yield wrap.surround(function, wrap.guarded(lambda: self._begins(function)))

    def _begins(self, function: object) -> None:
        running = _running.get()
        if not running:
            return
        current = running[-1]
        if current.begins is None:
            current.begins = function
        if current.begins is function:
            self._settle(current, again=True)
            current.attempt = attempts.Attempt()

    def _settle(self, tried: _Work, *, again: bool) -> None:
        attempt, tried.attempt = tried.attempt, None
        try:
            if attempt is not None and attempt.held:
                self._engine.outlet.sink().settle(attempt, again=again)
        except ours(Exception):
            guard.swallow("ending a try")
