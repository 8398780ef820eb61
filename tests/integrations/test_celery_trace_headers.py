"""Messages of Celery carry the trace of what publishes them: calls, retries, chains; and tasks read what they came with."""

from __future__ import annotations

import types

import pytest
from observe.making import sentry

celery = pytest.importorskip("celery")
from celery import signals  # noqa: E402

from agent.integrations.celery import trace_headers  # noqa: E402
from agent.observe.around import origin as origins  # noqa: E402
from agent.traces import propagation  # noqa: E402

TRACE, SPAN, LATER = "0123456789abcdef0123456789abcdef", "0123456789abcdef", "f" * 16


def reserve():
    pass


def retried(self):
    pass


@pytest.fixture
def app(monkeypatch):
    """An application whose messages are in `app.sent`; `app.here(span)` sets where in the trace they are published."""
    app = celery.Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.sent = []

    def keep(producer, body, **options):
        app.sent.append(types.SimpleNamespace(body=body, headers=options["headers"]))

    monkeypatch.setattr("kombu.messaging.Producer.publish", keep)

    def here(span=SPAN, came=None):
        origin = came or origins.Origin(TRACE)
        monkeypatch.setattr(propagation, "here", lambda: (origin, span))

    app.here = here
    data = sentry(dsn="https://key@o7.ingest.sentry.io/1")
    propagation.follow(propagation.Outgoing(data, "shop@1"))
    receiver = trace_headers.add(signals)
    yield app
    receiver.undo()
    propagation.follow(None)


def received(app, task, message):
    """The request of a task, as a worker makes it of a message."""
    request = {**message.headers, "args": (), "kwargs": {}, "called_directly": False, "is_eager": False}
    return celery.app.task.Context(request)


def test_a_message_carries_the_trace_also_where_the_sdk_looks_for_it(app):
    task = app.task(reserve, name="shop.reserve")
    given = {"x-tenant": "7", "baggage": "tenant=7"}
    app.here()
    task.apply_async(headers=given)
    assert given == {"x-tenant": "7", "baggage": "tenant=7"}
    (message,) = app.sent
    for headers in (message.headers, message.headers["headers"]):
        assert headers["sentry-trace"] == f"{TRACE}-{SPAN}"
        assert headers["baggage"].startswith(f"tenant=7,sentry-trace_id={TRACE},")
        assert headers["x-tenant"] == "7"
    request = received(app, task, message)
    assert request.headers["x-tenant"] == "7"
    assert set(message.headers["headers"]) == {"sentry-trace", "baggage", "x-tenant"}
    assert trace_headers.header(request.__dict__, "sentry-trace") == f"{TRACE}-{SPAN}"
    sdk = pytest.importorskip("sentry_sdk")
    continued = sdk.continue_trace(message.headers["headers"])
    assert (continued.trace_id, continued.parent_span_id) == (TRACE, SPAN)


def test_outside_of_a_trace_a_message_is_as_without_us(app, monkeypatch):
    task = app.task(reserve, name="shop.reserve")
    monkeypatch.setattr(propagation, "here", lambda: None)
    task.apply_async(headers={"x-tenant": "7"})
    (message,) = app.sent
    assert "headers" not in message.headers
    assert "sentry-trace" not in message.headers


def test_a_nested_mapping_of_the_hosts_is_not_changed(app):
    task = app.task(reserve, name="shop.reserve")
    nested = {"mine": 1}
    app.here()
    task.apply_async(headers={"headers": nested})
    assert nested == {"mine": 1}
    assert set(app.sent[0].headers["headers"]) == {"mine", "sentry-trace", "baggage"}


def test_a_retry_is_sent_by_the_attempt_that_failed(app):
    task = app.task(retried, name="shop.reserve", bind=True, max_retries=3)
    app.here()
    task.apply_async(headers={"baggage": "tenant=7", "x-tenant": "7"})
    first = received(app, task, app.sent[0])
    task.push_request(**first.__dict__)
    celery._state._task_stack.push(task)
    try:
        app.here(LATER, origins.incoming(lambda name: trace_headers.header(first.__dict__, name)))
        with pytest.raises(celery.exceptions.Retry):
            task.retry(countdown=1)
        app.task(reserve, name="shop.other").delay()
    finally:
        celery._state._task_stack.pop()
        task.pop_request()
    _, retry, other = app.sent
    assert retry.headers["sentry-trace"] == other.headers["sentry-trace"] == f"{TRACE}-{LATER}"
    assert retry.headers["headers"]["sentry-trace"] == f"{TRACE}-{LATER}"
    assert retry.headers["baggage"] == app.sent[0].headers["baggage"]
    assert retry.headers["x-tenant"] == received(app, task, retry).headers["x-tenant"] == "7"
    assert "tenant=7" not in other.headers["baggage"]


def test_what_the_hosts_sdk_has_set_stays(app):
    task = app.task(reserve, name="shop.reserve")
    app.here()
    theirs = {"sentry-trace": "c" * 32 + "-" + SPAN + "-1", "baggage": "sentry-trace_id=" + "c" * 32}
    task.apply_async(headers={**theirs, "headers": theirs})
    (message,) = app.sent
    assert {name: message.headers[name] for name in theirs} == theirs == message.headers["headers"]


@pytest.mark.parametrize("held", [None, 5, b"x", ["x"], {"a": 1}])
def test_what_a_message_has_in_place_of_text_is_passed_over(app, held):
    request = celery.app.task.Context({"sentry-trace": held, "headers": held})
    assert origins.incoming(lambda name: trace_headers.header(request.__dict__, name)) is None
    headers = {"sentry-trace": held}
    app.here()
    trace_headers.carry(headers, request.__dict__)
    assert headers["sentry-trace"] == f"{TRACE}-{SPAN}"
