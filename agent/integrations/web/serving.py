"""A request from the moment at which a server calls the application until its body was sent, as one piece of work.

The server's function begins and ends it; the application's function, which is called in between, brings the request.
An application that is called by no server that we know begins and ends it by itself.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ...base import guard
from ...base.interrupts import ours
from ...observe.around import work

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ...boot.engine import Engine


class Serving:
    """What is being served. It is what the piece of work is about."""

    __slots__ = (
        "contexts", "counted", "depth", "django", "entered", "fields", "frame", "function", "handled", "known",
        "operation", "request", "sent", "status", "written",
    )  # fmt: skip

    def __init__(self) -> None:
        self.request: Any = None  # WSGI's environ, ASGI's scope, or aiohttp's request
        self.django: Any = None  # Django's request, once there is one
        self.contexts: tuple[Any, ...] = ()  # Flask's contexts, or Pyramid's request: gone before the response is sent
        self.handled: BaseException | None = None  # what an exception handler is making a response of
        self.written: BaseException | None = None  # the last exception whose traceback was written: see `written`
        self.fields: tuple[object, ...] = ()  # of GraphQL that were reported
        self.operation: object = None  # of GraphQL that it asks for: a node of its document
        self.entered: work.Entered | None = None
        self.counted = True  # in release health
        self.depth = 0  # of applications that call each other
        self.known: Any = None  # the route, once it was looked for and found: see `frameworks`
        self.function = ""  # of the ERP, where no framework shows what serves it: see `outermost`
        self.sent: object = None  # the status, where a framework has shown it
        self.status: Callable[[FrameType], object] | None = None  # reads it from `frame`
        self.frame: FrameType | None = None  # of the server's function, while that runs


#: A request as a piece of work. `facts` reads its headers.
kind = work.Kind("http.server")

#: What applications, and functions of servers, call the request.
REQUESTS = ("environ", "env", "scope")

_LONGEST = 80  # of an operation's name

_serving: ContextVar[Serving | None] = ContextVar("erp_agent_serving", default=None)


def current() -> Serving | None:
    """What the current piece of work serves, if it is a request of this room's."""
    doing = work.current()
    about = doing.about if doing is not None else None
    return about if type(about) is Serving else None


def operation() -> str:
    """`mutation CreateOrder`, if the current request asks for an operation of GraphQL."""
    now = current()
    return words_of(now.operation) if now is not None and now.operation is not None else ""


def words_of(operation: Any) -> str:
    """An operation's kind and name, in a document of GraphQL; without a name, its first field."""
    kind = getattr(operation, "operation", None)
    kind = getattr(kind, "value", kind)
    if type(kind) is not str:
        return ""
    name = getattr(operation, "name", None)
    if name is None:
        selected = getattr(getattr(operation, "selection_set", None), "selections", None) or [None]
        name = getattr(selected[0], "name", None)
    text = getattr(name, "value", None)
    return f"{kind} {text}"[:_LONGEST] if type(text) is str else kind


def begin(serving: Serving, request: Any) -> None:
    serving.request = request
    serving.entered = work.enter(serving, kind)


def begin_late() -> bool:
    """A request of an application without Python code has failed: begin it with what the server's function has."""
    serving = _serving.get()
    if serving is None or serving.frame is None or serving.entered is not None:
        return False
    known = serving.frame.f_locals
    own = getattr(known.get("self"), "__dict__", {})
    found = [held[name] for held in (known, own) for name in REQUESTS if name in held]
    request: Any = next((each for each in found if issubclass(type(each), dict)), {})
    if request.get("type") == "lifespan":
        return False  # no request: the server prints how that fails
    serving.counted = False  # those that end well are not seen
    begin(serving, request)
    return True


