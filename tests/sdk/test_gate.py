"""The gate for what the Sentry SDK makes: whatever it and its integrations put in, values stay and words pass."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from receiver import parse_envelope

from agent.sdk import gate

#: Found by their form, wherever they stand.
FORMS = [
    "anna.svensson@planted.example", "4111 1111 1111 1111", "SE45 5000 0000 0583 9825 7466", "+46 70 123 45 67",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.c2ln", "password=planted9",
    "https://erp:planted9@db.internal/x", "Bearer planted.bearer.9911",
]  # fmt: skip
PLANTED = "planted9"


def passed(kind, payload, **settings_):
    """What is left of one item, or None."""
    data = gate.envelope(
        {"event_id": "a" * 32},
        [({"type": kind}, json.dumps(payload).encode())],
        {"tags": {}, "user": ["id"], **settings_},
    )
    if data is None:
        return None
    ((headers, left),) = parse_envelope(data).items
    assert headers["type"] == kind
    return json.loads(left)


def wrapped(attributes):
    return {name: {"value": value, "type": "string"} for name, value in attributes.items()}


EVENT = {
    "event_id": "a" * 32, "type": "transaction", "platform": "python", "transaction": "/orders/<int:pk>/",
    "timestamp": 2.0, "start_timestamp": 1.0,
    "request": {
        "url": "https://u:planted9@erp.example/orders/7?q=planted9#planted9", "method": "POST", "data": {"a": PLANTED},
        "query_string": "q=planted9", "headers": {"X": PLANTED}, "cookies": {"c": PLANTED}, "env": {"REMOTE_ADDR": PLANTED},
    },
    "user": {"id": 7, "username": PLANTED, "email": "a@planted9.example", "ip_address": "10.0.0.1", "segment": PLANTED},
    "extra": {"sys.argv": [PLANTED], "celery-job": {"task_name": "shop.reserve", "args": [PLANTED], "kwargs": {"a": PLANTED}}},
    "contexts": {
        "trace": {"trace_id": "b" * 32, "op": "http.server", "data": {"http.query": PLANTED, "http.method": "GET"}},
        "basket": {"x": PLANTED}, "runtime": {"name": "CPython"},
    },
    "logentry": {"message": "took %s", "params": [PLANTED]},
    "exception": {"values": [{
        "type": "E", "value": "went wrong", "mechanism": {"type": "celery", "handled": False, "data": {"x": PLANTED}},
        "stacktrace": {"frames": [{"function": "f", "lineno": 1, "vars": {"a": PLANTED}}]},
    }]},
    "breadcrumbs": {"values": [
        {"category": "query", "message": "SELECT * FROM t WHERE a = 'planted9'", "data": {"db.params": [PLANTED]}},
        {"category": "httplib", "type": "http", "data": {"url": "https://x/?q=planted9"}},
    ]},
    "spans": [
        {"op": "db", "description": "SELECT 'planted9' FROM t WHERE b = $$planted9$$ AND c = 417417417",
         "data": {"db.params": PLANTED, "db.system": "postgresql", "db.query.text": "SELECT 'planted9'"}},
        {"op": "http.client", "description": "GET https://u:planted9@x.example/y?q=planted9", "data": {"url": PLANTED}},
        {"op": "cache.get", "description": PLANTED, "data": {"cache.key": PLANTED, "cache.hit": True}},
        {"op": "subprocess", "description": "run --secret planted9", "data": {"subprocess.cwd": PLANTED}},
        {"op": "queue.publish", "description": "shop.reserve", "data": {"messaging.message.body": PLANTED}},
    ],
    "attachments": [PLANTED], "whatever_comes_next": {"a": PLANTED}, "measurements": {"lcp": {"value": 1.0}},
}  # fmt: skip


@pytest.mark.parametrize("kind", ["event", "transaction"])
def test_of_an_event_the_words_pass_and_the_values_stay(kind):
    left = passed(kind, EVENT)
    said = json.dumps(left)
    assert PLANTED not in said
    assert "417417417" not in said
    assert left["transaction"] == "/orders/<int:pk>/"
    assert left["request"] == {"method": "POST", "url": "https://erp.example/orders/7"}
    assert left["user"] == {"id": 7}
    assert left["extra"] == {"celery-job": {"task_name": "shop.reserve"}}
    assert left["contexts"]["trace"]["data"] == {"http.method": "GET"}
    assert left["exception"]["values"][0]["mechanism"] == {"type": "celery", "handled": False}
    assert [crumb.get("message") for crumb in left["breadcrumbs"]["values"]] == ["SELECT * FROM t WHERE a = %s", None]
    assert [span["description"] for span in left["spans"]] == [
        "SELECT %s FROM t WHERE b = %s AND c = %s", "GET https://x.example/y", "cache.get", "subprocess", "shop.reserve",
    ]  # fmt: skip
    assert left["spans"][0]["data"] == {"db.system": "postgresql", "db.query.text": "SELECT %s"}
    assert left["measurements"] == {"lcp": {"value": 1.0}}


def test_of_spans_logs_and_metrics_that_come_by_themselves():
    span = {"name": "SELECT 'planted9'", "attributes": wrapped({"sentry.op": "db", "db.query.parameter.0": PLANTED})}
    (left,) = passed("span", {"items": [span]})["items"]
    assert left["name"] == "SELECT %s"
    assert list(left["attributes"]) == ["sentry.op"]
    log = {"body": "hello planted9", "attributes": wrapped({
        "sentry.message.template": "hello %s", "sentry.message.parameter.0": PLANTED, "process.command_args": PLANTED,
        "process.pid": "7", "user.name": PLANTED, "logger.name": "erp",
    })}  # fmt: skip
    (left,) = passed("log", {"items": [log]})["items"]
    assert left["body"] == "hello %s"
    assert PLANTED not in json.dumps(left)
    (left,) = passed(
        "trace_metric", {"items": [{"name": "orders", "value": 3, "attributes": wrapped({"a": PLANTED})}]}
    )["items"]
    assert (left["name"], left["value"], left["attributes"]) == ("orders", 3, {})


def test_ids_of_spans_are_no_accounts():
    """be71096123456769 is an IBAN of Belgium, and as good an id of a span as any."""
    ids = {"trace_id": "be71096123456769" * 2, "span_id": "be71096123456769", "parent_span_id": "be71096123456769"}
    left = passed("transaction", {"contexts": {"trace": ids}, "spans": [{**ids, "op": "x"}]})
    assert left["contexts"]["trace"] == ids
    assert left["spans"] == [{**ids, "op": "x"}]
    assert passed("span", {"items": [{**ids, "name": "x"}]})["items"][0]["span_id"] == ids["span_id"]
    assert passed("event", {"logentry": {"message": ids["span_id"]}})["logentry"]["message"] == "[iban]"


@pytest.mark.parametrize("kind", ["attachment", "replay_event", "replay_recording", "feedback", "user_report", "new"])
def test_what_may_hold_anything_does_not_pass(kind):
    assert passed(kind, {"x": 1}) is None


def test_sessions_pass_without_what_identifies_a_machine():
    session = {"sid": "0f9b7a52-3d43-4c39-8d51-9b8f0f3a2a11", "did": PLANTED, "status": "crashed", "errors": 1,
               "attrs": {"release": "erp@1", "environment": "p", "user_agent": PLANTED, "ip_address": PLANTED}}  # fmt: skip
    left = passed("session", session)
    assert left["attrs"] == {"release": "erp@1", "environment": "p"}
    assert (left["sid"], left["status"], left["errors"]) == (session["sid"], "crashed", 1)
    assert PLANTED not in json.dumps(left)


def test_the_user_is_as_configured():
    assert passed("event", EVENT, user=["id", "username", "ip"])["user"] == {
        "id": 7, "username": PLANTED, "ip_address": "10.0.0.1"}  # fmt: skip


NAMES = st.sampled_from([
    "password", "apiKey", "X-Auth-Token", "session_id", "clientSecret", "Authorization",
])  # fmt: skip
words = st.sampled_from(["{}", "for {} now", "<{}>", "x={}", "/a/{}/b", "?q={}&p=1", "SELECT '{}'"])


@st.composite
def planted(draw):
    """JSON of any shape with secrets in it, and what they are."""
    form = draw(words).format(draw(st.sampled_from(FORMS)))
    leaf = (
        st.just(form) | st.builds(lambda name: {name: PLANTED}, NAMES) | st.builds(lambda name: [name, PLANTED], NAMES)
    )
    tree = st.recursive(
        leaf | st.integers(0, 9) | st.booleans(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "rows", "data", form]), inner, max_size=3),
        max_leaves=6,
    )  # fmt: skip
    return draw(tree), form


@pytest.mark.slow(reason="a large space")
@settings(max_examples=150, deadline=None)
@given(planted(), st.sampled_from([
    "tags", "contexts.trace", "contexts.erp", "contexts.otel", "exception.values", "breadcrumbs.values", "spans",
    "logentry.message", "transaction", "fingerprint", "logger", "request.url", "items", "threads.values",
]))  # fmt: skip
def test_no_secret_passes_wherever_it_stands(secret, place):
    tree, form = secret
    payload = {"event_id": "a" * 32}
    *holders, last = place.split(".")
    at = payload
    for name in holders:
        at = at.setdefault(name, {})
    many = last in ("values", "spans", "items")
    at[last] = [{"value": tree, "description": form, "message": form, "op": "x", "type": tree}] if many else tree
    said = "".join(json.dumps(passed(kind, payload)) for kind in (("span", "log") if place == "items" else ("event",)))
    assert PLANTED not in said
    for each in ("anna.svensson@", "4111 1111", "0583 9825", "123 45 67", "ghp_16C7", "eyJzdWIi", "planted.bearer"):
        assert each not in said


def test_a_log_line_that_was_put_together_passes_as_it_is_written(tmp_path):
    path = tmp_path / "sales.py"
    path.write_text('log.info(f"customer {name} is late")\nlog.info("customer %s", name)\n')
    filled = {"type": "log", "category": "erp", "message": "customer planted9 is late"}
    crumbs = [
        {**filled, "data": {gate.LINE: [str(path), 1, True]}},
        {**filled, "data": {gate.LINE: [str(path), 7, True]}},
        {**filled, "message": "customer %s", "data": {gate.LINE: [str(path), 2, False]}},
        {**filled, "data": {gate.LINE: [str(path), 7, False]}},
    ]
    left = passed("event", {"breadcrumbs": {"values": crumbs}, "logentry": {"message": "a %s", "formatted": PLANTED}})
    assert [each["message"] for each in left["breadcrumbs"]["values"]] == [
        "customer {name} is late", "(text put together before it was logged, sales.py:7)", "customer %s",
        "(text put together before it was logged, sales.py:7)",
    ]  # fmt: skip
    assert left["logentry"] == {"message": "a %s"}
    place = {"code.file.path": str(path), "code.line.number": 1}
    items = [
        {"body": filled["message"], "attributes": wrapped(place)},
        {"body": filled["message"], "attributes": wrapped({"sentry.message.template": filled["message"], **place})},
        {"body": filled["message"], "attributes": {}},
    ]
    assert [each["body"] for each in passed("log", {"items": items})["items"]] == [
        "customer {name} is late", "customer {name} is late", "(text put together before it was logged, ?:?)",
    ]  # fmt: skip
