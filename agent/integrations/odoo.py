"""Odoo: the database, company and user of an event, calls of models and routes as operations, jobs of cron as pieces of
work, transactions that Odoo runs again, and exceptions that it makes a response of.

All is read as it lies in memory: a property of an environment may run a query.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..hook.code import wrap
from ..observe.around import work
from ..observe.event.represent import instance_dict
from .jobs import KIND, begins, ends, facts, failing, look, register
from .retried import Retried
from .web import frameworks, serving, views
from .web.install import function_of, web_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType, ModuleType

    from ..boot.engine import Engine

_LONGEST_CALL = 120  # a client may send anything


def install(name: str, module: ModuleType, engine: Engine) -> list[Any]:
    """Called when the module `name` of Odoo has been imported. Returns the changes, each with its undo."""
    register("odoo", provide, user)
    return list(_INSTALL[name](module, engine))


# ----------------------------------------------------------------------------------------------------------- requests


def _requests(module: ModuleType, engine: Engine) -> Iterator[Any]:
    yield web_of(engine)

    def dispatches(rule: Any) -> None:
        _serves(getattr(rule, "rule", ""), getattr(rule, "endpoint", None), None)

    def prepares(rule: Any, args: Any) -> None:
        _serves(getattr(rule, "rule", ""), getattr(rule, "endpoint", None), args)

    def handles(endpoint: Any, arguments: Any) -> None:  # up to Odoo 15
        routes = getattr(endpoint, "routing", {}).get("routes") or [""]
        _serves(routes[0], endpoint, arguments)

    yield from look(module, "Request._set_request_dispatcher", dispatches, "rule")
    yield from look(module, "Dispatcher.pre_dispatch", prepares, "rule", "args")
    yield from look(module, "WebRequest.set_handler", handles, "endpoint", "arguments")

    # By then, monitors have seen what left the transaction that they are around.
    for path, parameter in (
        ("HttpDispatcher.handle_error", "exc"),
        ("JsonRPCDispatcher.handle_error", "exc"),
        ("HttpRequest._handle_exception", "exception"),  # up to Odoo 15
        ("JsonRequest._handle_exception", "exception"),
    ):
        yield from look(module, path, _failed(engine), parameter)
    retried = Retried(engine)
    yield from retried.whole(function_of(module, "WebRequest._call_function"))  # up to Odoo 15
    for path in ("EndPoint.__call__", "Request._serve_ir_http", "Request._serve_ir_http_fallback"):
        yield from retried.tries(function_of(module, path))


def _rpc(module: ModuleType, engine: Engine) -> Iterator[Any]:
    """XML-RPC makes faults of exceptions."""
    for path in ("xmlrpc_handle_exception_int", "xmlrpc_handle_exception_string"):
        yield from look(module, path, _failed(engine), "e")


def _failed(engine: Engine) -> Callable[[object], None]:
    return failing(engine, lambda error: isinstance(error, _shown()))


def _shown() -> tuple[type, ...]:
    """Exceptions whose text Odoo shows to the user, or that make another page."""
    named = {
        "odoo.exceptions": ("UserError", "RedirectWarning"),
        "odoo.http": ("SessionExpiredException",),
        "werkzeug.exceptions": ("HTTPException",),
    }
    return tuple(
        kind
        for module, names in named.items()
        for name in names
        if isinstance(kind := getattr(sys.modules.get(module), name, None), type)
    )


def _serves(route: object, endpoint: Any, captured: object) -> None:
    now = serving.current()
    if now is not None and type(route) is str and type(now.known) is not _Call:
        method = getattr(endpoint, "func", None) or getattr(endpoint, "method", endpoint)
        now.known = frameworks.Known(route, views.dotted(getattr(method, "__func__", method)), captured)


class _Call(frameworks.Known):
    """A call of a model's method, and the company that it was sent with."""

    __slots__ = ("company",)

    def __init__(self, name: str, captured: object, company: object) -> None:
        super().__init__(name, name, captured, is_call=True)
        self.company = company


