"""A host with a Sentry of its own, set up before or after us: its client stays, and nothing crosses over."""

import ast
import json
import os

import pytest
from acceptance.host import SDKS, sdk_name, with_sdk
from receiver import Receiver

pytest.importorskip("sentry_sdk")

SHOP = "def f(): raise ValueError('ours')\n"
MONITORS = """
version: 1
modules: {m: {}}
sentry: {dsn: "${SENTRY_DSN:-}", traces_sample_rate: 1.0, tags: {whose: agents}}
monitors: [{target: shop.f, module: m, operation: f}]
"""
BY_SDK = MONITORS.replace("sentry: {", "sentry: {tracing: sdk, ")
MAIN = """
import os, sys
def init():
    import sentry_sdk
    from sentry_sdk.integrations.django import DjangoIntegration
    sentry_sdk.init(
        auto_enabling_integrations=False, integrations=[DjangoIntegration()],  # not every framework that is installed
        dsn=os.environ["HOST_DSN"], release="host@1", environment="hosts", traces_sample_rate=1.0,
        before_send=lambda event, hint: (event.setdefault("tags", {}).update(hook="hosts"), event)[1],
    )
    sentry_sdk.set_tag("whose", "hosts")
    sentry_sdk.set_user({"id": "host-user"})
if "before" in sys.argv: init()
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django; django.setup()
import django.core.handlers.wsgi
if "after" in sys.argv: init()
import sentry_sdk
client = sentry_sdk.get_client() if hasattr(sentry_sdk, "get_client") else sentry_sdk.Hub.current.client
assert client.options["dsn"] == os.environ["HOST_DSN"], client.options["dsn"]
import shop
try: shop.f()
except ValueError as error:
    if "capture" in sys.argv: sentry_sdk.capture_exception(error)
with sentry_sdk.start_transaction(op="x", name="hosts transaction"):
    try: shop.f()
    except ValueError: pass
sentry_sdk.capture_message("hosts message")
sentry_sdk.flush(0.1 if "nobody listens" in sys.argv else 30)
"""
SETTINGS = "SECRET_KEY = 'x'\nINSTALLED_APPS = []\nUSE_TZ = True\n"


def own_spans(transaction):
    """Without the requests of the SDK's own transport, which some of its versions trace."""
    return [span["description"] for span in transaction["spans"] if not span["op"].startswith("http")]


@pytest.fixture
def shop(host):
    pytest.importorskip("django")
    host.write(shop__py=SHOP, main__py=MAIN, settings__py=SETTINGS, monitors__yaml=MONITORS)
    return host


@pytest.mark.parametrize("sdk", SDKS, ids=sdk_name)
@pytest.mark.parametrize("when", ["before", "after"])
def test_its_client_stays_and_ours_go_to_our_dsn_only(shop, when, sdk):
    with Receiver() as ours, Receiver(strict=False) as theirs:
        done = shop.run("main.py", when, "capture", SENTRY_DSN=ours.dsn, HOST_DSN=theirs.dsn, PYTHONPATH=with_sdk(sdk))
        shop.agent("spool", "flush", SENTRY_DSN=ours.dsn)
        assert "agent:" not in done.stderr
        assert [event["tags"]["erp.operation"] for event in ours.events] == ["f", "f"]
        assert {event["tags"]["whose"] for event in ours.events} == {"agents"}
        assert all("user" not in event and "hook" not in event["tags"] for event in ours.events)
        assert ours.transactions == []
        assert len(theirs.events) == 2  # its own exception and its own message
        assert {event["tags"]["whose"] for event in theirs.events} == {"hosts"}
        assert {event["tags"]["hook"] for event in theirs.events} == {"hosts"}
        assert {event["release"] for event in theirs.events} == {"host@1"}
        assert all("erp.operation" not in event["tags"] for event in theirs.events)
        (transaction,) = theirs.transactions
        assert own_spans(transaction) == []
        assert all("erp" not in event.get("contexts", {}) for event in theirs.events)


@pytest.mark.parametrize("sdk", SDKS, ids=sdk_name)
@pytest.mark.parametrize("when", ["before", "after"])
def test_without_a_dsn_of_ours_its_client_is_used_and_one_failure_is_one_event(shop, when, sdk):
    with Receiver(strict=False) as theirs:
        done = shop.run("main.py", when, "capture", HOST_DSN=theirs.dsn, PYTHONPATH=with_sdk(sdk))
        assert "agent:" not in done.stderr
        ours = [event for event in theirs.events if "erp.operation" in event.get("tags", {})]
        others = [event for event in theirs.events if event not in ours]
        assert [event["tags"]["erp.operation"] for event in ours] == ["f", "f"]
        assert {event["tags"]["hook"] for event in ours} == {"hosts"}, "its hooks see what leaves through it"
        assert [event.get("message") or event["logentry"]["message"] for event in others] == ["hosts message"]
        (transaction,) = theirs.transactions
        assert own_spans(transaction) == ["f"]
    assert len(shop.agent("events", "--format", "json").stdout.splitlines()) == 2, "kept on disk as well"
    assert shop.events() == [], "and not to be sent"


