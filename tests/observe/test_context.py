from __future__ import annotations

import contextvars
import os
import sys
import types
import urllib.parse  # noqa: F401  (a host that serves requests has imported it)

import pytest

from agent.base import guard
from agent.integrations.celery import task_context
from agent.integrations.django import request_context
from agent.observe.around import context, work


@pytest.fixture(autouse=True)
def no_providers(monkeypatch):
    monkeypatch.setattr(context, "registered", {})


def test_providers_are_called_in_order_and_the_first_wins():
    context.register("one", lambda: {"user": {"id": 1}, "transaction": "a"})
    context.register("two", lambda: {"user": {"id": 2, "name": "x"}, "transaction": "b", "extra": {"y": 1}})
    facts = context.collect()
    assert facts["user"] == {"id": 1, "name": "x"}
    assert facts["transaction"] == "a"
    assert facts["extra"] == {"y": 1}


def test_a_framework_that_knows_more_of_a_request_comes_first_whenever_it_was_loaded():
    """gunicorn is there before Django, which a Celery task may load later still."""
    for name in ("host", "web", "django", "trace", "celery"):
        context.register(name, lambda name=name: {"transaction": name}, first=name == "celery")
    assert list(context.registered) == ["celery", "host", "django", "web", "trace"]
    assert context.collect()["transaction"] == "celery"
    context.register("django", lambda: {"transaction": "again"})
    assert list(context.registered) == ["celery", "host", "django", "web", "trace"]


def test_a_provider_that_fails_is_alone_in_that(monkeypatch, capsys):
    monkeypatch.setattr(guard, "TESTING", False)
    context.register("bad", lambda: 1 / 0)
    context.register("good", lambda: {"a": {"b": 1}})
    assert context.collect()["a"] == {"b": 1}
    assert "bad" in capsys.readouterr().err


def test_the_process_without_its_command_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/opt/erp/bin/serve", "--password=hunter2"])
    assert context.collect()["process"] == {"pid": os.getpid(), "program": "serve", "thread": "MainThread"}
    monkeypatch.setattr(sys, "argv", ["/srv/lib/uvicorn/__main__.py", "erp.web:app"])
    assert context.collect()["process"]["program"] == "uvicorn"
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.delattr(sys, "orig_argv", raising=False)
    assert "program" not in context.collect()["process"]


class Sleeping:
    """Stands for what must not be woken."""

    def __getattribute__(self, name):
        raise AssertionError(f"woken by {name}")

    __str__ = __repr__ = __bool__ = __iter__ = lambda self: 1 / 0


class Request:
    GET = POST = COOKIES = body = headers = property(lambda self: 1 / 0)

    def __init__(self, **held):
        self.__dict__.update(held)


def facts_of(request):
    entered = work.enter(request)
    try:
        return request_context.provide()
    finally:
        work.leave(entered)


def test_a_request_is_described_without_its_values():
    match = types.SimpleNamespace()
    view = types.FunctionType((lambda request: None).__code__, {"__name__": "sales.views"})
    view.__qualname__ = "order"
    holder = Request(route="orders/<int:pk>/<token>/", kwargs={"pk": 5, "token": "hunter2"}, func=view)
    request = Request(
        method="POST",
        path="/orders/5/hunter2/",
        resolver_match=holder,
        user=Sleeping(),
        session=Sleeping(),
        META={"QUERY_STRING": "page=2&q=bob%40example.com&b%5B%5D=1&hunter2&=x&page=3", "REMOTE_ADDR": "10.0.0.1"},
    )
    facts = facts_of(request)
    assert facts["request"] == {
        "method": "POST",
        "path": "/orders/5/[Filtered]/",
        "route": "orders/<int:pk>/<token>/",
        "view": "sales.views.order",
        "parameters": ["page", "q", "b[]"],
    }
    assert facts["transaction"] == "/orders/<int:pk>/<token>/"
    assert facts["user"] == {"ip": "10.0.0.1"}
    assert request_context.provide().get("request") is None
    assert match is not None


ODD = {
    "none": lambda: None,
    "number": lambda: 5,
    "asleep": lambda: Sleeping(),
    "empty": lambda: Request(),
    "asleep inside": lambda: Request(
        META=Sleeping(),
        method=Sleeping(),
        path=3,
        resolver_match=Sleeping(),
        user=Sleeping(),
        _cached_user=Sleeping(),
        session=Request(_session_cache=Sleeping()),
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_requests_add_nothing_and_load_nothing(name):
    facts = facts_of(ODD[name]())
    assert facts.get("request", {}) == {}
    assert "user" not in facts


def test_leaving_in_another_context_and_contexts_that_live_on():
    copied = contextvars.copy_context()
    entered = copied.run(work.enter, Request(path="/x"))
    background = copied.run(contextvars.copy_context)
    assert background.run(request_context.provide)["request"] == {"path": "/x"}
    work.leave(entered)  # not the context that entered
    assert "request" not in background.run(request_context.provide)
    assert entered[0].about is None


def test_the_management_command_and_nothing_else_of_the_command_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["manage.py", "import_orders", "--password=hunter2"])
    assert request_context.provide() == {
        "django": {"command": "import_orders"},
        "transaction": "manage.py import_orders",
    }
    monkeypatch.setattr(sys, "argv", ["manage.py", "--settings=hunter2"])
    assert request_context.provide() == {}


def test_real_django_requests(django):
    from django.contrib.auth.models import AnonymousUser, User
    from django.contrib.sessions.backends.signed_cookies import SessionStore
    from django.test import RequestFactory
    from django.utils.functional import SimpleLazyObject

    request = RequestFactory().get("/orders/?page=2")
    woken: list[int] = []
    user = User(id=7, username="bob", email="bob@example.com", is_staff=True)
    user._perm_cache = {"sales.view", "sales.add"}

    def wake():
        woken.append(1)
        return user

    request.user = SimpleLazyObject(wake)
    assert facts_of(request)["user"] == {"ip": "127.0.0.1"}
    assert not woken
    assert "GET" not in request.__dict__
    request.session = SessionStore()
    request.session._session_cache = {"_auth_user_id": "7", "password": "hunter2"}
    assert facts_of(request)["user"] == {"id": "7", "ip": "127.0.0.1"}
    assert request.user.is_authenticated
    assert facts_of(request)["user"] == {
        "id": 7,
        "username": "bob",
        "email": "bob@example.com",
        "is_staff": True,
        "permissions": ["sales.add", "sales.view"],
        "ip": "127.0.0.1",
    }
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    assert facts_of(request)["user"] == {"ip": "127.0.0.1"}


def test_a_real_celery_task():
    celery = pytest.importorskip("celery")
    app = celery.Celery("t", broker="memory://", set_as_current=False)
    seen: list[dict[str, object]] = []

    @app.task(name="sales.invoice")
    def invoice(secret):
        seen.append(task_context.provide())

    assert task_context.provide() == {}
    invoice.apply(args=["hunter2"], task_id="abc")
    (facts,) = seen
    assert facts["transaction"] == "sales.invoice"
    assert facts["celery"]["task"] == "sales.invoice"
    assert facts["celery"]["id"] == "abc"
    assert facts["celery"]["retries"] == 0
    assert "hunter2" not in repr(facts)
