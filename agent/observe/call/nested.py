"""Parts of ours that must not begin again in what they themselves call: a report in the host's `__str__`, say.

Whose call that is, only the stack knows: a thread may be one greenlet or task now and another a moment later, and may
have been changed into either while we were at it. So a thread counts what is under way in it; only where that is
something, the stack is looked at.
"""

from __future__ import annotations

from _thread import _local
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType


class UnderWay(_local):
    """How many are under way in this thread, by all of its greenlets."""

    number = 0


def is_within(frame: FrameType | None, space: dict[str, Any]) -> bool:
    """Does a function of the module with these globals run in `frame` or in one of its callers?"""
    while frame is not None:
        if frame.f_globals is space:
            return True
        frame = frame.f_back
    return False
