"""Tornado, which is its own server: a request lasts as long as its handler runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...base import guard
from ...base.interrupts import ours
from ...hook.code import wrap
from ...observe.event.represent import instance_dict
from . import serving
from .install import function_of, web_of

if TYPE_CHECKING:
    from types import ModuleType

    from ...boot.engine import Engine


def install(_name: str, module: ModuleType, engine: Engine) -> list[Any]:
    """Called when tornado.web has been imported. Returns the changes, each with its undo."""
    web = web_of(engine)
    execute = function_of(module, "RequestHandler._execute")
    handle = function_of(module, "RequestHandler._handle_request_exception")
    if execute is None or handle is None:
        return []

    def begins(handler: Any) -> Any:
        try:
            web.serves()
            begun = serving.called((instance_dict(handler) or {}).get("request"))
            if begun is not None:
                begun.contexts = (handler,)
        except ours(Exception):
            guard.swallow("beginning a request")
            return None
        return begun

    def ends(begun: serving.Serving | None, failed: bool) -> None:
        if begun is not None and begun.contexts:
            begun.sent = (instance_dict(begun.contexts[0]) or {}).get("_status_code")
        web.returned(begun, failed)

    return [
        web,
        wrap.surround(execute, begins, ends, passed=["self"]),
        wrap.surround(handle, wrap.guarded(web.written.note), passed=["e"]),
    ]
