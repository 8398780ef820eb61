from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import PLATFORM, a_monitor, an_observation, built, nothing_own, sentry

from agent.base.model import Captured
from agent.base.version import __version__
from agent.observe.event import event, stack, the_erp
from agent.observe.event.encode import encode
from agent.observe.event.wording import duration_text
from agent.privacy import names


def raised(make, *, depth=0):
    """The exception that `make` raises, with its traceback from here on."""

    def go(left):
        if left:
            go(left - 1)
        else:
            make()

    try:
        go(depth)
    except BaseException as error:
        return error
    raise AssertionError


def fail(error):
    def make():
        raise error

    return make


def test_an_error_in_the_erps_words():
    error = raised(fail(ValueError("no customer")))
    made = built(
        an_observation(
            exception=error,
            captured={"order_id": 12},
            failed={"lines": "TypeError"},
            suppressed=3,
            operations=["checkout", "create_order"],
        ),
        context={"transaction": "/orders/", "celery": {"task": "x"}, "tags": {"company": "ACME"}},
    )
    assert made["level"] == "error"
    assert made["logger"] == "erp"
    assert made["transaction"] == "/orders/"
    assert made["release"] == "erp@1.2"
    assert made["environment"] == "test"
    assert made["server_name"] == "erp-1"
    assert made["sdk"] == {"name": "erp-sentry-agent", "version": "0.1.0"}
    assert made["timestamp"] == 1_700_000_000.25
    assert made["tags"] == {
        "company": "ACME",
        "system": "demo",
        "tier": "1",
        "erp.module": "sales",
        "erp.operation": "create_order",
        "erp.kind": "function",
        "erp.monitor": "create_order",
        "erp.report": "error",
        "erp.owner": "sales-team",
    }
    assert made["contexts"]["erp"] == {
        "monitor": "create_order",
        "defined": "monitors.yaml:35",
        "operation": "create_order",
        "module": "sales",
        "kind": "function",
        "function": "sales.services.create_order",
        "owner": "sales-team",
        "duration_ms": 3200.0,
        "threshold_ms": 2000.0,
        "operations": ["checkout", "create_order"],
        "captured": {"order_id": 12},
        "capture_failed": {"lines": "TypeError"},
        "suppressed": 3,
    }
    assert made["contexts"]["celery"] == {"task": "x"}
    (value,) = made["exception"]["values"]
    assert (value["type"], value["value"]) == ("ValueError", "no customer")
    assert value["mechanism"] == {"type": "erp-agent", "handled": False, "exception_id": 0}
    assert made["fingerprint"][:-1] == ["create_order", "error", "create_order"]
    assert made["fingerprint"][-1].startswith("ValueError in test_event.")
    assert "logentry" not in made


def test_the_event_of_a_slow_call_has_its_duration_and_its_callers():
    made = built(an_observation(report="slow", severity="warning", frame=sys._getframe()))
    assert made["logentry"]["formatted"] == "create_order took 3.2 s (limit 2 s)"
    assert made["level"] == "warning"
    assert made["fingerprint"] == ["create_order", "slow", "create_order", "warning"]
    frames = made["threads"]["values"][0]["stacktrace"]["frames"]
    assert frames[-1]["function"] == "test_the_event_of_a_slow_call_has_its_duration_and_its_callers"


def test_a_rule_speaks_with_what_was_captured():
    message = "Order {order_id} of {customer} {unknown} {{x}} {order_id.real} {order_id!r} {password} {0}"
    made = built(
        an_observation(
            report="rule", message=message, captured={"order_id": 12, "customer": "{order_id}", "password": "hunter2"}
        )
    )
    assert made["logentry"]["formatted"] == (
        "Order 12 of {order_id} {unknown} {{x}} {order_id.real} {order_id!r} [Filtered] {0}"
    )
    assert made["logentry"]["message"] == message
    assert made["fingerprint"] == ["create_order", "rule", "create_order", message]


def test_an_observation_without_a_clock_or_a_frame():
    made = built(
        an_observation(
            report="audit",
            duration=None,
            threshold=None,
            monitor=a_monitor(kind="security", detail={"event_type": "login_failed"}),
        )
    )
    assert made["logentry"]["formatted"] == "create_order (login_failed)"
    assert made["tags"]["event_type"] == "login_failed"
    assert "threads" not in made
    assert encode(made)


