"""Django: the request and user of what is reported, the SDK's integration where there is a DSN, and `sentry_test`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .. import guard
from ..hook import patch
from ..observe import context
from . import django_context, wrapping

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType, ModuleType

    from ..engine import Engine


def install(name: str, module: ModuleType, engine: Engine) -> list[patch.Layer]:
    """Called when the module `name` of Django has been imported. Answers what undoes it."""
    context.register("django", django_context.provide)
    if name == "django.core.management":
        commands = module.get_commands
        return [wrapping.wrap(getattr(commands, "__wrapped__", commands), _with_sentry_test)]
    if name != "django.core.handlers.base":
        # Now, and not with the base: the SDK's integration patches the handler that has just been defined.
        engine.set_up_sdk("django")
        return []
    handler = module.BaseHandler.__dict__
    changes = [wrapping.wrap(handler["get_response"], _with_request)]
    if engine.sentry["dsn"] is None:
        changes.append(wrapping.wrap(handler["load_middleware"], _with_settings(engine)))
    if "get_response_async" in handler:
        changes.append(wrapping.wrap(handler["get_response_async"], _with_request_async))
    return changes


def _with_settings(engine: Engine) -> Callable[..., Any]:
    """A server begins: Django has its settings by now, and they may bring the DSN that nobody else gave."""

    def load(original: Callable[..., Any], handler: Any, *rest: Any, **options: Any) -> Any:
        before = type(handler).load_middleware
        if engine.follow_settings():
            engine.set_up_sdk("django")
        now = type(handler).load_middleware
        if now is not before:  # the SDK's, which has just come, and which calls this one again
            return now(handler, *rest, **options)
        return original(handler, *rest, **options)

    return load


def _with_request(original: FunctionType, handler: Any, request: Any) -> Any:
    token = django_context.enter(request)
    try:
        return original(handler, request)
    finally:
        _leave(token)


async def _with_request_async(original: FunctionType, handler: Any, request: Any) -> Any:
    token = django_context.enter(request)
    try:
        return await original(handler, request)
    finally:
        _leave(token)


_SDK = __package__.rpartition(".")[0] + ".deliver.sentry"


def _leave(token: django_context.Entered) -> None:
    sdk = sys.modules.get(_SDK)
    if sdk is not None:
        try:
            sdk.note_user(django_context.user())
        except Exception:
            guard.swallow("telling a transaction's user")
    django_context.leave(token)


def _with_sentry_test(original: FunctionType) -> dict[str, Any]:
    commands: dict[str, Any] = original()
    # A name of the host's own stays the host's.
    commands.setdefault("sentry_test", __package__ + ".erp_agent")
    return commands
