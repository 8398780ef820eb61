"""Exceptions that a framework makes a page of and logs: reported if the response is a server error."""

import re
import sys
import traceback
from types import SimpleNamespace

import pytest

from agent.integrations.web import facts, frameworks, install, serving
from agent.observe.around import work
from agent.observe.failure import reported


def failing():
    raise ZeroDivisionError("no price")


@pytest.fixture
def served():
    """Serves one request with an application that catches what fails; returns the failures that were reported."""
    failures = []
    engine = SimpleNamespace(
        note=failures.append,
        frameworks=SimpleNamespace(
            sessions=None,
            integrates=lambda _: True,
            serve=lambda _: None,
            failed=lambda what, error, **about: failures.append((what, type(error), about["operation"])),
        ),
    )
    web = install.Web(engine)

    def server(application, status):  # status: read from this frame, as of a server
        token = serving.opened(sys._getframe(), serving.reader("status"))
        try:
            web.watch(application)
            application({"REQUEST_METHOD": "GET", "PATH_INFO": "/price"}, None)
        finally:
            web.sent(token)
        return failures

    before = traceback.TracebackException.__init__.__code__
    yield server
    web.undo()
    assert traceback.TracebackException.__init__.__code__ is before
    assert serving.current() is None


def logs(environ, start_response):
    try:
        failing()
    except ZeroDivisionError:
        traceback.format_exc()
    return []


def logs_what_was_reported(environ, start_response):
    try:
        failing()
    except ZeroDivisionError as error:
        reported.remember(error, error.__traceback__)
        traceback.format_exc()
    return []


def logs_a_chain(environ, start_response):
    try:
        try:
            failing()
        except ZeroDivisionError as error:
            raise LookupError from error
    except LookupError:
        traceback.format_exc()
    return []


LIBRARY = {"__name__": "library", "traceback": traceback, "failing": failing}
exec("def recovers():\n try: failing()\n except ArithmeticError: traceback.format_exc()", LIBRARY)


def asks_a_library(environ, start_response):
    LIBRARY["recovers"]()
    return []


@pytest.mark.parametrize(
    ("application", "status", "expected"),
    [
        (logs, "500 Internal Server Error", [("request", ZeroDivisionError, "GET test_web_written.logs")]),
        (logs, "200 OK", []),  # it has dealt with it
        (logs_what_was_reported, "500 Internal Server Error", []),
        (logs_a_chain, "503 Service Unavailable", [("request", LookupError, "GET test_web_written.logs_a_chain")]),
        (lambda _environ, _start: [], "500 Internal Server Error", []),
        (
            logs,
            None,
            [("request", ZeroDivisionError, "GET test_web_written.logs")],
        ),  # no status is known: the application caught it
        (asks_a_library, None, []),
    ],
)
def test_a_traceback_is_what_a_request_failed_in_if_its_response_is_a_server_error(
    served, application, status, expected
):
    assert served(application, status) == expected


@pytest.mark.parametrize(
    ("request_", "sent"), [({"type": "websocket"}, None), ({"type": "http"}, 200), ({"type": "http"}, b"204")]
)
def test_an_exception_that_can_become_no_server_error_is_not_kept_alive(request_, sent):
    now = serving.Serving()
    serving.begin(now, request_)
    now.sent = sent
    try:
        install.Written().note(ZeroDivisionError())
        assert now.written is None
        now.request, now.sent = {"type": "http"}, None
        install.Written().note(ZeroDivisionError())
        assert now.written is not None
    finally:
        serving.end(now, SimpleNamespace(frameworks=SimpleNamespace(sessions=None)))


class Held:
    """Attributes in an ordinary `__dict__`."""

    def __init__(self, **held):
        self.__dict__.update(held)


class Handler:
    def __init__(self, application):
        self.application = application
        self.path_kwargs = {"token": "s3cr3t"}


def test_the_rule_that_leads_to_a_handler_of_tornado_is_its_route(monkeypatch):
    monkeypatch.setitem(sys.modules, "tornado.web", SimpleNamespace())

    def rule(pattern, target):
        return Held(target=target, matcher=Held(regex=re.compile(pattern)))

    rules = [rule("/a$", str), rule("/orders$", Handler), rule(r"/orders/(?P<token>\w+)$", Handler)]
    application = Held(wildcard_router=Held(rules=rules))
    now = serving.Serving()
    serving.begin(now, Held(method="GET", path="/orders/s3cr3t", query="q=1", headers={}, remote_ip="::1"))
    now.contexts = (Handler(application),)
    try:
        assert facts.operation() == (r"GET /orders/(?P<token>\w+)", f"{__name__}.Handler")
        shown = facts.provide()
    finally:
        serving.end(now, SimpleNamespace(frameworks=SimpleNamespace(sessions=None)))
    assert shown["request"]["parameters"] == ["q"]
    assert "s3cr3t" not in str(shown)
    assert shown["user"] == {"ip": "::1"}


def test_a_failure_in_the_lifespan_of_asgi_is_no_request():
    scope = {"type": "lifespan"}  # noqa: F841  (a server's own variable)
    token = serving.opened(sys._getframe(), None)
    try:
        assert not serving.begin_late()
        assert serving.current() is None
    finally:
        serving.closed(token, SimpleNamespace(frameworks=SimpleNamespace(sessions=None)))


def test_the_route_of_falcon_is_found_in_the_frames_that_the_exception_has_passed():
    class Request:
        __slots__ = ("uri_template",)

    def responder(req):
        failing()

    req = Request()
    req.uri_template = "/orders/{n}"
    with pytest.raises(ZeroDivisionError) as caught:
        responder(req)
    now = serving.Serving()
    now.request = {"REQUEST_METHOD": "GET"}
    frameworks.remember(now, caught.value)
    assert frameworks.of(now).route == "/orders/{n}"


def test_the_first_failure_of_a_request_is_the_only_one(served):
    def crashed(environ, start_response):
        logs(environ, start_response)
        work.current().failure = "reported"
        return []

    assert served(crashed, "500 Internal Server Error") == []