def _calls(module: ModuleType, engine: Engine) -> Iterator[Any]:
    """A method of a model is called, from the web client, by JSON-RPC or by XML-RPC."""

    def calls(model: Any, name: Any, kwargs: Any) -> None:
        now = serving.current()
        if now is None or type(now.known) is _Call:
            return
        owner = getattr(type(model), "_name", None)
        if type(owner) is str and type(name) is str and name.isidentifier() and len(name) <= _LONGEST_CALL:
            captured = now.known.captured if now.known is not None else None
            now.known = _Call(f"{owner}.{name}", captured, _first((kwargs or {}).get("context")))

    yield from look(module, "call_kw", calls, "model", "name", "kwargs")
    yield from Retried(engine).tries(function_of(module, "call_kw"))


# ------------------------------------------------------------------------------------------------------- transactions


def _retries(module: ModuleType, engine: Engine) -> Iterator[Any]:
    retried = Retried(engine)
    retrying = function_of(module, "retrying")
    yield from retried.whole(retrying, "func")
    if retrying is None:  # up to Odoo 15
        yield from retried.whole(function_of(module, "dispatch"))
        yield from retried.tries(function_of(module, "execute_cr"))


# --------------------------------------------------------------------------------------------------------------- cron


def _cron(module: ModuleType, engine: Engine) -> Iterator[Any]:
    engine.frameworks.work("odoo")

    def failed(error: object) -> None:
        if not isinstance(error, Exception):
            return
        work.note(work.CRASHED)
        if engine.frameworks.integrates("odoo"):
            doing = work.current()
            name = str(doing.about) if doing is not None and doing.kind is KIND else "cron"
            engine.frameworks.failed("task", error, operation=name, function="odoo.addons.base.models.ir_cron")

    def runs(cron_name: Any) -> work.Entered | None:
        return begins(f"cron {cron_name}"[:_LONGEST_CALL])

    def raised(error: BaseException, _frame: FrameType) -> None:  # from Odoo 18 on
        failed(error)

    callback = function_of(module, "ir_cron._callback")
    if callback is not None:
        yield wrap.surround(callback, wrap.guarded(runs), ends, passed=["cron_name"], failed=raised)
    yield from look(module, "ir_cron._handle_callback_exception", failed, "job_exception")


# ------------------------------------------------------------------------------------------------- what events contain


def provide() -> dict[str, object]:
    """Return facts for an event; registered with `context.register`."""
    doing = work.current()
    job = doing.about if doing is not None and doing.kind is KIND else None
    return facts({"database": _thread().get("dbname"), "company": _company()}, job, user())


def user() -> Mapping[str, object]:
    """Return the id of the user whose request is being served. Odoo's own thread keeps it until its next request."""
    number = _thread().get("uid") if work.current() is not None else None
    return {"id": number} if type(number) is int else {}


def _thread() -> dict[str, object]:
    """What Odoo has noted on this thread, or greenlet: `dbname`, `uid`. Registers no thread that is unknown."""
    threading: Any = sys.modules.get("threading")
    active = getattr(threading, "_active", None)
    return (instance_dict(active.get(threading.get_ident())) or {}) if type(active) is dict else {}


def _company() -> object:
    """The id of the first of the companies that the client has chosen, as far as it has sent them."""
    now = serving.current()
    if now is not None and type(now.known) is _Call:
        return now.known.company
    top = getattr(getattr(sys.modules.get("odoo.http"), "_request_stack", None), "top", None)
    request = instance_dict(top) or {}
    return _first((instance_dict(request.get("env", request.get("_env"))) or {}).get("context"))


def _first(given: object) -> object:
    chosen = dict.get(given, "allowed_company_ids") if isinstance(given, dict) else None
    return chosen[0] if type(chosen) in (list, tuple) and chosen else None


_INSTALL = {
    "odoo.addons.base.controllers.rpc": _rpc,
    "odoo.addons.base.models.ir_cron": _cron,
    "odoo.api": _calls,
    "odoo.http": _requests,
    "odoo.service.model": _retries,
}
