"""How long Celery's tasks waited in their queue: from the time they were due until a worker begins them."""

from __future__ import annotations

from typing import Any

from ...observe.around import traces
from ...observe.event.represent import instance_dict
from ..tasks import waits
from . import messages


class Waits(waits.Waits):
    def begin(self, task: Any = None, **_: Any) -> None:
        """Receives `task_prerun`."""
        request = task.request_stack.top
        header = messages.of_request(request)
        if header is not None:
            traces.note(due=header.due)
            self.begins(str(task.name), _queue(request), header.due)


def _queue(request: Any) -> str:
    """Return the routing key, which is the queue's name unless the ERP routes by something else."""
    delivery = (instance_dict(request) or {}).get("delivery_info")
    key = delivery.get("routing_key") if type(delivery) is dict else None
    return key if type(key) is str else ""