def test_names_of_the_plan_are_not_taken_for_secrets():
    monitor = a_monitor(name="accounts.token:Token.reset")
    made = built(
        an_observation(
            report="slow", monitor=monitor, operation="reset_password", function="accounts.token:Token.reset"
        )
    )
    assert (
        made["contexts"]["erp"]["monitor"]
        == made["contexts"]["erp"]["function"]
        == made["tags"]["erp.monitor"]
        == monitor["name"]
    )
    assert made["logentry"]["formatted"] == "reset_password took 3.2 s (limit 2 s)"


def test_the_monitors_own_fingerprint():
    template = ["{{ default }}", "{customer}", "{error}", "{cause}"]
    error = raised(fail(KeyError("x")))
    made = built(
        an_observation(exception=error, monitor=a_monitor(fingerprint=template), captured={"customer": "ACME"})
    )
    assert made["fingerprint"][:3] == ["{{ default }}", "ACME", "KeyError"]


def test_the_whole_chain_oldest_first():
    def chained():
        try:
            try:
                raise KeyError("first")
            except KeyError:
                raise ValueError("second")
        except ValueError as error:
            raise RuntimeError("third") from error

    values = built(an_observation(exception=raised(chained)))["exception"]["values"]
    assert [value["value"] for value in values] == ["'first'", "second", "third"]
    assert [value["mechanism"].get("source") for value in values] == ["__context__", "__cause__", None]
    assert [value["mechanism"].get("parent_id") for value in values] == [1, 0, None]

    def hidden():
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second") from None

    assert len(built(an_observation(exception=raised(hidden)))["exception"]["values"]) == 1


def test_a_chain_that_bites_its_tail_and_one_without_end():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert len(built(an_observation(exception=one))["exception"]["values"]) == 2
    last = ValueError("0")
    for number in range(200):
        error = ValueError(str(number))
        error.__cause__ = last
        last = error
    assert len(built(an_observation(exception=last))["exception"]["values"]) == 20


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with 3.11")
def test_groups_keep_their_members():
    inner = ExceptionGroup("inner", [KeyError("a")])  # noqa: F821
    error = raised(fail(ExceptionGroup("outer", [ValueError("b"), inner])))  # noqa: F821
    values = built(an_observation(exception=error))["exception"]["values"]
    main = values[-1]
    assert main["value"] == "outer (2 sub-exceptions)"
    assert main["mechanism"]["is_exception_group"] is True
    by_id = {value["mechanism"]["exception_id"]: value for value in values}
    assert sorted(value["value"] for value in values) == ["'a'", "b", "inner (1 sub-exception)", main["value"]]
    for value in values[:-1]:
        assert value["mechanism"]["parent_id"] in by_id
        assert value["mechanism"]["source"].startswith("exceptions[")


def test_frames_have_source_and_no_variables():
    secret = "hunter2-local"  # noqa: F841  (what must not be found)
    error = raised(fail(ValueError("x")))
    made = built(an_observation(exception=error, frame=sys._getframe()))
    frames = made["exception"]["values"][0]["stacktrace"]["frames"]
    last = frames[-1]
    assert last["context_line"].strip() == "raise error"
    assert len(last["pre_context"]) == 5
    assert last["filename"].endswith("test_event.py")
    assert last["abs_path"] == __file__
    assert last["module"] == __name__
    assert last["in_app"] is True
    assert all("vars" not in frame for frame in frames)
    assert any(frame["in_app"] is False for frame in frames)  # pytest's own, in site-packages


def test_own_frames_are_left_out_and_named_packages_are_in_app():
    error = raised(fail(ValueError("x")))
    trace = stack.stacktrace(error.__traceback__, sys._getframe(), own=lambda code: code.co_name == "go")
    assert all(not frame["function"].endswith("go") for frame in trace["frames"])
    assert stack.stacktrace(error.__traceback__, None, own=lambda code: True) is None
    installed = {"__name__": "wares.stock"}
    exec(compile("def call(function): return function()", "/srv/lib/site-packages/wares/stock.py", "exec"), installed)

    def frames():
        trace = installed["call"](lambda: stack.stacktrace(None, sys._getframe(), own=nothing_own))
        return [frame["in_app"] for frame in trace["frames"] if frame["module"] == "wares.stock"]

    the_erp.follow(["wares"])
    try:
        assert frames() == [True]
    finally:
        the_erp.follow([])
    assert frames() == [False]


