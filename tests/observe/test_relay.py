"""Sentry's own Relay finds nothing to correct in our events, and nothing private by its default rules."""

import json
import sys
import urllib.request

import pytest
import relay
from making import a_monitor, an_observation, built
from receiver import Receiver

from agent.deliver import wire

pytest.importorskip("sentry_relay.processing", reason="sentry-relay cannot be installed here")


def raised(*chain):
    try:
        try:
            raise KeyError("first of anna@planted.example")
        except KeyError as error:
            raise ValueError("card 4111 1111 1111 1111 at https://erp:hunter2@db.planted.example/") from error
    except ValueError as error:
        return error


CASES = {
    "error": {"exception": raised()},
    "slow": {"report": "slow", "severity": "warning", "inside": [("reserve", 2, 1.5, 0.47)]},
    "rule": {"report": "rule", "message": "Order {order} was rejected", "captured": {"order": "SO-1"}},
    "audit": {
        "report": "audit",
        "severity": "info",
        "monitor": a_monitor(kind="security", detail={"event_type": "signed_in"}),
    },
    "fatal": {"severity": "fatal", "exception": raised()},
    "api": {
        "report": "rule",
        "message": "x returned 503",
        "monitor": a_monitor(kind="api", detail={"endpoint": "orders"}),
    },
    "business": {"exception": raised(), "monitor": a_monitor(kind="business", detail={"process": "order_to_cash"})},
    "database": {"exception": raised(), "monitor": a_monitor(kind="database", detail={"model": "Order"})},
    "odd tags": {"exception": raised(), "monitor": a_monitor(tags={"a b": "x\ny", "long" * 20: "v" * 500, "leer": ""})},
    "captured": {"captured": {"a": [1, 2.5, None, True], "b": {"c": "d" * 3000}, "nan": float("nan"), "huge": 10**400}},
    "fingerprint": {"exception": raised(), "monitor": a_monitor(fingerprint=["{error}", "{operation}", "x" * 3000])},
    "suppressed": {"exception": raised(), "suppressed": 99_000},
}
if sys.version_info >= (3, 11):
    CASES["group"] = {"exception": ExceptionGroup("several", [raised(), LookupError("x")])}  # noqa: F821

CONTEXT = {
    "request": {"method": "GET", "path": "/orders/1/", "route": "orders/<int:pk>/", "parameters": ["q"], "status": 500},
    "user": {"id": 7, "username": "anna", "email": "anna@planted.example", "ip": "203.0.113.7"},
    "celery": {"task": "t", "id": "5f1e9b4e-3d43-4c39-8d51-9b8f0f3a2a11", "retries": 1},
    "process": {"pid": 1, "program": "manage.py", "thread": "MainThread"},
    "trace": {"trace_id": "a" * 32, "span_id": "b" * 16, "op": "erp.process"},
    "tags": {"tenant": "SE-1"}, "transaction": "/orders/<int:pk>/",
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_relays_normalizer_finds_no_error(case):
    event = built(an_observation(**dict(CASES[case])), context=CONTEXT)
    assert relay.corrected(event) == []


@pytest.mark.parametrize("case", CASES)
def test_relays_default_rules_find_nothing_private(case):
    event = built(an_observation(**dict(CASES[case])), context=CONTEXT)
    assert relay.scrubbed(event) == []


def test_what_it_would_find_is_found():
    """The tests above, and the receiver of the acceptance tests, are not passed by a Relay that looks at nothing."""
    assert relay.complaints({"logentry": {"formatted": "mail anna@planted.example"}})
    assert relay.complaints({"level": "dreadful", "tags": {"a": "b"}})
    assert relay.complaints({"contexts": {"erp": {"captured": {"password": "hunter2"}}}})
    with pytest.raises(AssertionError, match="logentry"), Receiver() as receiver:
        event = {"event_id": "a" * 32, "platform": "python", "logentry": {"formatted": "mail anna@planted.example"}}
        body = wire.encode("a" * 32, "event", json.dumps(event).encode())
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{receiver.port}/api/42/envelope/", body))
