"""The monitored calls that a frame is in, read from the stack itself: their code is known as monitored."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from ...base import places
from ...hook.code import patch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType, TracebackType

    from ...base.model import MonitorData

_DEEPEST = 2000


def calls(frame: FrameType | None) -> Iterator[tuple[FrameType, Any]]:
    """The monitored calls that `frame` and its callers are in, innermost first: (their frame, who watches it)."""
    trampolines, injected = patch.trampoline_ids, patch.injected_ids
    for _ in range(_DEEPEST):
        if frame is None:
            return
        code = frame.f_code
        key = id(code)
        if key in trampolines or key in injected:
            layer = patch.trampoline_of(code) or patch.injected_in(code)
            if layer is not None:
                yield frame, layer.owner
        frame = frame.f_back


def enclosing(frame: FrameType | None) -> list[str]:
    """The operations of the monitored calls that `frame` and its callers are in, outermost first."""
    return [owner.called(each).operation for each, owner in calls(frame) if hasattr(owner, "called")][::-1]


def enclosing_monitors(frame: FrameType | None) -> Iterator[MonitorData]:
    """The monitors of the monitored calls that `frame` and its callers are in, innermost first."""
    for _, owner in calls(frame):
        monitor = getattr(owner, "monitor", None)
        if monitor is not None:
            yield cast("MonitorData", monitor)


_PACKAGE = places.PACKAGE + os.sep


#: What the Sentry SDK wraps around the functions of a framework, itself or by its helpers: a third of a Django request.
_WRAPPERS = os.sep + os.path.join("sentry_sdk", "")


def own_code(code: CodeType) -> bool:
    """Is this code of ours, or of the SDK's around the ERP's, to be left out of what is reported?"""
    path = code.co_filename
    return (
        id(code) in patch.trampoline_ids or path.startswith(_PACKAGE) or _WRAPPERS in path or path == patch.PASSED_OVER
    )


def in_package(code: CodeType) -> bool:
    """Was this code written in the agent's own files?"""
    return code.co_filename.startswith(_PACKAGE)


def placed(monitor: MonitorData, frame: FrameType | None) -> MonitorData:
    """The monitor, in the module of the nearest enclosing one that has a module, where it has none of its own."""
    if monitor["module"] is None:
        for around in enclosing_monitors(frame):
            if around["module"] is not None:
                return {**monitor, "module": around["module"], "owner": around["owner"]}
    return monitor


#: Calls that a report needs below the one that fails: where fewer are left of the stack, it is left to one further out.
_ROOM = 100


def lack_room(error: BaseException, traceback: TracebackType | None, frame: FrameType) -> bool:
    """Is the stack exhausted so near to this call that a report is better made further out, and is there who makes it?

    As much is left of it here as was used from here on, which the traceback shows.
    """
    if not issubclass(type(error), RecursionError):
        return False
    for _ in range(_ROOM):
        if traceback is None:
            break
        traceback = traceback.tb_next
    if traceback is not None:
        return False
    for _, owner in calls(frame.f_back):
        if hasattr(owner, "terms") and owner.terms.severities.of_error(error) is not None:
            return True
    return False
