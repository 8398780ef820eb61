"""The headers of a trace on Celery's messages: what a task came with, and what goes out with those that it publishes.

They stand beside Celery's own, and once more in `headers`, where workers with the Sentry SDK look for them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ...observe.around import origin
from ...observe.event.represent import instance_dict
from ...traces import propagation
from ..signals import Receiver
from . import task_context

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What Celery does not count among a message's own headers, beside the attributes of a request.
_CELERYS = ("lang", "task", "argsrepr", "kwargsrepr", "compression")


def header(held: object, name: str) -> object:
    """What a task came with under this name; `held` is the `__dict__` of its request. None for nothing."""
    if type(held) is not dict:
        return None
    nested = held.get("headers")
    value = held.get(name)
    return nested.get(name) if value is None and type(nested) is dict else value


def add(signals: Any) -> Receiver:
    """Put them on each message that is published in a trace: by calls, retries, chains and callbacks."""

    def publish(headers: Any = None, **_: Any) -> None:
        if type(headers) is dict:
            carry(headers, instance_dict(task_context.running()[1]))

    return Receiver(signals.before_task_publish, publish, "sending a trace on with a task")


def carry(headers: dict[Any, Any], running: object) -> None:
    """`headers` are those of a message; of a task that publishes itself again, they are those that it came with.

    `running` is the `__dict__` of the request of the task that publishes, if one does.
    """

    def present(name: str) -> str:
        value = headers.get(name)
        if type(value) is not str:
            return ""
        if value != header(running, name):
            return value
        return origin.of_others(value) if name == origin.BAGGAGE else ""

    found = propagation.headers(present)
    if found:
        nested = headers.get("headers")
        own = nested if type(nested) is dict else _own(headers)
        headers.update(found)
        headers["headers"] = {**own, **found}


def _own(headers: Mapping[Any, Any]) -> dict[Any, Any]:
    """The headers that are not Celery's, which a worker collects where `headers` does not hold them already."""
    known = getattr(sys.modules.get("celery.app.task"), "Context", object).__dict__
    return {name: value for name, value in headers.items() if name not in known and name not in _CELERYS}
