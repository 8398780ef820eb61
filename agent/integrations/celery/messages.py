"""What travels with a Celery message, in one header: when the task is due, and which check-in its end belongs to.

Only where `celery:` asks for it. The header is text, `DUE` or `DUE SLUG CHECK-IN BEGAN`, times in seconds of the epoch.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from ...base import guard
from ...base.interrupts import ours
from ...observe.event.represent import instance_dict
from . import task_context

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER = "erp_agent"
UID = "erp-sentry-agent-messages"
_LONGEST = 300


class CheckIn(NamedTuple):
    """One run of an entry of beat's schedule."""

    slug: str
    id: str  # 32 hexadecimal digits
    began: float  # seconds since the epoch


class Told(NamedTuple):
    """What a message said."""

    due: float  # seconds since the epoch
    check_in: CheckIn | None


#: What beat is publishing now.
publishing: ContextVar[CheckIn | None] = ContextVar("erp_agent_celery_check_in", default=None)


class Labels:
    """Puts the header on what this process publishes."""

    def __init__(self, signals: Any, clock: Callable[[], float] = time.time) -> None:
        self._signal = signals.before_task_publish
        self._clock = clock
        self._signal.connect(self._label, weak=False, dispatch_uid=UID)

    def undo(self) -> bool:
        self._signal.disconnect(self._label, dispatch_uid=UID)
        return True

    def _label(self, headers: Any = None, **_: Any) -> None:
        try:
            if type(headers) is not dict:
                return
            check_in = publishing.get() or _of_the_first_try(headers)
            headers[HEADER] = compose(_eta(headers.get("eta")) or self._clock(), check_in)
        except ours(Exception):
            guard.swallow("publishing a task")


def _of_the_first_try(headers: dict[Any, Any]) -> CheckIn | None:
    """A task that publishes itself again, under its own id, is still the same run of an entry."""
    _, request = task_context.running()
    told = of_request(request)
    if told is None or (instance_dict(request) or {}).get("id") != headers.get("id"):
        return None
    return told.check_in


def of_request(request: Any) -> Told | None:
    """What the message of a task's request (`task.request_stack.top`) said."""
    return parse((instance_dict(request) or {}).get(HEADER))


def of_main_process(request: Any) -> Told | None:
    """The same of a `celery.worker.request.Request`, which keeps the headers in a slot."""
    headers = getattr(request, "_request_dict", None)
    return parse(headers.get(HEADER)) if type(headers) is dict else None


def compose(due: float, check_in: CheckIn | None) -> str:
    if check_in is None:
        return "%.3f" % due
    return "%.3f %s %s %.3f" % (due, *check_in)


def parse(text: object) -> Told | None:
    """None for what is not ours: messages come from anywhere."""
    if type(text) is not str or len(text) > _LONGEST:
        return None
    words = text.split(" ")
    try:
        if len(words) == 1:
            return Told(float(words[0]), None)
        due, slug, identity, began = words
        return Told(float(due), CheckIn(slug, identity, float(began)))
    except ours(ValueError):
        return None


def _eta(text: object) -> float | None:
    """A task with a countdown waits in nobody's queue until then."""
    if type(text) is not str:
        return None
    from datetime import datetime, timezone

    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ours(ValueError):
        return None
    return (when if when.tzinfo is not None else when.replace(tzinfo=timezone.utc)).timestamp()
