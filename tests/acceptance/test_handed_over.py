"""Without a DSN of the agent's, a Sentry client of the host's own gets the events: what people see of that, and what not."""

import json
import os
import re

import pytest
from acceptance.host import SDKS, sdk_name, with_sdk
from receiver import Receiver

pytest.importorskip("sentry_sdk")

MONITORS = "version: 1\nmodules: {m: {}}\nmonitors: [{target: shop.f, module: m, rate_limit: off}]\n"
SHOP = "def f(): raise ValueError('ours')\n"
INIT = """
import json, os, shop, sys, sentry_sdk
def init(**options):
    sentry_sdk.init(**{"dsn": os.environ["HOST_DSN"], "release": "host@1", "auto_enabling_integrations": False, **options})
def fails():
    try: shop.f()
    except ValueError as error: return error
"""


@pytest.fixture(params=SDKS, ids=sdk_name)
def shop(host, request):
    host.write(shop__py=SHOP, monitors__yaml=MONITORS)
    host.sdk = request.param
    return host


def run(shop, code, theirs, **extra):
    shop.write(main__py=INIT + code)
    settings = {"PYTHONPATH": with_sdk(shop.sdk), "HOST_DSN": theirs.dsn, **extra}
    done = shop.run("-W", "ignore", "main.py", **settings)
    assert "agent:" not in done.stderr, done.stderr
    return done


def words(done):
    """As one line: tables are wrapped."""
    return " ".join(done.stdout.split())


def where(theirs):
    return f"http://127.0.0.1:{theirs.port}/42"


def test_status_and_events_show_that_it_was_handed_over_to_whom_and_when(shop, theirs):
    run(shop, "init()\nfails(); fails()\nsentry_sdk.flush(20)", theirs)
    assert len(theirs.events) == 2
    status = words(shop.agent("status"))
    assert f"events go to the ERP's own Sentry client, {where(theirs)}, the last 20" in status
    assert "2 reported (2 handed over to the ERP's own Sentry client), 0 expected" in status
    assert "0 waiting, 0 held back, 0 set aside" in status
    assert "spool release" not in status
    assert "no accepted event is known" not in status, "the client's own deliveries are known"
    listed = words(shop.agent("events"))
    assert f"2 handed over: to the ERP's own Sentry client, {where(theirs)}; it is not sent again" in listed
    one = words(shop.agent("events", "last"))
    assert re.search(r"handed over at 20\S+ \S+ to the ERP's own Sentry client, http", one), one
    assert "As it was handed over" in one
    assert len(shop.agent("events", "--state", "handed over", "--format", "json").stdout.splitlines()) == 2
    assert shop.agent("events", "--state", "held back", "--format", "json").stdout == ""
    assert "public" not in status + listed + one, "no key is shown"


def test_what_was_handed_over_is_never_sent_again(shop, theirs):
    run(shop, "init()\nfails()\nsentry_sdk.flush(20)", theirs)
    with Receiver() as ours:
        dsn = {"SENTRY_DSN": ours.dsn, "PYTHONPATH": with_sdk(shop.sdk)}
        shop.write(monitors__yaml=MONITORS + "sentry: {dsn: '${SENTRY_DSN}'}\n")
        done = shop.agent("spool", "release", **dsn)
        assert words(done).startswith("Nothing is held back. Not sent again: 1 event that the ERP's own Sentry client")
        assert shop.agent("spool", "flush", **dsn).stdout == "Nothing waits.\n"
        assert "held-back" not in shop.agent("status", **dsn).stdout
        assert ours.events == []
    status = words(shop.agent("spool", "status"))
    assert "1 delivered event, 1 of them handed over to the ERP's own Sentry client" in status
    assert len(theirs.events) == 1


def test_without_a_history_nothing_is_kept_of_what_was_handed_over(shop, theirs):
    shop.write(monitors__yaml=MONITORS + "delivery: {history: off}\n")
    run(shop, "init()\nfails()\nsentry_sdk.flush(20)", theirs)
    assert len(theirs.events) == 1
    assert shop.envelopes() == []
    assert not list(shop.state.glob("spool/history/**/*.handed"))
    assert "events go to the ERP's own Sentry client;" in words(shop.agent("status"))


#: Requests as a server's integration sees them: well, a failure that is dealt with, one that the host captures, one
#: that nothing handles.
REQUESTS = """
init()
from sentry_sdk.sessions import auto_session_tracking
def request(body):
    with sentry_sdk.push_scope(), auto_session_tracking(session_mode="request"):
        body()
def crashes():
    try: shop.f()
    except ValueError as error:
        event, hint = sentry_sdk.utils.event_from_exception(
            error, client_options=client().options, mechanism={"type": "web", "handled": False})
        sentry_sdk.capture_event(event, hint=hint)
def client():
    return sentry_sdk.get_client() if hasattr(sentry_sdk, "get_client") else sentry_sdk.Hub.current.client
for body in (int, fails, fails, fails, lambda: sentry_sdk.capture_exception(fails()), crashes):
    request(body)
client().session_flusher.flush()
sentry_sdk.flush(20)
"""