@pytest.mark.parametrize("sdk", SDKS, ids=sdk_name)
@pytest.mark.parametrize("when", ["before", "after"])
def test_with_one_dsn_for_both_one_failure_is_one_event(shop, when, sdk):
    """Both read SENTRY_DSN."""
    with Receiver(strict=False) as both:
        done = shop.run("main.py", when, "capture", SENTRY_DSN=both.dsn, HOST_DSN=both.dsn, PYTHONPATH=with_sdk(sdk))
        shop.agent("spool", "flush", SENTRY_DSN=both.dsn)
        assert "agent:" not in done.stderr
        ours = [event for event in both.events if "erp.operation" in event.get("tags", {})]
        others = [event for event in both.events if event not in ours]
        assert [event["tags"]["erp.operation"] for event in ours] == ["f", "f"]
        assert all("hook" not in event["tags"] for event in ours), "sent by the agent"
        assert [event.get("message") or event["logentry"]["message"] for event in others] == ["hosts message"]


def test_status_warns_of_two_clients_for_one_project(shop):
    for theirs, warned in (("http://b@127.0.0.1:9/1", True), ("http://a@127.0.0.1:9/2", False)):
        shop.run("main.py", "before", "nobody listens", SENTRY_DSN="http://a@127.0.0.1:9/1", HOST_DSN=theirs)
        said = " ".join(shop.agent("status", SENTRY_DSN="http://a@127.0.0.1:9/1").stdout.split())
        assert ("sends to the project of sentry.dsn as well" in said) == warned, said


def test_a_hosts_client_without_a_dsn_is_left_alone(shop):
    shop.write(main__py="import sentry_sdk, shop\nsentry_sdk.init()\ntry: shop.f()\nexcept ValueError: pass\n")
    shop.run("main.py")
    assert len(shop.events()) == 1


REQUESTS = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
if "HOST_DSN" in os.environ:
    import sentry_sdk
    sentry_sdk.init(dsn=os.environ["HOST_DSN"], release="host@1")
elif os.environ["LOADS_SDK"]:
    import sentry_sdk
import django; django.setup()
from django.core.wsgi import get_wsgi_application
from django.test import RequestFactory
serve = get_wsgi_application()
for path in ("/fine/", "/dealt-with/", "/by-hand/", "/crash/", "/unwatched/"):
    answer = serve(RequestFactory().get(path).environ, lambda *_: None); list(answer); answer.close()
if "sentry_sdk" in sys.modules:
    import sentry_sdk
    client = sentry_sdk.get_client() if hasattr(sentry_sdk, "get_client") else sentry_sdk.Hub.current.client
    client.session_flusher.flush()
    sentry_sdk.flush(5)
else:
    assert not os.environ["LOADS_SDK"]
"""
URLS = """
import agent, shop
from django.http import HttpResponse
from django.urls import path
def fine(request): return HttpResponse("fine")
def dealt_with(request):
    try: shop.f()
    except ValueError: return HttpResponse("sorry")
def by_hand(request):
    try: int("x")
    except ValueError as error: agent.capture_erp_error(error, "m")
    return HttpResponse("sorry")
def crash(request): shop.f()
def unwatched(request): raise KeyError("unwatched")
urlpatterns = [path(name.replace("_", "-") + "/", globals()[name]) for name in
               ("fine", "dealt_with", "by_hand", "crash", "unwatched")]
