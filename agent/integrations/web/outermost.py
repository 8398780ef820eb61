"""The function of the ERP that serves a request of which no framework shows a route or a view.

It is the outermost one of the ERP's own inside of the innermost application, or else that application. An application
is what gets WSGI's environ or ASGI's scope, and right after it a function.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ...base.slots import traceback_of
from ...observe.around import work
from ...observe.event.stack import module_of
from ...observe.event.the_erp import looks_like_the_erp
from . import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_DEEPEST = 1_000
_OWN = __package__.partition(".")[0] + "."


def of(now: serving.Serving, error: BaseException | None = None) -> str:
    """Its dotted path, "" while none is known.

    It is looked for where `error` has passed, or else on the stack of this thread; not once the request has failed, or
    has ended.
    """
    doing = work.current()
    if error is not None:
        now.function = _function(_passed(error), now) or now.function
    elif now.entered is not None and (doing is None or doing.failure is None or not now.function):
        now.function = _function(_callers(sys._getframe(1)), now, reached=True) or now.function
    return now.function


def _function(frames: Iterator[FrameType], now: serving.Serving, *, reached: bool = False) -> str:
    """Of these frames, innermost first. `reached`: only if they lead to the application or to the server."""
    outermost = ""
    for frame in frames:
        if frame is now.frame:
            return outermost
        path = frame.f_code.co_filename
        is_erps = looks_like_the_erp(path) and frame.f_code.co_name != "<module>"
        if _is_application(frame, now.request):
            return outermost or (_dotted(frame) if is_erps else "")
        if is_erps:
            outermost = _dotted(frame) or outermost
    return "" if reached else outermost


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    for _ in range(_DEEPEST):
        if frame is None:
            return
        yield frame
        frame = frame.f_back


def _passed(error: BaseException) -> Iterator[FrameType]:
    """The frames that `error` has passed, and then their callers."""
    traceback = traceback_of(error)
    frames: list[FrameType] = []
    while traceback is not None and len(frames) < _DEEPEST:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    yield from reversed(frames)
    if frames:
        yield from _callers(frames[0].f_back)


def _is_application(frame: FrameType, request: object) -> bool:
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount]
    for name, follows in zip(names, names[1:]):
        if name in serving.REQUESTS:  # the locals of no other frame are read: that may keep them alive
            given = frame.f_locals
            found = given.get(name)
            is_same = found is request or (type(found) is dict and serving.is_same(request, found))
            if is_same and callable(given.get(follows)):
                return True
    return False


def _dotted(frame: FrameType) -> str:
    module, _ = module_of(frame)
    if module is None or module.startswith(_OWN):
        return ""
    code = frame.f_code
    return f"{module}.{getattr(code, 'co_qualname', code.co_name)}"
