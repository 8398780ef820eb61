"""Frappe: the site and user of an event, calls as operations, background and scheduled jobs as pieces of work, and
exceptions that its WSGI application makes a response of.

All is read as it lies in memory: `frappe.local` holds what belongs to a request or job.
"""

from __future__ import annotations

import hashlib
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ..base.interrupts import ours
from ..hook.code import wrap
from ..observe.around import work
from ..observe.event.represent import instance_dict, type_name
from .jobs import KIND, begins, ends, facts, failing, look, register
from .retried import Retried
from .web import frameworks, serving
from .web.install import function_of, web_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType, ModuleType

    from ..boot.engine import Engine

_LONGEST_NAME = 140  # as Frappe has it; a client may send anything

#: The site and the user of the background job that runs here: `frappe.local` is empty once it has failed. The third is
#: how many tries of it run, each inside the one before.
_job: ContextVar[tuple[object, object, int]] = ContextVar("erp_agent_frappe", default=(None, None, 0))


def install(name: str, module: ModuleType, engine: Engine) -> list[Any]:
    """Called when the module `name` of Frappe has been imported. Returns the changes, each with its undo."""
    register("frappe", provide, user)
    return list(_INSTALL[name](module, engine))


def _nothing(_module: ModuleType, _engine: Engine) -> Iterator[Any]:
    return iter(())


# ----------------------------------------------------------------------------------------------------------- requests


def _application(module: ModuleType, engine: Engine) -> Iterator[Any]:
    yield web_of(engine)
    yield from look(module, "handle_exception", _failed(engine), "e")


def _error_page(module: ModuleType, engine: Engine) -> Iterator[Any]:
    """A page of the website that failed."""
    yield from look(module, "ErrorPage.__init__", _failed(engine), "exception")


def _failed(engine: Engine) -> Callable[[object], None]:
    # Frappe's own criterion: an exception without a status becomes a 500.
    return failing(engine, lambda error: getattr(error, "http_status_code", 500) < 500)


def _handler(module: ModuleType, _engine: Engine) -> Iterator[Any]:
    def calls(cmd: Any) -> None:
        if type(cmd) is str and cmd.replace(".", "_").isidentifier() and len(cmd) <= _LONGEST_NAME:
            _serves(cmd, "", True)

    yield from look(module, "execute_cmd", calls, "cmd")


def _api(module: ModuleType, _engine: Engine) -> Iterator[Any]:
    def handles() -> None:
        now = serving.current()
        if now is not None:
            _serves(*_name_of(str(now.request.get("PATH_INFO", ""))))

    yield from look(module, "handle", handles)


def _name_of(path: str) -> tuple[str, str, bool]:
    """The name of a call of `/api`: that of its method, or the route of a document. The document's name is second.

    The third: is it a method's?
    """
    parts = path.strip("/").split("/")
    end = 2 if parts[1:2] in (["v1"], ["v2"]) else 1
    head, kind, rest = "/" + "/".join(parts[:end]), "".join(parts[end : end + 1]), parts[end + 1 :]
    if kind == "method" and len(rest) == 1 and rest[0].replace(".", "_").isidentifier():
        return rest[0][:_LONGEST_NAME], "", True
    if kind not in ("method", "resource", "document", "doctype") or not rest:
        return head + "/{path}", "/".join(parts[end:]), False
    doctype = rest[0][:_LONGEST_NAME] if rest[0].replace(" ", "").replace("-", "").isalnum() else "{doctype}"
    return "/".join([head, kind, doctype, *["{name}"][: len(rest) - 1]]), "/".join(rest[1:]), False


def _website(module: ModuleType, _engine: Engine) -> Iterator[Any]:
    def serves() -> None:
        now = serving.current()
        if now is not None and now.known is None:
            path = str(now.request.get("PATH_INFO", ""))
            head = "/app/" if path.startswith("/app/") else "/"
            _serves(head + "{path}", path[len(head) :])

    yield from look(module, "get_response", serves)


