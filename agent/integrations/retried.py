"""Work that a framework tries again by itself, because a database could not serialize it.

What is reported in a try that is followed by another is dropped, and counted: only the last one fails.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ..base import guard
from ..base.interrupts import ours
from ..hook.code import wrap
from ..observe.failure import attempts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FunctionType

    from ..boot.engine import Engine


class _Work:
    __slots__ = ("again", "attempt", "begins", "tried")

    def __init__(self, begins: object) -> None:
        self.begins = begins  # the function that each try begins with; None: whichever is called first
        self.attempt: attempts.Attempt | None = None
        self.tried: object = None  # what the attempt is of
        self.again = False  # is it run again elsewhere?


_running: ContextVar[tuple[_Work, ...]] = ContextVar("erp_agent_retried", default=())

#: What has found attempts before: a queue's integration.
others: list[Callable[[], attempts.Attempt | None]] = []


def _current() -> attempts.Attempt | None:
    running = _running.get()
    if running and running[-1].attempt is not None:
        return running[-1].attempt
    return next((found for other in others if (found := other()) is not None), None)


def elsewhere(tried: object) -> None:
    """What was tried last in this work is run again, by another process or later, if it is `tried`."""
    running = _running.get()
    if running and running[-1].tried == tried:
        running[-1].again = True


class Retried:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        if attempts.current is not _current:
            others.append(attempts.current)
            attempts.register(_current)

    def whole(self, function: FunctionType | None, passed: str = "", *, recursive: bool = False) -> Iterator[Any]:
        """`function` tries until it succeeds, or gives up; `passed` is the parameter that it calls.

        `recursive`: it tries again by calling itself.
        """
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
            self._settle(last, again=last.again)

        yield wrap.surround(function, wrap.guarded(enter), leave, passed=[passed] if passed else [])

    def tries(
        self, function: FunctionType | None, passed: str = "", tried: Callable[[Any], object] | None = None
    ) -> Iterator[Any]:
        """`function` is one that a try begins with.

        Where the work tries several things in turn, `tried` takes the parameter `passed` and returns which.
        """
        if function is not None:

            def enter(given: Any = None) -> None:
                self._begins(function, tried(given) if tried is not None else None)

            yield wrap.surround(function, wrap.guarded(enter), passed=[passed] if passed else [])

    def _begins(self, function: object, tried: object = None) -> None:
        running = _running.get()
        if not running:
            return
        current = running[-1]
        if current.begins is None:
            current.begins = function
        if current.begins is function:
            self._settle(current, again=current.again or current.tried == tried)
            current.attempt, current.tried, current.again = attempts.Attempt(), tried, False

    def _settle(self, work: _Work, *, again: bool) -> None:
        attempt, work.attempt = work.attempt, None
        try:
            if attempt is not None and attempt.held:
                self._engine.outlet.sink().settle(attempt, again=again)
        except ours(Exception):
            guard.swallow("ending a try")
