"""Facts about the running Celery task: its name, id, retries and queue, never its arguments."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ...observe.event.represent import instance_dict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: In a worker's main process, the request that it handles in place of a pool process that was lost.
_about: ContextVar[Any] = ContextVar("erp_agent_celery_request", default=None)


def about() -> Any:
    """Return the request that this main process handles; None elsewhere."""
    return _about.get()


def about_request(original: Callable[..., Any], request: Any, *arguments: Any, **options: Any) -> Any:
    """Wrapper of methods of `celery.worker.request.Request`."""
    token = _about.set(request)
    try:
        return original(request, *arguments, **options)
    finally:
        _about.reset(token)


def running() -> tuple[Any, Any]:
    """Return the running task and its request; None for both where no task runs or Celery is not loaded."""
    stack = getattr(sys.modules.get("celery._state"), "_task_stack", None)
    task = stack.top if stack is not None else None
    requests = getattr(task, "request_stack", None)
    return task, requests.top if requests is not None else None


def request_of(task: Any) -> dict[str, object] | None:
    """What Celery knows of the running task's message."""
    stack = getattr(task, "request_stack", None)
    return instance_dict(stack.top) if stack is not None else None


def provide() -> dict[str, object]:
    """Return facts for an event; registered with `context.register`. Empty until the host has loaded Celery."""
    task, request = running()
    if task is None:
        return _of_the_main_process()
    name = getattr(task, "name", None)
    if type(name) is not str:
        return {}
    return {"celery": _facts(name, instance_dict(request) or {}), "transaction": name}


def _of_the_main_process() -> dict[str, object]:
    request = _about.get()
    headers = getattr(request, "_request_dict", None)  # a slot
    name = headers.get("task") if type(headers) is dict else None
    if type(headers) is not dict or type(name) is not str:
        return {}
    delivery = getattr(request, "_delivery_info", None)
    return {"celery": _facts(name, {**headers, "delivery_info": delivery}), "transaction": name}


def _facts(name: str, request: Mapping[str, object]) -> dict[str, object]:
    facts: dict[str, object] = {"task": name}
    for fact, attribute in (("id", "id"), ("root_id", "root_id"), ("parent_id", "parent_id")):
        value = request.get(attribute)
        if type(value) is str:
            facts[fact] = value
    retries = request.get("retries")
    if type(retries) is int:
        facts["retries"] = retries
    delivery = request.get("delivery_info")
    delivery = delivery if type(delivery) is dict else {}
    queue = delivery.get("routing_key")
    if type(queue) is str:
        facts["queue"] = queue
    if delivery.get("redelivered") is True:
        facts["redelivered"] = True
    return facts
