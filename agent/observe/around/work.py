"""The current piece of work, a request or a task, and what is remembered of it until it ends.

Entering and leaving costs the host two operations on a context variable. All else is created only when needed.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ...base.clocks import perf_counter
from ...base.interrupts import ours

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from contextvars import Token

    from ..call.repeats import Inside
    from ..failure.reported import Reported
    from .breadcrumbs import Line
    from .traces import Ids

#: The operation of tasks and jobs, as Sentry names it.
TASK = "queue.process"

#: How a piece of work ends: well, with something reported, or with an exception that nothing handled.
WELL, ERRORED, CRASHED = 0, 1, 2


def _nothing(_about: object, _name: str = "") -> object:
    return None


class Kind:
    """What pieces of work of one sort have in common: the requests of a framework, the tasks of a queue."""

    __slots__ = ("header", "method", "op", "route", "section")

    def __init__(
        self,
        op: str = "function",
        header: Callable[[Any, str], object] = _nothing,
        route: Callable[[Any], object] = _nothing,
        section: str = "",
        method: Callable[[Any], object] = _nothing,
    ) -> None:
        self.op = op  # Sentry's name of the operation: http.server, queue.process, …
        self.header = header  # (about, name in lower case) → the header that came with it, or None
        self.route = route  # (about) → `GET /orders/{number}`; nothing where no route is known
        self.method = method  # (about) → GET, POST …
        self.section = section  # of a task: the name of the section that has the facts about it


_PLAIN = Kind()


class Work:
    """One piece of work. `leave` empties it, so that a context copied into a background task keeps no request alive."""

    __slots__ = (
        "about", "began", "breadcrumbs", "called", "failure", "inside", "kind", "outcome", "response", "status", "trace"
    )  # fmt: skip

    def __init__(self, about: object, kind: Kind) -> None:
        self.about: object = about  # the request or the task
        self.kind = kind
        self.called = ""  # what it turned out to be, where the framework has found that out meanwhile
        self.began = perf_counter()
        self.inside: Inside | None = None  # how often what runs in it
        self.breadcrumbs: deque[Line] | None = None
        self.outcome = WELL
        self.status: int | None = None  # of the response
        self.response: object = None  # the last response that was reported as a server error
        self.failure: Reported | None = None  # the exception that it ended in, reported or expected
        self.trace: Ids | None = None  # see `traces`


doing: ContextVar[Work | None] = ContextVar("erp_agent_work", default=None)

#: Called whenever a piece of work begins, or has ended; they raise nothing.
begins: Callable[[], None] | None = None
ends: Callable[[], None] | None = None
#: Where pieces of work are traced: called with each that begins, and with each that ends; they raise nothing.
opens: Callable[[Work], None] | None = None
closes: Callable[[Work], None] | None = None

#: The name of the task that runs here, "" where none does.
task: Callable[[], str] = str


def _declares_nothing(_kind: type[BaseException]) -> bool:
    return False


#: Does the task that runs here declare that it may raise this exception, or a base class of it, without a failure?
declares: Callable[[type[BaseException]], bool] = _declares_nothing

if TYPE_CHECKING:
    Entered = tuple[Work, Token[Work | None]]


def current() -> Work | None:
    return doing.get()


def enter(about: object, kind: Kind = _PLAIN) -> Entered:
    """A piece of work begins. Pass the result to `leave`."""
    if begins is not None:
        begins()
    work = Work(about, kind)
    entered = work, doing.set(work)
    if opens is not None:
        opens(work)
    return entered


def leave(entered: Entered) -> None:
    work, token = entered
    if closes is not None:
        closes(work)
    work.about = work.response = work.inside = None
    try:
        doing.reset(token)
    except ours(ValueError):  # left in another context than entered: an ASGI handler may do so
        doing.set(None)
    if ends is not None:
        ends()


def note(outcome: int) -> None:
    """The outcome of the current piece of work is this, or a worse one noted before."""
    work = doing.get()
    if work is not None and work.outcome < outcome:
        work.outcome = outcome
