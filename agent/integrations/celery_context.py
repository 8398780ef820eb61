"""Facts of the Celery task that is running: its name, id, retries and queue, never its arguments."""

from __future__ import annotations

import sys

from ..observe.represent import instance_dict


def provide() -> dict[str, object]:
    """The provider for `context.register`. Says nothing until the host itself has loaded Celery."""
    state = sys.modules.get("celery._state")
    stack = getattr(state, "_task_stack", None)
    task = stack.top if stack is not None else None
    if task is None:
        return {}
    name = getattr(task, "name", None)
    if type(name) is not str:
        return {}
    facts: dict[str, object] = {"task": name}
    requests = getattr(task, "request_stack", None)
    request = instance_dict(requests.top) if requests is not None else None
    if request:
        for fact, attribute in (("id", "id"), ("root_id", "root_id"), ("parent_id", "parent_id")):
            value = request.get(attribute)
            if type(value) is str:
                facts[fact] = value
        retries = request.get("retries")
        if type(retries) is int:
            facts["retries"] = retries
        delivery = request.get("delivery_info")
        queue = delivery.get("routing_key") if type(delivery) is dict else None
        if type(queue) is str:
            facts["queue"] = queue
    return {"celery": facts, "transaction": name}