"""


@pytest.mark.parametrize("whose", ["nobody's", "ours", "ours, traced", "the host's"])
@pytest.mark.parametrize("sdk", SDKS, ids=sdk_name)
def test_release_health_is_right_where_we_report_what_the_sdk_would(host, sdk, whose):
    """What somebody dealt with is an errored session, what nobody dealt with a crashed one, whoever reports it.

    In the host's own sessions is what its client sees: what somebody dealt with is nothing to it. The client is ours where something is traced or the host has loaded the SDK; otherwise there is none.
    """
    pytest.importorskip("django")
    monitors = MONITORS if whose == "ours, traced" else MONITORS.replace("sample_rate: 1.0", "sample_rate: 0.0")
    host.write(
        shop__py=SHOP, monitors__yaml=monitors, urls__py=URLS, main__py=REQUESTS,
        settings__py=SETTINGS + "ROOT_URLCONF = 'urls'\nALLOWED_HOSTS = ['*']\n",
    )  # fmt: skip
    with Receiver(strict=whose != "the host's") as sentry:
        dsn = {"SENTRY_DSN": sentry.dsn, "SENTRY_RELEASE": "erp@1"}
        dsn = {"HOST_DSN": sentry.dsn} if whose == "the host's" else dsn
        loads = {"LOADS_SDK": "1" if whose == "ours" else ""}
        done = host.run("main.py", PYTHONPATH=with_sdk(sdk), **dsn, **loads)
        assert "agent:" not in done.stderr, done.stderr
        host.agent("spool", "flush", **dsn)
        handled = {}
        for event in sentry.events:
            (value,) = event["exception"]["values"]
            handled[event.get("tags", {}).get("erp.monitor", value["type"])] = value["mechanism"].get("handled")
        sessions = [json.loads(p) for e in sentry.envelopes for h, p in e.items if h["type"] == "sessions"]
    assert len(handled) == 3
    if whose == "the host's":
        assert handled["KeyError"] is False, "the SDK's own"
    else:
        assert handled["unmonitored.request"] is False
        assert handled["f"] is False
        assert handled["capture.error"] is True
    buckets = [bucket for held in sessions for bucket in held["aggregates"]]  # one for each minute
    ended = {how: sum(bucket.get(how, 0) for bucket in buckets) for how in ("exited", "errored", "crashed")}
    dealt_with = {"exited": 3, "errored": 0} if whose == "the host's" else {"exited": 1, "errored": 2}
    assert ended == {**dealt_with, "crashed": 2}


@pytest.mark.parametrize("sdk", SDKS, ids=sdk_name)
def test_events_take_over_what_the_scope_of_our_own_client_knows(host, sdk):
    host.write(
        shop__py=SHOP + "def start():\n    f()\n",
        monitors__yaml=BY_SDK.replace("[{target", "[{target: shop.start, kind: transaction}, {target"),
        main__py=(
            "import shop\ndef quiet(call):\n    try: call()\n    except ValueError: pass\n"
            "quiet(shop.start)\nimport sentry_sdk\nsentry_sdk.set_tag('plant', 'UME')\n"
            "sentry_sdk.set_user({'id': 7, 'username': 'planted-name'})\n"
            "sentry_sdk.add_breadcrumb(category='query', message=\"SELECT 'planted-literal'\", data={'x': 'planted-data'})\n"
            "quiet(shop.f)\n"
        ),
    )  # fmt: skip
    with Receiver() as sentry:
        done = host.run("main.py", SENTRY_DSN=sentry.dsn, PYTHONPATH=with_sdk(sdk))
        host.agent("spool", "flush", SENTRY_DSN=sentry.dsn)
        assert "agent:" not in done.stderr, done.stderr
        before, after = sentry.events
    assert before["tags"].get("plant") is None
    assert "breadcrumbs" not in before
    assert after["tags"]["plant"] == "UME"
    assert after["user"] == {"id": "7"}
    (crumb,) = after["breadcrumbs"]["values"]
    assert crumb["message"] == "SELECT %s"
    assert crumb["timestamp"].endswith("Z")
    del after["exception"]  # whose source lines are the fixture's
    assert "planted" not in str(after)


@pytest.mark.parametrize("sdk", SDKS, ids=sdk_name)
def test_ours_is_set_up_without_importing_a_framework_or_running_git(host, sdk, tmp_path):
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.write_text(f"#!/bin/sh\ntouch {tmp_path}/git-was-run\n")
    git.chmod(0o755)
    host.write(
        shop__py="def start(): pass\n",
        monitors__yaml=BY_SDK.replace("[{target: shop.f", "[{target: shop.start, kind: transaction"),
        main__py=(
            "import shop, sys\nprint('sentry_sdk' in sys.modules)\nshop.start()\nprint('sentry_sdk' in sys.modules)\n"
            "print({name.partition('.')[0] for name in sys.modules} &\n"
            "      {'django', 'celery', 'channels', 'gevent', 'eventlet', 'asyncio', 'subprocess'} or {'asyncio'})\n"
        ),
    )  # fmt: skip
    with Receiver() as sentry:
        path = f"{git.parent}:{os.environ['PATH']}"
        done = host.run("main.py", SENTRY_DSN=sentry.dsn, PYTHONPATH=with_sdk(sdk), PATH=path)
        host.agent("spool", "flush", SENTRY_DSN=sentry.dsn)
        (transaction,) = sentry.transactions
    before, after, imported = done.stdout.splitlines()
    assert (before, after) == ("False", "True")
    assert set(ast.literal_eval(imported)) <= {"asyncio", "subprocess"}, "what the SDK itself is made of"
    assert not (tmp_path / "git-was-run").exists()
    assert "release" not in transaction
