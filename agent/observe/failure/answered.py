"""Server errors that raised nothing: the innermost endpoint reports its answer, those around it pass it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..around import work
from ..call import callers

if TYPE_CHECKING:
    from types import FrameType

_MOST = 1_000

#: The endpoints under way inside of which an answer was reported: their frames, by address. Each is held until its call
#: ends, which the monitor of an endpoint always sees.
around: dict[int, FrameType] = {}


def note(frame: FrameType, response: object) -> None:
    """The endpoint that runs in `frame` has reported this answer: the one that encloses it need not."""
    _pass_on(frame)
    doing = work.current()
    if doing is not None:
        doing.answer = response


def is_passed_on(frame: FrameType, response: object) -> bool:
    """Was it reported by an endpoint inside this one, in the same piece of work at least? Asked once a call."""
    if ended(frame):
        _pass_on(frame)
        return True
    doing = work.current()
    return doing is not None and doing.answer is response


def ended(frame: FrameType) -> bool:
    """The call in `frame` ends. Was an answer reported inside of it?"""
    return bool(around) and around.pop(id(frame), None) is frame


def _pass_on(frame: FrameType) -> None:
    for caller, owner in callers.calls(frame.f_back):
        monitor = getattr(owner, "monitor", None)
        if monitor is not None and monitor["kind"] == "api":
            if len(around) >= _MOST:
                around.clear()
            around[id(caller)] = caller
            return