def test_recursion_keeps_both_ends():
    error = raised(fail(ValueError("x")), depth=300)
    trace = stack.stacktrace(error.__traceback__, None, own=nothing_own)
    assert len(trace["frames"]) == 100
    assert trace["frames"][0]["function"].endswith("raised")
    assert trace["frames"][-1]["function"].endswith("make")
    assert trace["frames_omitted"] == [50, 303 - 50]


def test_sources_that_cannot_be_read(tmp_path):
    import os

    pipe = tmp_path / "pipe.py"
    os.mkfifo(pipe)
    for name in (str(pipe), "<string>", str(tmp_path / "gone.py"), str(tmp_path), "\ud800.py"):
        namespace: dict[str, object] = {"__name__": None}
        exec(compile("def f():\n raise ValueError('x')", name, "exec"), namespace)
        error = raised(namespace["f"])
        (frame,) = stack.stacktrace(error.__traceback__, None, own=nothing_own)["frames"][-1:]
        assert "context_line" not in frame


@pytest.mark.parametrize(
    ("installed", "ours"), [("/v/lib/python3/site-packages/depot/_fast.so", False), ("/srv/erp/depot/_fast.so", True)]
)
def test_frames_of_compiled_modules_name_a_file_that_is_nowhere(installed, ours):
    names.configure(())
    namespace = {"__name__": "depot._fast", "__file__": installed}
    exec(compile("def f():\n raise ValueError('x')", "lib/depot/_fast.pyx", "exec"), namespace)
    code = namespace["f"].__code__
    if sys.version_info >= (3, 11):
        code = code.replace(co_qualname="depot._fast.f")
    namespace["f"].__code__ = code.replace(co_name="depot._fast.f")
    error = raised(namespace["f"])
    (frame,) = stack.stacktrace(error.__traceback__, None, own=nothing_own)["frames"][-1:]
    assert (frame["abs_path"], frame["function"], frame["module"]) == ("lib/depot/_fast.pyx", "f", "depot._fast")
    assert frame["in_app"] is ours


def test_the_user_is_an_id_unless_configured():
    user = {"id": 7, "username": "bob", "email": "bob@example.com", "ip": "10.0.0.1", "permissions": ["a.b"]}
    observation = an_observation(report="audit")
    assert built(observation, context={"user": user})["user"] == {"id": "7"}
    everything = built(observation, context={"user": user}, user=["id", "username", "email", "ip", "permissions"])[
        "user"
    ]
    assert everything == {
        "id": "7",
        "username": "bob",
        "email": "bob@example.com",
        "ip_address": "10.0.0.1",
        "permissions": ["a.b"],
    }
    assert "user" not in built(observation, context={"user": user}, user=[])


def test_the_request_shows_names_not_values():
    request = {"method": "GET", "path": "/o/1/", "parameters": ["page", "token"], "route": "o/<id>/", "status": 200}
    made = built(an_observation(report="audit"), context={"request": request})
    assert made["request"] == {"method": "GET", "url": "/o/1/", "query_string": [["page", ""], ["token", "[Filtered]"]]}
    assert made["contexts"]["request"]["route"] == "o/<id>/"


def test_tags_fit_sentry():
    made = built(
        an_observation(monitor=a_monitor(tags={"größe x" + "y" * 40: "a\nb" + "c" * 400, "api_key": "hunter2"}))
    )
    names = set(made["tags"])
    assert all(len(name) <= 32 and name.isascii() for name in names)
    assert all(len(value) <= 200 and "\n" not in value for value in made["tags"].values())
    assert made["tags"]["api_key"] == "[Filtered]"


def test_equal_input_gives_equal_bytes():
    error = raised(fail(ValueError("x")))
    first, second = (encode(built(an_observation(exception=error))) for _ in range(2))
    assert first == second
    given = {"sentry": sentry(), "context": {}, "own": nothing_own, "platform": PLATFORM}
    ids = {event.build(an_observation(report="audit"), **given)["event_id"] for _ in range(50)}
    assert len(ids) == 50
    assert all(len(each) == 32 for each in ids)