def end(serving: Serving, engine: Engine) -> None:
    """It has ended, whether or not the application was called at all. Raises nothing."""
    entered, serving.entered = serving.entered, None
    if entered is None:
        serving.frame = None
        return
    sessions = engine.frameworks.sessions
    counts = False
    try:
        if work.closes is not None:  # a trace shows it
            entered[0].status = status(serving) or entered[0].status
        if sessions is not None and serving.counted and not is_websocket(serving.request):
            counts = serving.django is not None or engine.frameworks.integrates("web")
    except ours(Exception):
        guard.swallow("looking at a request that ends")
    work.leave(entered)
    serving.frame = serving.request = serving.django = serving.handled = serving.known = None
    serving.written = serving.operation = None
    serving.contexts = ()
    if sessions is not None and counts:
        try:
            sessions.add(entered[0].outcome)
        except ours(Exception):
            guard.swallow("counting a request")


def adopt(request: Any, given: object) -> bool:
    """A framework has made its own request of what a server gave it, `given`. Is that what is being served?"""
    serving = current()
    if serving is None or serving.request is not given or serving.django is not None:
        return False
    serving.django = request
    return True


def opened(frame: FrameType, status: Callable[[FrameType], object] | None) -> tuple[Serving, Any]:
    """A server's function has begun, in this frame. Pass the result to `closed`."""
    serving = Serving()
    serving.frame, serving.status = frame, status
    return serving, _serving.set(serving)


def closed(token: tuple[Serving, Any], engine: Engine) -> None:
    serving, before = token
    end(serving, engine)
    try:
        _serving.reset(before)
    except ours(ValueError):  # in another context
        _serving.set(None)


def called(request: Any) -> Serving | None:
    """An application is called with this request. Return what to `end` when it returns; None if others do that."""
    serving = _serving.get()
    if serving is not None and serving.frame is not None:
        if serving.entered is None:
            begin(serving, request)
        return None
    outer = current()
    if outer is not None and is_same(outer.request, request):
        return None
    serving = Serving()
    begin(serving, request)
    return serving


def is_websocket(request: Any) -> bool:
    if issubclass(type(request), dict):
        return bool(request.get("type") == "websocket")
    upgrade = kind.header(current(), "upgrade")
    return isinstance(upgrade, str) and upgrade.lower() == "websocket"


def is_same(one: Any, other: Any) -> bool:
    """Is it one request? A middleware may have copied what the server gave it."""
    if one is other:
        return True
    if not (issubclass(type(one), dict) and issubclass(type(other), dict)):
        return False
    for key in ("wsgi.input", "headers"):
        if one.get(key) is not None:
            return one[key] is other.get(key)
    return False


def status(serving: Serving) -> int | None:
    """The status of the response, as far as the server has it by now."""
    found = serving.sent
    if found is None and serving.frame is not None and serving.status is not None:
        try:
            found = serving.status(serving.frame)
        except ours(Exception):  # not there yet
            return None
    if type(found) is bytes:
        found = found.decode("latin-1")
    if type(found) is str and found[:3].isdigit():
        found = int(found[:3])
    return found if type(found) is int and 100 <= found <= 599 else None


def reader(path: str) -> Callable[[FrameType], object] | None:
    """A function that reads `local.attribute.key` in a frame; numbers are places in a list."""
    if not path:
        return None
    first, *rest = path.split(".")

    def read(frame: FrameType) -> object:
        value = frame.f_locals[first]
        for name in rest:
            if type(value) in (dict, list):
                value = value[int(name) if name.isdigit() else name]
            else:
                value = getattr(value, name)
        return value

    return read


#: Packages that servers write their responses through.
_TRANSPORTS = frozenset(
    ("asyncio", "eventlet", "gevent", "http", "select", "selectors", "socket", "socketserver", "ssl")
)


def is_the_servers(error: BaseException, server: str) -> bool:
    """Did the server itself fail, mostly because the client has gone? No frame of the application is there then."""
    traceback = error.__traceback__
    while traceback is not None:
        name = traceback.tb_frame.f_globals.get("__name__")
        package = name.partition(".")[0] if type(name) is str else ""
        if package != server and package not in _TRANSPORTS:
            return False
        traceback = traceback.tb_next
    return True
