"""The monitored calls that a frame is in, read from the stack itself: their code is known as monitored."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from ..hook import patch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

    from ..model import MonitorData

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


_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


#: What the Sentry SDK wraps around the functions of a framework, itself or by its helpers: a third of a Django request.
_WRAPPERS = os.sep + os.path.join("sentry_sdk", "")


#: The import system's own frames, and those of ours that pass for them: `warnings.warn(stacklevel=2)` passes them over.
PASSED_OVER = "<frozen importlib._bootstrap>"


def own_code(code: CodeType) -> bool:
    """Is this code of ours, or of the SDK's around the ERP's, to be left out of what is reported?"""
    path = code.co_filename
    return id(code) in patch.trampoline_ids or path.startswith(_PACKAGE) or _WRAPPERS in path or path == PASSED_OVER


def in_package(code: CodeType) -> bool:
    """Was this code written in the agent's own files?"""
    return code.co_filename.startswith(_PACKAGE)
