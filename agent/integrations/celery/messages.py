"""The agent's header on a Celery message. It is added only where a key under `celery:` or `tasks:` needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...base import clocks
from ...base.interrupts import ours
from ...observe.event.represent import instance_dict
from ..signals import Receiver
from ..tasks.header import HEADER, CheckIn, Header, compose, parse, publishing
from . import task_context

if TYPE_CHECKING:
    from collections.abc import Callable


def add_headers(signals: Any, clock: Callable[[], float] = clocks.time) -> Receiver:
    """Put the header on each message that this process publishes."""

    def add(headers: Any = None, **_: Any) -> None:
        if type(headers) is dict:
            check_in = publishing.get() or _of_first_attempt(headers)
            headers[HEADER] = compose(_eta(headers.get("eta")) or clock(), check_in)

    return Receiver(signals.before_task_publish, add, "publishing a task")


def _of_first_attempt(headers: dict[Any, Any]) -> CheckIn | None:
    """The check-in of a task that publishes itself again, under its own id: still the same run of the entry."""
    _, request = task_context.running()
    header = of_request(request)
    if header is None or (instance_dict(request) or {}).get("id") != headers.get("id"):
        return None
    return header.check_in


def of_request(request: Any) -> Header | None:
    """Return the header of a task's request (`task.request_stack.top`)."""
    return parse((instance_dict(request) or {}).get(HEADER))


def of_main_process(request: Any) -> Header | None:
    """Return the header of a `celery.worker.request.Request`, which keeps the headers in a slot."""
    headers = getattr(request, "_request_dict", None)
    return parse(headers.get(HEADER)) if type(headers) is dict else None


def _eta(text: object) -> float | None:
    """Return the time before which a task with a countdown is not due."""
    if type(text) is not str:
        return None
    from datetime import datetime, timezone

    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ours(ValueError):
        return None
    return (when if when.tzinfo is not None else when.replace(tzinfo=timezone.utc)).timestamp()