def test_a_duration_that_is_not_known_is_left_out():
    made = built(an_observation(exception=ValueError(), duration=float("-inf")))
    assert "duration_ms" not in made["contexts"]["erp"]
    assert json.loads(encode(made), parse_constant=pytest.fail)


def test_any_text_encodes():
    made = built(an_observation(exception=ValueError("\ud800 \0 \x1b[31m ü")), context={"x": {"\udfff": "\ud83d"}})
    again = json.loads(encode(made).decode("utf-8"))
    assert again["exception"]["values"][0]["value"].startswith("\\ud800")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0000005, "0 µs"),
        (0.0005, "500 µs"),
        (0.32, "320 ms"),
        (3.2, "3.2 s"),
        (59.94, "59.9 s"),
        (125, "2 min 5 s"),
        (120, "2 min"),
        (3600, "1 h"),
        (5400, "1 h 30 min"),
        (None, ""),
        (float("-inf"), ""),
        (0.9996, "1 s"),
        (59.97, "1 min"),
        (3599.9, "1 h"),
    ],
)
def test_durations_as_people_write_them(seconds, text):
    assert duration_text(seconds) == text


SECRETS = [
    "bob.smith@example.com",
    "4111 1111 1111 1111",
    "5555-5555-5555-4444",
    "DE89 3704 0044 0532 0130 00",
    "GB82WEST12345698765432",
    "+49 170 1234567",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92",
]
NAMED = ["password", "apiKey", "X-Auth-Token", "session_id", "clientSecret", "card_cvv", "Authorization"]


class Document:
    def __init__(self, **held):
        self.__dict__.update(held)


@st.composite
def planted(draw):
    """An observation with secrets in every place that we know of, and what they are."""
    secret, other = draw(st.sampled_from(SECRETS)), draw(st.sampled_from(SECRETS))
    hidden = "hunter2" + draw(st.text("abcXYZ019!$%^*_-", min_size=3, max_size=12))
    name = draw(st.sampled_from(NAMED))
    around = draw(st.sampled_from(["{}", "for {} now", "<{}>", "['{}']", "x={}", "\n{}\n", "/a/{}/b", "?q={}&p=1"]))
    text = around.format(secret)
    pad = draw(st.sampled_from(["", "long " * 300, "y" * 990 + " ", "z" * 1990 + " "]))
    value = draw(
        st.sampled_from(
            [
                text,
                {name: hidden},
                {"a": [{name: [hidden]}]},
                {secret: 1},
                [("x", {name: {"y": hidden}})],
                [name, hidden],
                {"name": name, "value": hidden},
                f"{name}={hidden}",
                f"{name}: '{hidden}'",
                pad + text,
                Document(id=secret),
                Document(password=hidden, id=3),
                {(name, secret): 1},
                ValueError(text),
                text.encode(),
                f"postgres://u:{hidden}@db/x",
                {"headers": {name: hidden}},
                json.dumps({name: hidden}),
                repr({name: hidden}),
                f"Bearer {hidden}",
                type("Text", (str,), {})(text),
                4111111111111111,
                {1: {2: {3: {4: {5: text}}}}},
            ]
        )
    )
    error = ValueError(
        draw(st.sampled_from([text, f"{name}={hidden}", pad + text, {name: hidden}, (1, text), Document(a=hidden)]))
    )
    error.__cause__ = KeyError(other, {name: hidden})
    error.__cause__.__context__ = OSError(2, text, f"/x?{name}={hidden}")
    report = draw(st.sampled_from(["error", "rule", "slow", "audit"]))
    observation = an_observation(
        report=report,
        exception=error if report == "error" else None,
        message=f"{{v}} {text} {{w}}",
        frame=sys._getframe(),
        captured={"v": value, "w": text, name: hidden, other: 1},
        failed={text: text},
        monitor=a_monitor(tags={"t": text, name: hidden}, fingerprint=draw(st.sampled_from([None, ["{v}", "{w}"]]))),
    )
    context = {
        "transaction": text,
        "tags": {"x": other, name: hidden},
        "user": {"id": secret, "email": other, "username": other},
        "request": {"path": f"/{secret}/?{name}={hidden}", "parameters": [secret, name], "method": "GET"},
        "celery": {"task": text, name: hidden, "nested": {"deep": [value]}},
    }
    return observation, context, [secret, other, hidden, "4111111111111111"]