def _serves(route: str, private: str = "", is_call: bool = False) -> None:
    """`private`: the part of the path that may hold the name of a document, such as a customer's."""
    now = serving.current()
    if now is not None and route:
        captured = {"secret": private} if private else None  # this name has it masked in the path
        now.known = frameworks.Known(route, route if is_call else "", captured, is_call=is_call)


# --------------------------------------------------------------------------------------------------------------- jobs


def _jobs(module: ModuleType, engine: Engine) -> Iterator[Any]:
    engine.frameworks.work("frappe")
    function = function_of(module, "execute_job")
    if function is None:
        return

    def enter(site: Any, method: Any, user: Any) -> Any:
        if type(method) is not str:
            method = f"{method.__module__}.{method.__qualname__}"
        entered = begins(method)
        _is_called(method)
        _, whose, tries = _job.get()
        return entered, _job.set((site, whose if tries else user, tries + 1))  # Frappe forgets the user in the next try

    def leave(begun: Any, failed: bool) -> None:
        if begun is None:
            return
        entered, token = begun
        try:
            _job.reset(token)
        except ours(ValueError):  # in another context
            _job.set((None, None, 0))
        ends(entered, failed)

    def fails(error: BaseException, _frame: FrameType) -> None:
        if _job.get()[2] <= 1:  # each try that began another one may fail with an exception of its own
            _fails(engine, error)

    yield wrap.surround(function, wrap.guarded(enter), leave, passed=["site", "method", "user"], failed=fails)
    yield from Retried(engine).whole(function, recursive=True)


def _scheduled(module: ModuleType, engine: Engine) -> Iterator[Any]:
    """Every scheduled job is run by the same background job, which raises nothing."""

    def begins(job: Any) -> None:
        method = (instance_dict(job) or {}).get("method")
        if type(method) is str:
            _is_called(method)

    def notes(status: Any) -> None:
        if status == "Failed":
            _fails(engine, sys.exc_info()[1])

    yield from look(module, "ScheduledJobType.execute", begins, "self")
    yield from look(module, "ScheduledJobType.log_status", notes, "status")


def _is_called(method: str) -> None:
    doing = work.current()
    if doing is not None and doing.kind.op == KIND.op:
        doing.called = method


def _fails(engine: Engine, error: BaseException | None) -> None:
    doing = work.current()
    if isinstance(error, Exception) and doing is not None and doing.kind.op == KIND.op:
        name = doing.called or "job"
        engine.frameworks.failed("task", error, operation=name, function=name)


# ------------------------------------------------------------------------------------------------- what events contain


def provide() -> dict[str, object]:
    """Return facts for an event; registered with `context.register`."""
    doing = work.current()
    return facts({"site": _site()}, doing.called if doing is not None else None, user())


def user() -> Mapping[str, object]:
    """Return the user. Frappe identifies users by their e-mail addresses: a hash of it is the id."""
    session = _local("session")
    name = dict.get(session, "user") if isinstance(session, dict) else _job.get()[1]
    if type(name) is not str or name in ("", "Guest"):
        return {}
    if "@" not in name:
        return {"id": name, "username": name}
    digest = hashlib.sha256(f"{_site()} {name}".encode()).hexdigest()[:16]
    return {"id": digest, "username": name, "email": name}


def _site() -> object:
    return _local("site") or _job.get()[0]


def _local(name: str) -> object:
    """What `frappe.local`, of Werkzeug, has under a name in this thread or greenlet; nothing is made for it."""
    local: Any = getattr(sys.modules.get("frappe"), "local", None)
    if local is None or type_name(type(local)) not in _LOCALS:
        return None
    return getattr(local, name, None)


#: `Local` only looks its names up in a mapping of the current context, and raises AttributeError for one it lacks.
_LOCALS = ("werkzeug.local.Local", "frappe.utils.local.Local")

_INSTALL = {
    "frappe": _nothing,
    "frappe.api": _api,
    "frappe.app": _application,
    "frappe.core.doctype.scheduled_job_type.scheduled_job_type": _scheduled,
    "frappe.handler": _handler,
    "frappe.utils.background_jobs": _jobs,
    "frappe.website.page_renderers.error_page": _error_page,
    "frappe.website.serve": _website,
}
