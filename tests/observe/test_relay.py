"""Sentry's own Relay finds nothing to correct in our events, and nothing private by its default rules."""

import json
import sys

import pytest
from making import a_monitor, an_observation, built
from support import module, monitor

processing = pytest.importorskip("sentry_relay.processing", reason="sentry-relay cannot be installed here")


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
        "message": "x answered 503",
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


def annotations(event, path=""):
    """Each place that Relay's `_meta` says something about."""
    meta = event.get("_meta") if not path else event
    found = []
    for key, value in (meta or {}).items():
        if key == "":
            if value.get("err") or value.get("rem"):
                found.append((path, value))
        elif isinstance(value, dict):
            found += annotations(value, f"{path}.{key}" if path else key)
    return found


def normalized(event):
    event = {**event, "timestamp": __import__("time").time()}  # a minute old at most, as Relay wants it
    return processing.StoreNormalizer(client_ip=None, is_renormalize=False, received_at=None).normalize_event(
        raw_event=json.dumps(event)
    )


@pytest.mark.parametrize("case", CASES)
def test_relays_normalizer_has_nothing_to_say(case):
    facts = dict(CASES[case])
    event = built(an_observation(**facts), context=CONTEXT)
    assert annotations(normalized(event)) == []


@pytest.mark.parametrize("case", CASES)
def test_relays_default_rules_find_nothing_private(case):
    event = json.loads(json.dumps(built(an_observation(**dict(CASES[case])), context=CONTEXT)))
    config = processing.convert_datascrubbing_config(
        {"scrubData": True, "scrubDefaults": True, "scrubIpAddresses": True, "sensitiveFields": [], "excludeFields": []}
    )
    stripped = processing.pii_strip_event(config, event)
    assert annotations(stripped) == []
    patterns = {
        "rules": {},
        "applications": {"$string": ["@email", "@creditcard", "@iban", "@password", "@pemkey", "@urlauth", "@bearer"]},
    }
    found = annotations(processing.pii_strip_event(patterns, json.loads(json.dumps(event))))
    assert [(path, said) for path, said in found if "context_line" not in path and "_context" not in path] == []


def test_what_it_would_find_is_found():
    """The test above is not passed by a Relay that looks at nothing."""
    config = {"rules": {}, "applications": {"$string": ["@email"]}}
    assert annotations(processing.pii_strip_event(config, {"logentry": {"formatted": "mail anna@planted.example"}}))
    assert module and monitor