@pytest.mark.slow(reason="a large space")
@settings(max_examples=150, deadline=None)
@given(planted())
def test_no_planted_secret_is_ever_in_the_bytes(case):
    observation, context, secrets = case
    names.configure(())
    made = built(observation, context=context)
    for holder in [made.get("exception", {}).get("values", []), made.get("threads", {}).get("values", [])]:
        for each in holder:
            each.pop("stacktrace", None)  # this file's own source holds the secrets as literals: see below
    text = json.dumps(json.loads(encode(made)), ensure_ascii=False)
    for secret in secrets:
        assert secret not in text
        assert json.dumps(secret)[1:-1] not in text
    assert "hunter2" not in text
    assert len(text) < 100_000


def test_secrets_in_source_lines_go_too(tmp_path):
    source = "\n".join(
        ["def f():", *[f"    a = '{each}'" for each in SECRETS[:4]], "    password = 'hunter2'", "    raise ValueError"]
    )
    path = tmp_path / "source.py"
    path.write_text(source)
    namespace: dict[str, object] = {}
    exec(compile(source, str(path), "exec"), namespace)
    data = encode(built(an_observation(exception=raised(namespace["f"])))).decode()
    assert "hunter2" not in data
    assert not [each for each in SECRETS[:4] if each in data]
    assert "raise ValueError" in data


def test_the_platform_has_the_version_of_the_agent_and_the_name_of_the_server():
    here = event.platform_here("r")
    assert here.agent_version == __version__
    assert here.release == "r"
    assert here.server_name
    assert PLATFORM.python == sys.version.split()[0]
    assert Captured({}, []).values == {}


def test_what_passed_nothing_of_the_erps_is_grouped_by_what_was_served_and_not_by_who_called():
    """Views that return None fail in Django's code, below the same middleware of the ERP's."""
    with pytest.raises(ValueError) as caught:
        json.loads("no json")
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    seen = {}
    for route in ("/orders/", "/customers/", None):
        observation = an_observation(exception=error, frame=sys._getframe(), operation="request")
        seen[route] = built(observation, context={"transaction": route} if route else {})["fingerprint"]
    assert [each[-1] for each in seen.values()] == [
        f"json.decoder.JSONDecodeError in {place}" for place in ("/orders/", "/customers/", "request")
    ]


def test_functions_of_one_monitor_are_groups_of_their_own():
    slow = [built(an_observation(report="slow", operation=name))["fingerprint"] for name in ("one", "two")]
    assert slow == [["create_order", "slow", name, "error"] for name in ("one", "two")]


@pytest.mark.parametrize("name", ["django.request", "django.request_async"])
def test_slow_requests_of_a_pack_are_grouped_and_named_by_their_route(name):
    """One monitor serves all routes: its name alone says nothing."""
    theirs = a_monitor(name=name, kind="api", module=None, where="packs/django.yaml:126")
    slow = an_observation(monitor=theirs, report="slow", operation="django.request", duration=6.0, severity="warning")
    made = [built(slow, context={"transaction": route}) for route in ("/orders/", "/customers/")]
    assert [each["fingerprint"][-1] for each in made] == ["warning in /orders/", "warning in /customers/"]
    assert made[0]["logentry"]["message"] == "/orders/ was slow"
    known = {"transaction": "/orders/", "request": {"method": "GET", "route": "orders/"}}
    routed = built(slow, context=known)
    assert routed["logentry"]["formatted"] == "GET /orders/ took 6 s (limit 2 s)"
    assert routed["fingerprint"][-1] == "warning in GET /orders/"
    pays = {"transaction": "mutation Pay", "request": {**known["request"], "operation": "mutation Pay"}}
    asked = built(slow, context=pays)
    assert asked["logentry"]["formatted"] == "mutation Pay took 6 s (limit 2 s)"
    broken = an_observation(
        monitor=theirs, report="rule", operation="django.request", message="django.request returned 503"
    )
    assert built(broken, context=known)["logentry"]["formatted"] == "GET /orders/ returned 503"
    assert built(broken, context=known)["fingerprint"][-1] == "django.request returned 503 in GET /orders/"
    own = an_observation(monitor=a_monitor(kind="api"), report="slow", operation="create_order", severity="warning")
    assert built(own, context={"transaction": "/orders/"})["fingerprint"][-1] == "warning"
