"""Patches functions of frameworks: calls ours instead, watches how they end, or runs ours before the first call."""

import sys

from ...base import clocks, guard
from ...base.interrupts import ours
from ...base.slots import drop_first_frame, traceback_of
from . import patch, trampoline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from types import CodeType, FrameType, FunctionType
    from typing import Any, Optional

    Failed = Callable[[BaseException, FrameType], None]

_WRAP = trampoline.Features(wrap=True)
_BEFORE = trampoline.Features(span=True)


def wrap(function: "FunctionType", wrapper: "Callable[..., Any]", *, warns: bool = False) -> patch.Layer:
    """Have `wrapper(original, *arguments)` called instead; a coroutine function where `function` is one.

    `warns`: `function` may warn its caller, so that our frames must pass for the import system's. Decorate `wrapper`
    with `passed_over` then.
    """
    values = {"wrap": wrapper, "fail": trampoline.Callback(lambda _: _without_trampoline(sys._getframe(1)))}
    return patch.patch_function(function, _Owner(_WRAP, values, warns=warns))


def passed_over(function: "Any") -> "Any":
    function.__code__ = function.__code__.replace(co_filename=patch.PASSED_OVER)
    return function


def watch(
    function: "FunctionType",
    *,
    returned: "Optional[Callable[..., None]]" = None,
    passed: "Sequence[str]" = (),
    failed: "Optional[Failed]" = None,
) -> patch.Layer:
    """Have `returned(result, *arguments)` called after a success, with the parameters that `passed` names.

    `failed` is called while an exception leaves `function`, with the frame that holds its arguments. Where `function`
    can be injected into, no frame of ours lies in between.
    """

    def succeeds(result: object, _: float, *arguments: object) -> None:
        try:
            if returned is not None:
                returned(result, *arguments)
        except ours(Exception):
            guard.swallow("looking at what a framework returns")

    code = function.__code__
    features = trampoline.Features(check=tuple(map(code.co_varnames.index, passed)) if returned is not None else None)
    values = {"clock": clocks.IN_CODE[0], "check": trampoline.Callback(succeeds)}
    return _observe(function, features, values, failed, code.co_varnames[: code.co_argcount])


def surround(
    function: "FunctionType",
    enter: "Callable[..., object]",
    leave: "Callable[[Any, bool], None]" = lambda *_: None,
    *,
    passed: "Sequence[str]" = (),
    failed: "Optional[Failed]" = None,
) -> patch.Layer:
    """Have `enter(*arguments)` called as `function` begins, and `leave(what enter returned, failed?)` as it ends.

    `enter` gets the parameters that `passed` names. Where it returned None, `leave` is not called after a success.
    Neither may raise. `failed` is as in `watch`, and comes before `leave`. Not for asynchronous generators. A generator
    begins when it is first read; one that is closed early may not call `leave`.
    """

    def left(_start: float, _result: object, entered: object, failed: bool) -> None:
        leave(entered, failed)

    code = function.__code__
    positions = tuple(map(code.co_varnames.index, passed))
    values = {"enter": trampoline.Callback(enter), "leave": trampoline.Callback(left)}
    return _observe(function, trampoline.Features(span=True, entering=positions), values, failed)


def guarded(function: "Callable[..., Any]") -> "Callable[..., Any]":
    """`function` for `surround`: what it raises is swallowed, and then it returns None."""

    def enter(*arguments: "Any") -> "Any":
        try:
            return function(*arguments)
        except ours(Exception):
            guard.swallow("looking at a call in a framework")
            return None

    return enter


def _observe(
    function: "FunctionType",
    features: trampoline.Features,
    values: "dict[str, Any]",
    failed: "Optional[Failed]",
    wanted: "Collection[str]" = (),
) -> patch.Layer:
    def fails(_: float) -> None:
        report(_without_trampoline(sys._getframe(1)), sys._getframe(1))

    def fails_inside(_: float, error: "BaseException | None" = None) -> None:
        report(error or sys.exc_info()[1], sys._getframe(1))

    def report(error: "BaseException | None", frame: "FrameType") -> None:
        try:
            if failed is not None and error is not None:
                failed(error, frame)
        except ours(Exception):
            guard.swallow("looking at a failure in a framework")

    inside = {**values, "fail": trampoline.Callback(fails_inside)}
    return patch.patch_function(
        function, _Owner(features, {**values, "fail": trampoline.Callback(fails)}, inside, wanted)
    )


def before_first_call(function: "FunctionType", wake: "Callable[[], None]") -> patch.Layer:
    """Call `wake` at the first call of `function`, which is unpatched again by then.

    `wake` raises nothing. It may patch `function`: that counts from the second call on.
    """

    def enter() -> None:
        layer.undo()
        wake()

    def fail(_: float) -> None:
        _without_trampoline(sys._getframe(1))

    # Not injected: it is there for one call.
    layer = patch.patch_function(function, _Owner(_BEFORE, {"fail": fail, "enter": enter, "leave": lambda *_: None}))
    return layer


class _Owner:
    """Patches by a trampoline with `values`; by injection where `inside` has the values for that."""

    def __init__(
        self,
        features: trampoline.Features,
        values: "Mapping[str, Any]",
        inside: "Mapping[str, Any] | None" = None,
        wanted: "Collection[str]" = (),
        *,
        warns: bool = False,
    ) -> None:
        self._features = features
        self._values = values
        self._inside = inside
        self._wanted = wanted
        self._warns = warns

    def make(self, original: "FunctionType") -> "CodeType":
        code = trampoline.build(original, self._features, self._values)
        return code.replace(co_filename=patch.PASSED_OVER) if self._warns else code

    def inject(self, code: "CodeType") -> "CodeType | None":
        if self._inside is None:
            return None
        from . import inject  # which a process that only waits for a first call does not load

        return inject.inject(code, self._features, self._inside, self._wanted)


def _without_trampoline(frame: "FrameType") -> "BaseException | None":
    """Return the exception being handled, whose traceback no longer begins with `frame`, a trampoline's."""
    error = sys.exc_info()[1]
    traceback = traceback_of(error) if error is not None else None
    if trampoline.LEAVES_NO_FRAME and traceback is not None and traceback.tb_frame is frame:
        drop_first_frame(error)  # type: ignore[arg-type]
    return error
