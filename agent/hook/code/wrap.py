"""Puts a function of ours around a function of a framework's, in place; or into it, where that is only looked at."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from ...base import guard
from ...base.interrupts import ours
from ...base.slots import set_traceback, traceback_of
from . import inject, patch, trampoline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType, FrameType, FunctionType
    from typing import Any

_WRAP = trampoline.Features(wrap=True)


def wrap(function: FunctionType, wrapper: Callable[..., Any], *, warns: bool = False) -> patch.Layer:
    """`wrapper(original, *arguments)` is called instead; a coroutine function where `function` is one.

    Where `function` `warns` its caller, our frames pass for the import system's: `wrapper` by `passed_over`.
    """
    return patch.patch_function(function, _Wrapper(wrapper, warns))


def watch(
    function: FunctionType,
    *,
    returned: Callable[..., None] | None = None,
    passed: Sequence[str] = (),
    failed: Callable[[BaseException, FrameType], None] | None = None,
) -> patch.Layer:
    """`returned(result, *arguments)` is called after a success, with the parameters that `passed` names.

    `failed` is called while an exception leaves `function`, with the frame that holds its arguments. No frame of ours
    stands in between.
    """
    return patch.patch_function(function, _Watcher(function, returned, passed, failed))


def passed_over(function: Any) -> Any:
    function.__code__ = function.__code__.replace(co_filename=patch.PASSED_OVER)
    return function


class _Wrapper:
    """Has a trampoline only: the original is what the wrapper calls."""

    def __init__(self, wrapper: Callable[..., Any], warns: bool) -> None:
        self._values = {"wrap": wrapper}
        self._warns = warns

    def make(self, original: FunctionType) -> CodeType:
        code = trampoline.build(original, _WRAP, self._values)
        return code.replace(co_filename=patch.PASSED_OVER) if self._warns else code

    def inject(self, code: CodeType) -> None:
        del code


class _Watcher:
    def __init__(
        self,
        function: FunctionType,
        returned: Callable[..., None] | None,
        passed: Sequence[str],
        failed: Callable[[BaseException, FrameType], None] | None,
    ) -> None:
        names = function.__code__.co_varnames
        self._returned, self._failed = returned, failed
        self._features = trampoline.Features(check=tuple(map(names.index, passed)) if returned is not None else None)
        self._wanted = names[: function.__code__.co_argcount]

    def make(self, original: FunctionType) -> CodeType:
        return trampoline.build(original, self._features, self._values(_Watcher._fails))

    def inject(self, code: CodeType) -> CodeType | None:
        return inject.inject(code, self._features, self._values(_Watcher._fails_inside), self._wanted)

    def _values(self, fails: Callable[..., None]) -> dict[str, Any]:
        return {
            "clock": time.perf_counter,
            "check": trampoline.Callback(_Watcher._returns, self),
            "fail": trampoline.Callback(fails, self),
        }

    def _returns(self, result: object, _: float, *passed: object) -> None:
        try:
            if self._returned is not None:
                self._returned(result, *passed)
        except ours(Exception):
            guard.swallow("looking at what a framework returns")

    def _fails(self, _: float) -> None:
        """The frame is a trampoline's: the host's traceback does without it."""
        error = sys.exc_info()[1]
        traceback = traceback_of(error) if error is not None else None
        if trampoline.LEAVES_NO_FRAME and traceback is not None and traceback.tb_frame is sys._getframe(1):
            set_traceback(error, traceback.tb_next)  # type: ignore[arg-type]
        self._tell(error, sys._getframe(1))

    def _fails_inside(self, _: float, error: BaseException | None = None) -> None:
        self._tell(error or sys.exc_info()[1], sys._getframe(1))

    def _tell(self, error: BaseException | None, frame: FrameType) -> None:
        try:
            if self._failed is not None and error is not None:
                self._failed(error, frame)
        except ours(Exception):
            guard.swallow("looking at a failure in a framework")
