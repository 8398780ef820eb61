"""What a request without a route is named after; tests/acceptance/test_wsgi.py runs real servers."""

import sys
from types import SimpleNamespace

import pytest

from agent.integrations.web import facts, frameworks, outermost, serving
from agent.observe.around import work
from agent.traces import transaction, words

HERE = __name__
LIBRARY = {"__name__": "library"}
#: A framework that nobody knows: its application looks for a handler, and a server calls it.
exec(
    compile(
        """
class Framework:
    def __init__(self, handler): self.handler = handler
    def __call__(self, environ, start_response): return self.handler(environ["PATH_INFO"])
def middleware(application):
    def called(environ, start_response): return application(dict(environ), start_response)
    return called
def keywords(**given): return given["handler"]("/")
""",
        "/usr/lib/python3/site-packages/library.py",
        "exec",
    ),
    LIBRARY,
)


def look():
    return facts.provide().get("transaction")


def inner(path):
    return look()


def show_order(path):
    return inner(path)


def is_handler(environ, start_response):
    return facts.provide().get("transaction")


def of_erp(environ, start_response):
    return LIBRARY["middleware"](is_handler)(environ, start_response)


def dispatches(environ, start_response):
    return show_order(environ["PATH_INFO"])


def only_reads(environ):
    return look()


def asks(environ, start_response):
    return [only_reads(environ)][0]


def started(status, headers):
    pass


def serve(application, request=None, *, server=True):
    """As a server does, whose function the application's caller is."""
    request = request or {"REQUEST_METHOD": "GET", "PATH_INFO": "/orders/4711", "wsgi.input": object()}
    token = serving.opened(sys._getframe(), None)
    now = token[0]
    serving.begin(now, request)
    if not server:
        now.frame = None
    try:
        return application(request, started)
    finally:
        serving.closed(token, SimpleNamespace(frameworks=SimpleNamespace(sessions=None)))


@pytest.fixture(autouse=True)
def _unknown():
    yield
    assert serving.current() is None


@pytest.mark.parametrize("server", [True, False])
@pytest.mark.parametrize(
    ("application", "function"),
    [
        (LIBRARY["Framework"](show_order), "show_order"),
        (LIBRARY["middleware"](LIBRARY["Framework"](show_order)), "show_order"),
        (of_erp, "is_handler"),  # the innermost application
        (dispatches, "show_order"),
        (asks, "only_reads"),  # it starts no response, so it is no application
    ],
)
def test_a_request_is_named_after_the_outermost_function_of_the_erp_in_the_innermost_application(
    application, function, server
):
    assert serve(application, server=server) == f"{HERE}.{function}"


def test_a_function_without_an_application_around_is_named_below_the_server():
    assert serve(lambda _request, _start: LIBRARY["keywords"](handler=show_order)) == f"{HERE}.{NAME_OF_LAMBDA}"


def test_what_a_main_program_calls_outside_of_any_application_names_nothing():
    token = serving.opened(sys._getframe(), None)
    serving.begin(token[0], {"REQUEST_METHOD": "GET"})
    token[0].frame = None
    assert look() is None
    serving.closed(token, SimpleNamespace(frameworks=SimpleNamespace(sessions=None)))


NAME_OF_LAMBDA = (
    "test_a_function_without_an_application_around_is_named_below_the_server.<locals>.<lambda>"
    if sys.version_info >= (3, 11)
    else "<lambda>"
)


def test_an_exception_shows_what_it_has_passed_and_the_report_of_it_and_the_trace_agree():
    def fails(path):
        raise ZeroDivisionError

    def application(environ, start_response):
        now = serving.current()
        try:
            LIBRARY["Framework"](lambda path: show(path, fails))(environ, start_response)
        except ZeroDivisionError as error:
            named = facts.operation(error)
        work.current().failure = object()  # as once it was looked at
        context = errors(now)
        entered, now.entered = now.entered, None  # as when it has ended
        ended = facts.provide()
        now.entered = entered
        return named, context, ended

    (operation, function), reported, ended = serve(application)
    view = f"{HERE}.{LAMBDA_IN}"
    assert (operation, function) == (f"GET {view}", view)
    assert reported["transaction"] == ended["transaction"] == view == ended["request"]["view"]
    trace = SimpleNamespace(name="")
    entered = work.enter(None)
    try:
        work.current().trace = trace
        assert transaction.name_of(trace, ended) == (view, "component")
    finally:
        work.leave(entered)


LAMBDA_IN = (
    "test_an_exception_shows_what_it_has_passed_and_the_report_of_it_and_the_trace_agree.<locals>.application."
    "<locals>.<lambda>"
    if sys.version_info >= (3, 11)
    else "<lambda>"
)


def show(path, then):
    then(path)


def errors(now):
    """A page for what has failed, in which something else is reported."""
    return facts.provide()


def test_an_exception_of_a_library_alone_names_nothing():
    now = serving.Serving()
    now.frame = sys._getframe()
    try:
        exec(compile("1 / 0", "/usr/lib/python3/site-packages/library.py", "exec"), dict(LIBRARY))
    except ZeroDivisionError as error:
        assert outermost.of(now, error) == ""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/orders/4711/lines", "/orders/*/lines"),
        ("/orders/7", "/orders/*"),
        ("/api/v2/orders/", "/api/v2/orders/"),
        ("/customers/anna@example.se", "/customers/*"),
        ("/@@search", "/@@search"),
        ("/files/9f0c2a77-7a1e-4f57-8c1b-b1d6c1f3a001/a%20name", "/files/*/*"),
        ("/" + "x" * 41, "/*"),
        ("/", "/"),
    ],
)
def test_a_path_that_names_a_trace_has_a_star_where_something_is_identified(path, place):
    assert words.place(path) == place


class Order:
    def __call__(self):
        return "closed"

    def close(self):
        return "closed"


def made_of(base, name, **attributes):
    """As Zope's configuration makes the classes of views."""
    return type(name, (base,), {"__module__": "Products.Five.browser.metaconfigure", **attributes})


@pytest.mark.parametrize(
    ("found", "route", "endpoint"),
    [
        (Order(), "", f"{HERE}.Order"),
        (Order().close, "", f"{HERE}.Order.close"),
        (Order().__call__, "", f"{HERE}.Order"),
        (made_of(Order, "Order", __name__="orders")(), "", f"{HERE}.Order"),
        (made_of(Order, "Order", __name__="orders")().close, "", f"{HERE}.Order.close"),
        (made_of(Order, "SimpleViewClass from /srv/erp/page.pt", __name__="page")(), "@@page", ""),
        (made_of(Order, "Unnamed")(), "", "Products.Five.browser.metaconfigure.Unnamed"),
    ],
)
def test_what_zope_publishes_is_named_by_the_class_in_the_source(found, route, endpoint):
    for _ in range(2):  # the second time, the class is known
        known = frameworks.published(found)
        assert (known.route, known.endpoint) == (route, endpoint)
