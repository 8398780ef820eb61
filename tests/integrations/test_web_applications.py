"""Which function an application runs, whatever it is; tests/acceptance/test_wsgi.py runs real servers."""

import sys
from functools import partial
from types import SimpleNamespace

import pytest

from agent.integrations.web import install, serving


def plain(environ, start_response):
    return []


def configured(config, environ, start_response, *, more=None):
    return []


class Erp:
    def run(self, environ, start_response):
        return []

    @classmethod
    def of_class(cls, environ, start_response):
        return []

    def __call__(self, environ, start_response):
        return []


class Response:
    def __init__(self, environ, start_response):
        self.environ = environ


class Special(Response):
    pass


@pytest.mark.parametrize(
    ("application", "function", "position"),
    [
        (plain, plain, 0),
        (partial(configured, {}, more=1), configured, 1),
        (partial(partial(configured, {})), configured, 1),
        (Erp(), Erp.__call__, 1),
        (Erp().run, Erp.run, 1),
        (Erp.of_class, Erp.of_class.__func__, 1),
        (partial(Erp.run, Erp()), Erp.run, 1),
        (partial(Erp().run), Erp.run, 1),
        (Special, Response.__init__, 1),
        (len, None, 0),
        (type("Nothing", (), {}), None, 0),
    ],
)
def test_the_python_function_of_an_application(application, function, position):
    assert install.python_in(application) == (function, position)


def test_another_agents_wrapper_is_looked_into():
    wrapt = pytest.importorskip("wrapt")
    wrapped = wrapt.FunctionWrapper(Erp(), lambda function, _, arguments, named: function(*arguments, **named))
    assert install.python_in(wrapped) == (Erp.__call__, 1)


class Handler:
    def __init__(self, environ):
        self.environ = environ


def failed_request():
    """What is known of the request of an application that no function of ours is in, once it has failed."""
    begun = serving.begin_late()
    now = serving.current()
    return begun, now and now.request, now and now.counted


def serve(self, **given):
    environ = given or None  # noqa: F841  (a server's own variable)
    token = serving.opened(sys._getframe(), None)
    try:
        first = failed_request()
        return first, serving.begin_late()
    finally:
        serving.closed(token, ENGINE)


#: What the end of a request needs of an engine.
ENGINE = SimpleNamespace(frameworks=SimpleNamespace(sessions=None))


def test_a_failure_of_an_application_without_python_code_belongs_to_a_request():
    assert failed_request() == (False, None, None)
    assert serve(None, PATH_INFO="/a") == ((True, {"PATH_INFO": "/a"}, False), False)
    assert serve(Handler({"PATH_INFO": "/b"})) == ((True, {"PATH_INFO": "/b"}, False), False)
    assert serve(None) == ((True, {}, False), False)
    assert serving.current() is None
