"""Installs what Django needs: pieces of work, failures and users of requests, the SDK's integration if needed, and the
command `sentry_test`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ...base import guard
from ...base.interrupts import ours
from ...hook.code import wrap
from ...observe.around import context, people, traces, work
from ...observe.event.represent import instance_dict
from ..signals import Receiver
from ..web import facts, serving
from . import failures as django_failures
from . import request_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType, ModuleType

    from ...boot.engine import Engine
    from ...boot.tracing import Tracing
    from ...hook.code import patch

    Changes = list[patch.Layer | Any]


def install(name: str, module: ModuleType, engine: Engine) -> Changes:
    """Called when the module `name` of Django has been imported. Returns the changes, each with its undo."""
    context.register("django", request_context.provide)
    context.register("trace", traces.provide)
    people.current["django"] = request_context.user
    if name == "django.core.management":
        commands = module.get_commands
        changes: Changes = [wrap.wrap(getattr(commands, "__wrapped__", commands), _with_sentry_test)]
        execute = sys.modules["django.core.management.base"].BaseCommand.__dict__["execute"]
        return [*changes, _traced(execute, engine.frameworks.tracing)]
    if name == "rest_framework.views":
        handle = module.APIView.__dict__["handle_exception"]
        return [_failures(engine).responses(handle, "exc")] if engine.frameworks.integrates("django") else []
    if name != "django.core.handlers.base":
        changes = []
        if name == "django.core.handlers.wsgi" and engine.frameworks.integrates("django"):
            failures = _failures(engine)
            changes = [*failures.files(module.WSGIHandler.__dict__["__call__"]), failures]
        # Here, and not with the base: the SDK's integration patches the handler that has just been defined.
        engine.frameworks.serve("django")
        return changes
    handler = module.BaseHandler.__dict__
    changes = [
        wrap.wrap(handler["get_response"], _with_request(engine)),
        wrap.wrap(handler["load_middleware"], _with_settings(engine)),
    ]
    if "get_response_async" in handler:
        changes.append(wrap.wrap(handler["get_response_async"], _with_request_async(engine)))
    if engine.frameworks.integrates("django"):
        failures = _failures(engine)
        changes.append(failures.responses(handler["process_exception_by_middleware"], "exception"))
        signal = sys.modules["django.core.signals"].got_request_exception
        changes.append(Receiver(signal, failures.received, "reporting a request that failed"))
        changes += failures.watch(sys.modules["django.http.response"].StreamingHttpResponse)
    return changes


def _traced(execute: FunctionType, tracing: Tracing) -> patch.Layer:
    """Each command is a trace, but ours."""

    def enter(command: Any) -> Any:
        module = type(command).__module__
        if module.startswith(__package__.partition(".")[0] + "."):
            return None
        return tracing.begin_alone("command", "manage.py " + module.rpartition(".")[2])

    def leave(made: Any, failed: bool) -> None:
        if made is not None:
            tracing.end_alone(made, failed=failed)

    return wrap.surround(execute, enter, leave, passed=["self"])


def _failures(engine: Engine) -> django_failures.Failures:
    return django_failures.Failures(engine.frameworks.failed)


def _with_settings(engine: Engine) -> Callable[..., Any]:
    """When a server begins, Django has its settings, which may hold the DSN or have set up a client of the host's."""

    def load(original: Callable[..., Any], handler: Any, *rest: Any, **options: Any) -> Any:
        before = type(handler).load_middleware
        try:
            engine.frameworks.serve("django")
        except ours(Exception):
            guard.swallow("beginning to serve")
        now = type(handler).load_middleware
        if now is not before:  # the SDK's, installed just now, which calls this one again
            return now(handler, *rest, **options)
        return original(handler, *rest, **options)

    return load


def _with_request(engine: Engine) -> Callable[..., Any]:
    def serve(original: FunctionType, handler: Any, request: Any) -> Any:
        entered = _enter(request)
        try:
            return _status(original(handler, request))
        finally:
            _leave(engine, entered)

    return serve


def _with_request_async(engine: Engine) -> Callable[..., Any]:
    async def serve(original: FunctionType, handler: Any, request: Any) -> Any:
        entered = _enter(request)
        try:
            return _status(await original(handler, request))
        finally:
            _leave(engine, entered)

    return serve


def _enter(request: Any) -> work.Entered | None:
    """Begin a piece of work; None where the server that called Django has begun it, and will end it."""
    held = instance_dict(request) or {}
    if serving.adopt(request, held.get("environ", held.get("scope"))):
        return None
    return work.enter(request, request_context.KIND)


def _status(response: Any) -> Any:
    doing = work.current()
    if doing is not None:
        status = getattr(response, "status_code", None)
        doing.status = status if type(status) is int else None
    return response


def _leave(engine: Engine, entered: work.Entered | None) -> None:
    sdk = sys.modules.get(facts.SDK)
    if sdk is not None:
        try:
            sdk.note_user(request_context.user)
        except ours(Exception):
            guard.swallow("setting a transaction's user")
    if entered is None:
        return
    work.leave(entered)
    if engine.frameworks.sessions is not None:
        try:
            engine.frameworks.sessions.add(entered[0].outcome)
        except ours(Exception):
            guard.swallow("counting a request")


def _with_sentry_test(original: FunctionType) -> dict[str, Any]:
    commands: dict[str, Any] = original()
    # A command of the host's with this name stays.
    commands.setdefault("sentry_test", __package__.partition(".")[0] + ".cli.django")
    return commands
