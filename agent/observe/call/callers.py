"""The monitored calls that a frame is in, read from the stack itself: their code is known as monitored."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ...base import places
from ...base.model import SEVERITIES
from ...hook.code import patch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType, TracebackType

    from ...base.model import MonitorData
    from .verdict import Verdict

_DEEPEST = 2000

_PACKAGE = places.PACKAGE + os.sep

#: What the Sentry SDK wraps around the functions of a framework, itself or by its helpers: a third of a Django request.
_WRAPPERS = os.sep + os.path.join("sentry_sdk", "")

#: Calls that a report needs below the one that fails. With fewer left of the stack, a call further out reports.
_ROOM = 100


def calls(frame: FrameType | None) -> Iterator[tuple[FrameType, Verdict]]:
    """The monitored calls that `frame` and its callers are in, innermost first: (their frame, their probe)."""
    trampolines, injected = patch.trampoline_ids, patch.injected_ids
    for _ in range(_DEEPEST):
        if frame is None:
            return
        code = frame.f_code
        key = id(code)
        if key in trampolines or key in injected:
            probe = probe_of(code)
            if probe is not None:
                yield frame, probe
        frame = frame.f_back


def probe_of(code: CodeType) -> Verdict | None:
    """The probe in this code. Integrations patch functions too, and what was put in for a time encloses nothing."""
    layer = patch.trampoline_of(code) or patch.injected_in(code)
    owner: Any = layer.owner if layer is not None else None
    return None if getattr(owner, "live", True) else owner


def operations(frame: FrameType | None) -> list[str]:
    """The operations of the monitored calls that `frame` and its callers are in, outermost first."""
    return [probe.called(each).operation for each, probe in calls(frame)][::-1]


def own_code(code: CodeType) -> bool:
    """Is this code the agent's, or the SDK's around the ERP's, which reports leave out?"""
    path = code.co_filename
    return (
        id(code) in patch.trampoline_ids or path.startswith(_PACKAGE) or _WRAPPERS in path or path == patch.PASSED_OVER
    )


def in_package(code: CodeType) -> bool:
    """Was this code written in the agent's own files?"""
    return code.co_filename.startswith(_PACKAGE)


def placed(monitor: MonitorData, frame: FrameType | None) -> MonitorData:
    """The monitor. Without a module, it gets that of the nearest enclosing monitored call which has one."""
    if monitor["module"] is None:
        for _, probe in calls(frame):
            around = probe.monitor
            if around["module"] is not None:
                return {**monitor, "module": around["module"], "owner": around["owner"]}
    return monitor


def expect(kind: type[BaseException], frame: FrameType | None) -> bool:
    """Is this exception no failure to the monitored calls around? The nearest that names it, or its module, decides."""
    for around, probe in calls(frame):
        stance = probe.terms.severities.stance_on(kind) if probe._applies_to(around) else None
        if stance is not None:
            return stance not in SEVERITIES
    return False


def lack_room(error: BaseException, traceback: TracebackType | None, frame: FrameType) -> bool:
    """Is the stack exhausted so near to this call that a monitored call further out had better report it?

    As much of the stack is left here as was used from here on, which the traceback shows.
    """
    if not issubclass(type(error), RecursionError):
        return False
    for _ in range(_ROOM):
        if traceback is None:
            break
        traceback = traceback.tb_next
    if traceback is not None:
        return False
    return any(probe.terms.severities.of_error(error) is not None for _, probe in calls(frame.f_back))