def test_the_hosts_release_health_is_what_it_is_without_the_agent(shop):
    ended = {}
    for agent in (True, False):
        shop.write(main__py=INIT + REQUESTS)
        path = with_sdk(shop.sdk) if agent else shop.sdk
        with Receiver(strict=False) as theirs:
            shop.run("-W", "ignore", "main.py", agent=False, HOST_DSN=theirs.dsn, PYTHONPATH=path)
            held = [json.loads(p) for e in theirs.envelopes for h, p in e.items if h["type"] == "sessions"]
            assert len(theirs.events) == (5 if agent else 2)
        buckets = [bucket for each in held for bucket in each["aggregates"]]
        ended[agent] = {how: sum(each.get(how, 0) for each in buckets) for how in ("exited", "errored", "crashed")}
    assert ended[True] == ended[False] == {"exited": 4, "errored": 1, "crashed": 1}


@pytest.mark.parametrize("drops", ["before_send=lambda event, hint: None", "sample_rate=0.0"])
def test_what_the_client_drops_is_held_back_and_counted(shop, theirs, drops):
    run(shop, f"init({drops})\nfails()\nsentry_sdk.flush(20)", theirs)
    assert theirs.events == []
    status = words(shop.agent("status"))
    assert "1 reported (0 handed over to the ERP's own Sentry client, 1 dropped by it)" in status
    assert "0 waiting, 1 held back" in status
    shop.write(monitors__yaml=MONITORS + "sentry: {dsn: '${SENTRY_DSN}'}\n")
    with Receiver() as ours:
        shop.agent("spool", "release", SENTRY_DSN=ours.dsn)
        shop.agent("spool", "flush", SENTRY_DSN=ours.dsn)
        assert len(ours.events) == 1, "nobody has it yet"


@pytest.mark.parametrize(
    ("drops", "own"),
    [("before_send=lambda event, hint: hint['exc_info'] and event", 2), ("sample_rate=0.0", 0), ("sample_rate=1.0", 0)],
)
def test_of_what_the_client_drops_its_own_report_is_no_second_one(shop, theirs, drops, own):
    """A hook that looks at the exception finds none: the agent hands over an event without objects of the host."""
    code = """
sentry_sdk.capture_exception(fails())
try:
    try: shop.f()
    except ValueError as error: raise KeyError("wrapped") from error
except KeyError as error: sentry_sdk.capture_exception(error)
sentry_sdk.flush(20)
"""
    run(shop, f"init({drops})" + code, theirs)
    tagged = ["erp.operation" in event.get("tags", {}) for event in theirs.events]
    assert tagged == ([True, True] if drops == "sample_rate=1.0" else [False] * own)


def test_what_a_limit_of_the_agents_drops_is_reported_by_the_client_as_without_the_agent(shop, theirs):
    """It has no tags of the agent's. What wraps it is the same failure; what was handed over is no second one."""
    code = """
init()
for _ in range(4):
    error = fails()
    try: raise KeyError("wrapped") from error
    except KeyError as wrapped: sentry_sdk.capture_exception(wrapped)
sentry_sdk.flush(20)
"""
    shop.write(monitors__yaml=MONITORS.replace("rate_limit: off", "rate_limit: 1/h"))
    run(shop, code, theirs)
    assert sorted("erp.operation" in event.get("tags", {}) for event in theirs.events) == [False, False, False, True]
    assert "1 reported (1 handed over to the ERP's own Sentry client), 0 expected, 3 held back by limits" in words(
        shop.agent("status", "--processes")
    )


def test_the_last_event_of_the_host_is_what_it_sent_itself_or_would_have(shop, theirs):
    """A page of an error shows its id: the event that Sentry has of it, whoever sent that."""
    code = """
init()
last = getattr(sentry_sdk, "last_event_id", None)
if last is None: sys.exit()  # 2.0 and 2.1
own = sentry_sdk.capture_message("of the ERP")
error = fails()
print(last() == own)
sentry_sdk.capture_exception(error)
print(last())
sentry_sdk.capture_message("another")
fails()
print(last())
sentry_sdk.flush(20)
"""
    done = run(shop, code, theirs)
    if not done.stdout:
        pytest.skip("this SDK has no last_event_id")
    assert len(theirs.events) == 4  # in any order
    failures = sorted((event["timestamp"], event["event_id"]) for event in theirs.events if "exception" in event)
    another = [event["event_id"] for event in theirs.events if event.get("message") == "another"]
    assert done.stdout.split() == ["True", failures[0][1], *another]


