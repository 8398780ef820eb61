"""The piece of work that a context does, a request or a task, and what is noted of it while it goes on.

Entering and leaving costs the host two steps of a context variable; all else is made only where there is something to
note.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from ...base.interrupts import ours

if TYPE_CHECKING:
    from collections import deque
    from contextvars import Token

    from ..failure.reported import Told
    from .breadcrumbs import Line

#: How a piece of work ends: well, though something in it was reported, or with an exception that nobody dealt with.
WELL, ERRORED, CRASHED = 0, 1, 2


class Work:
    """Emptied by `leave`: a context that was copied into a background task does not keep the request alive."""

    __slots__ = ("about", "answer", "crumbs", "outcome", "told", "trace")

    def __init__(self, about: object) -> None:
        self.about: object = about  # the request; None for a task
        self.crumbs: deque[Line] | None = None
        self.outcome = WELL
        self.answer: object = None  # the last response that was reported as a server error
        self.told: Told | None = None  # the exception that it ended in, if that was reported as such
        self.trace: dict[str, str] | None = None  # see `traces`


_current: ContextVar[Work | None] = ContextVar("erp_agent_work", default=None)

if TYPE_CHECKING:
    Entered = tuple[Work, Token[Work | None]]


def current() -> Work | None:
    return _current.get()


def enter(about: object) -> Entered:
    """A piece of work begins; give what it returns to `leave`."""
    work = Work(about)
    return work, _current.set(work)


def leave(entered: Entered) -> None:
    work, token = entered
    work.about = work.answer = None
    try:
        _current.reset(token)
    except ours(ValueError):  # left in another context than entered: an ASGI handler may do so
        _current.set(None)


def note(outcome: int) -> None:
    """It has come to this, or to worse already."""
    work = _current.get()
    if work is not None and work.outcome < outcome:
        work.outcome = outcome
