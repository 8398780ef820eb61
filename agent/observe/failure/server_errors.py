"""Server errors that raised nothing: the innermost endpoint reports its response, and those around it pass it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..around import work
from ..call import callers

if TYPE_CHECKING:
    from types import FrameType

_MOST = 1_000

#: The running endpoints inside of which a response was reported: their frames, by address. Each is held until its call
#: ends, which the monitor of an endpoint always notices.
endpoints: dict[int, FrameType] = {}


def remember(frame: FrameType, response: object) -> None:
    """The endpoint that runs in `frame` has reported this response, so that the one around it does not."""
    _pass_on(frame)
    doing = work.current()
    if doing is not None:
        doing.response = response


def is_passed_on(frame: FrameType, response: object) -> bool:
    """Did an endpoint inside this one report it, or anything in the same piece of work? Call this once a call."""
    if ended(frame):
        _pass_on(frame)
        return True
    doing = work.current()
    return doing is not None and doing.response is response


def ended(frame: FrameType) -> bool:
    """The call in `frame` ends. Was a response reported inside of it?"""
    return bool(endpoints) and endpoints.pop(id(frame), None) is frame


def _pass_on(frame: FrameType) -> None:
    for caller, probe in callers.calls(frame.f_back):
        if probe.monitor["kind"] == "api":
            if len(endpoints) >= _MOST:
                endpoints.clear()
            endpoints[id(caller)] = caller
            return