@pytest.mark.parametrize("whose", ["the client's", "the agent's"])
def test_what_the_host_captures_a_second_time_returns_the_id_of_the_event_that_is_sent(shop, theirs, whose):
    """The ERP shows it on its page of an error: whoever sends the event, support finds it under that id."""
    code = """
init()
first, second = fails(), fails()
try: raise KeyError("wrapped") from first
except KeyError as wrapped: print(sentry_sdk.capture_exception(wrapped), sentry_sdk.capture_exception(first))
print(sentry_sdk.capture_exception(second), sentry_sdk.capture_exception(LookupError("of the ERP")))
sentry_sdk.flush(20)
"""
    own = whose == "the agent's"
    if own:
        shop.write(monitors__yaml=MONITORS + "sentry: {dsn: '${SENTRY_DSN}'}\n")
    done = run(shop, code, theirs, **({"SENTRY_DSN": theirs.dsn} if own else {}))
    theirs.wait_for(3)
    wrapped, first, second, alone = done.stdout.split()
    by_message = {event["exception"]["values"][-1]["value"]: event["event_id"] for event in theirs.events}
    assert alone == by_message["of the ERP"]
    assert wrapped == first
    assert {first, second, alone} == {event["event_id"] for event in theirs.events}
    assert len(theirs.events) == 3


def test_what_came_before_the_client_was_there_is_held_back(shop, theirs):
    run(shop, "fails()\ninit()\nfails()\nsentry_sdk.flush(20)", theirs)
    assert len(theirs.events) == 1
    status = words(shop.agent("status"))
    assert "2 reported (1 handed over to the ERP's own Sentry client)" in status
    assert "what it does not take stays on this machine 0 waiting, 1 held back" in status


@pytest.mark.parametrize("client", ["init(dsn=None)", "init(dsn='')", "init(); sentry_sdk.flush(); closes()"])
def test_a_client_that_sends_nothing_takes_nothing(shop, theirs, client):
    closes = (
        "def closes():\n    (sentry_sdk.get_client() if hasattr(sentry_sdk, 'get_client') else"
        " sentry_sdk.Hub.current.client).close()\n"
    )
    run(shop, f"{closes}{client}\nfails()", theirs)
    assert theirs.events == []
    status = words(shop.agent("status"))
    assert "0 waiting, 1 held back" in status
    assert "handed over" not in status


def test_doctor_and_metrics_know_who_gets_the_events(shop, theirs):
    run(shop, "init()\nfails()\nsentry_sdk.flush(20)", theirs)
    done = shop.agent("doctor", "--format", "json")
    findings = {each["slug"]: each for each in json.loads(done.stdout)["findings"]}
    assert "dsn-missing" not in findings
    assert findings["dsn-of-the-erp"]["state"] == "ok"
    exposed = shop.agent("metrics").stdout
    assert re.search(r'^erp_agent_last_delivery_timestamp_seconds\{spool="agent"\} \d', exposed, re.M), exposed
    assert 'erp_agent_spool_envelopes{spool="agent",state="held"} 0' in exposed
    assert os.listdir(shop.state / "spool" / "held") == []


TASKS = """
import celery
from sentry_sdk.integrations.celery import CeleryIntegration
init(integrations=[CeleryIntegration()])
app = celery.Celery("shop", broker="memory://", backend="cache+memory://")
app.conf.update(task_always_eager=True, task_eager_propagates=False, broker_connection_retry_on_startup=True)
tries = []
@app.task(autoretry_for=(ValueError,), max_retries=3, retry_backoff=False, default_retry_delay=0)
def sends(until):
    tries.append(1)
    if len(tries) < until: shop.f()
fails()
for until in (3, 99):
    tries.clear()
    sends.apply(args=[until])
sentry_sdk.flush(20)
"""


def test_of_a_task_that_is_tried_again_the_last_failure_is_handed_over_and_the_figures_are_true(shop, theirs):
    pytest.importorskip("celery")
    run(shop, TASKS, theirs)
    assert [event["tags"].get("erp.operation") for event in theirs.events] == ["f", "f"]
    status = words(shop.agent("status"))
    assert "2 reported (2 handed over to the ERP's own Sentry client), 0 expected" in status
    assert "5 of attempts that were repeated" in status
    assert "0 waiting, 0 held back" in status
    shown = words(shop.agent("status", "--processes"))
    assert "2 reported (2 handed over to the ERP's own Sentry client), 0 expected, 0 held back by limits, 5 of" in shown
