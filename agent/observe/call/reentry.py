"""Keeps a report, or a call of a context provider, from starting again in what it calls, such as a host's `__str__`.

Only the stack shows whose call that is: a thread may switch to another greenlet or task while ours is at work. So a
thread counts what is in progress in it, and the stack is read only where the count is not zero.
"""

from __future__ import annotations

from _thread import _local
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType


class Running(_local):
    """How many are in progress in this thread, in all of its greenlets."""

    number = 0


def is_within(frame: FrameType | None, space: dict[str, Any]) -> bool:
    """Does a function of the module with these globals run in `frame` or in one of its callers?"""
    while frame is not None:
        if frame.f_globals is space:
            return True
        frame = frame.f_back
    return False
