"""A Sentry client of the host's own: what it sends is on disk before its call returns, and reaches the host's Sentry."""

import json
import os
import signal
import subprocess
import sys

import pytest
from acceptance.host import SDKS, sdk_name, with_sdk
from receiver import HANG, Answer, Receiver

pytest.importorskip("sentry_sdk")

MONITORS = "version: 1\nmodules: {m: {}}\nsentry: {dsn: '${SENTRY_DSN:-}'}\nmonitors: [{target: shop.f, module: m}]\n"
INIT = """
import json, os, signal, sys, sentry_sdk
OPTIONS = json.loads(os.environ.get("OPTIONS", "{}"))
sentry_sdk.init(dsn=os.environ["HOST_DSN"], release="host@1", traces_sample_rate=1.0, send_default_pii=True,
                auto_enabling_integrations=False, **OPTIONS)  # importing every framework that is installed takes two seconds
sentry_sdk.set_user({"id": "7", "email": "person@example.com"})
def client():
    return sentry_sdk.get_client() if hasattr(sentry_sdk, "get_client") else sentry_sdk.Hub.current.client
"""
ALL_KINDS = """
sentry_sdk.capture_message("plain")
with sentry_sdk.push_scope() as scope:
    scope.add_attachment(bytes=b"attached \\x00 bytes", filename="a.bin")
    sentry_sdk.capture_message("with a file")
with sentry_sdk.start_transaction(op="x", name="work"): pass
from sentry_sdk import crons
crons.capture_checkin("nightly", status="ok")
from sentry_sdk.sessions import auto_session_tracking
with auto_session_tracking(session_mode="request"): pass
client().session_flusher.flush()
if hasattr(sentry_sdk, "logger"):
    sentry_sdk.logger.info("a line of the log")
if hasattr(sentry_sdk, "metrics") and hasattr(sentry_sdk.metrics, "count"):
    sentry_sdk.metrics.count("orders", 1)
if getattr(client(), "log_batcher", None): client().log_batcher.flush()
if getattr(client(), "metrics_batcher", None): client().metrics_batcher.flush()
"""
ENDS = {"exit": "os._exit(0)", "kill": "os.kill(os.getpid(), signal.SIGKILL)"}


@pytest.fixture(params=SDKS, ids=sdk_name)
def shop(host, request):
    host.write(shop__py="def f(): raise ValueError('ours')\n", monitors__yaml=MONITORS)
    host.sdk = request.param
    return host


def run(shop, code, theirs=None, *, check=True, dsn=None, options=None, **extra):
    shop.write(main__py=INIT + code)
    settings = {
        "PYTHONPATH": with_sdk(shop.sdk),
        "HOST_DSN": dsn or theirs.dsn,
        "OPTIONS": json.dumps(options or {}),
        **extra,
    }
    return shop.run("-W", "ignore", "main.py", check=check, **settings)


def flush(shop, *arguments, **extra):
    return shop.agent("spool", "flush", *arguments, **extra)


def kinds(receiver):
    return sorted(headers["type"] for envelope in receiver.envelopes for headers, _ in envelope.items)


def waiting(shop):
    return [path for path in shop.state.glob("spool/clients/*/new/*")]


@pytest.mark.parametrize("end", ENDS)
def test_every_kind_is_kept_when_its_call_returns_and_delivered_by_whoever_comes(shop, theirs, end):
    theirs.program(default=503)
    options = {"enable_logs": True} if shop.sdk is None else {}
    done = run(shop, ALL_KINDS + ENDS[end], theirs, check=False, options=options)
    assert done.returncode in (0, -signal.SIGKILL)
    assert done.stderr == ""
    assert theirs.envelopes == []
    theirs.program(default=200)
    done = flush(shop)
    assert done.returncode == 0, done.stdout + done.stderr
    found = set(kinds(theirs))
    assert {"event", "attachment", "transaction", "check_in", "sessions"} <= found
    if shop.sdk is None:
        assert {"log", "trace_metric"} <= found
    assert waiting(shop) == []


def test_what_arrives_is_what_the_client_would_have_sent(shop, theirs):
    run(shop, ALL_KINDS.replace('"plain"', '"plain", level="warning"'), theirs)
    flush(shop)
    plain = next(event for event in theirs.events if "plain" in json.dumps(event.get("message", event.get("logentry"))))
    assert plain["user"] == {"id": "7", "email": "person@example.com"}, "its privacy is its own affair"
    assert plain["release"] == "host@1"
    assert "erp" not in json.dumps(plain)
    (attachment,) = [
        data for each in theirs.envelopes for headers, data in each.items if headers["type"] == "attachment"
    ]
    assert attachment == b"attached \x00 bytes"
    for request in theirs.requests:
        assert request.path == "/api/42/envelope/"
        assert request.headers["User-Agent"].startswith("sentry.python/")
        assert "sentry_key=public" in request.headers["X-Sentry-Auth"]


def test_flush_and_close_mean_what_they_mean(shop, theirs):
    code = """
def waiting():
    return sum(name.endswith(".envelope") for _, _, names in os.walk(os.environ["AGENT_STATE_DIR"]) for name in names)
sentry_sdk.capture_message("one")
sentry_sdk.flush(20)
print(waiting(), flush=True)
sentry_sdk.capture_message("two")
client().close(20)
print(waiting(), flush=True)
os._exit(0)
"""
    done = run(shop, code, theirs)
    assert done.stdout.split() == ["0", "0"]
    assert kinds(theirs).count("event") == 2


def test_a_sentry_that_hangs_holds_the_host_as_long_as_the_client_says(shop, theirs):
    theirs.program(default=HANG)
    done = run(shop, "sentry_sdk.capture_message('one')", theirs, options={"shutdown_timeout": 0.3})
    assert "attempting to send" in done.stderr, "the client's own words at the end, as without the agent"
    assert len(waiting(shop)) == 1
    theirs.program(default=200)
    theirs.release()
    theirs.wait_for(1)  # by the courier, once the request that hangs has ended
    assert kinds(theirs) == ["event"]


def test_children_keep_and_deliver_for_themselves(shop, theirs):
    code = """
ids = [sentry_sdk.capture_message("parent")]
for _ in range(3):
    reader, writer = os.pipe()
    if not os.fork():
        os.write(writer, sentry_sdk.capture_message("child").encode())
        os._exit(0)
    ids.append(os.read(reader, 100).decode())
    os.wait()
print(*ids)
"""
    ids = run(shop, code, theirs).stdout.split()
    flush(shop)
    # A child may have ended between the answer and the removal of the file: then that event comes twice.
    assert {event["event_id"] for event in theirs.events} == set(ids)
    assert len(ids) == len(set(ids)) == 4


def test_each_destination_has_a_folder_limits_and_a_quarantine_of_its_own(shop, theirs):
    with Receiver() as ours, Receiver(strict=False) as others:
        theirs.program(default=Answer(429, {"X-Sentry-Rate-Limits": "600::key"}))
        others.program(default=413)
        code = """
import shop
for dsn in (os.environ["HOST_DSN"], os.environ["OTHER_DSN"]):
    sentry_sdk.init(dsn=dsn, auto_enabling_integrations=False)
    sentry_sdk.capture_message("theirs")
    sentry_sdk.flush(1)
try: shop.f()
except ValueError: pass
"""
        done = run(shop, code, theirs, OTHER_DSN=others.dsn, SENTRY_DSN=ours.dsn)
        flush(shop, SENTRY_DSN=ours.dsn)
        assert done.stderr == ""
        assert [event["tags"]["erp.module"] for event in ours.events] == ["m"]
        assert theirs.envelopes == others.envelopes == []
        done = shop.agent("spool", "status", "--format", "json", SENTRY_DSN=ours.dsn)
        status = json.loads(done.stdout)
        assert status["waiting"]["number"] == status["set_aside"]["number"] == 0
        clients = {each["client_of"].split(":")[2].split("/")[0]: each for each in status["clients"]}
        held, aside = clients[str(theirs.port)], clients[str(others.port)]
        assert (held["waiting"]["number"], held["set_aside"]["number"]) == (1, 0)
        assert (aside["waiting"]["number"], aside["set_aside"]["number"]) == (0, 1)
        assert any(line.startswith("Sentry limits everything; next attempt in ") for line in held["why"])
        assert [reason[:8] for reason in aside["reasons"]] == ["HTTP 413"]


def test_the_clients_own_way_to_its_sentry_is_taken_by_others_too(shop, theirs):
    """The receiver plays the proxy: what it is asked for is a whole address."""
    shop.write(monitors__yaml=MONITORS + "delivery: {courier: false}\n")
    theirs.program(default=503)
    proxy = f"http://127.0.0.1:{theirs.port}"
    options = {"http_proxy": proxy, "proxy_headers": {"X-Pass": "open"}}
    dsn = "http://public@sentry.invalid/7"
    run(shop, "sentry_sdk.capture_message('one')\nos._exit(0)", dsn=dsn, options=options)
    theirs.program(default=200)
    assert flush(shop).stdout == "1 delivered to http://sentry.invalid/7 for the host's own client.\n"
    request = theirs.requests[-1]
    assert request.path == "http://sentry.invalid/api/7/envelope/"
    assert request.headers["X-Pass"] == "open"


def test_what_another_client_left_is_delivered_by_the_next_process_with_any(shop, theirs):
    run(shop, "sentry_sdk.capture_message('left')\nos._exit(0)", dsn=theirs.dsn)
    with Receiver(strict=False) as others:
        code = "import time\nsentry_sdk.capture_message('new')\nsentry_sdk.flush(5)\nsys.stdin.readline()"
        shop.write(main__py=INIT + code)
        path = os.pathsep.join(filter(None, [shop.environment()["PYTHONPATH"], shop.sdk]))
        environment = shop.environment(PYTHONPATH=path, HOST_DSN=others.dsn)
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "main.py"], cwd=shop.folder, env=environment, stdin=subprocess.PIPE
        )
        theirs.wait_for(1)
        others.wait_for(1)
        process.communicate(b"\n", timeout=30)
        assert process.returncode == 0
        texts = [
            [each.get("message") or each["logentry"]["message"] for each in receiver.events]
            for receiver in (theirs, others)
        ]
    assert [set(found) for found in texts] == [{"left"}, {"new"}], "each to its own Sentry, and nothing to the other"


def test_switched_off_the_client_sends_for_itself(shop, theirs):
    shop.write(monitors__yaml="version: 1\ndelivery: {spool: {host_client: false}}\n")
    run(shop, "sentry_sdk.capture_message('one')", theirs)
    assert kinds(theirs).count("event") == 1
    assert not (shop.state / "spool").exists()


def test_a_transport_of_the_hosts_own_is_left_alone_and_status_says_so(shop, theirs):
    code = """
from sentry_sdk.transport import HttpTransport
class Own(HttpTransport): pass
sentry_sdk.init(dsn=os.environ["HOST_DSN"], transport=Own, auto_enabling_integrations=False)
sentry_sdk.capture_message("one")
"""
    run(shop, code, theirs)
    assert kinds(theirs).count("event") == 1
    assert not (shop.state / "spool").exists()
    said = [process["clients"] for process in shop.status()]
    assert said == [["it sends for itself: it has a transport of its own, Own"]]


def test_a_folder_that_cannot_be_written_costs_the_host_nothing(shop, theirs):
    (shop.state_base).write_text("a file where the folder should be")
    done = run(shop, "sentry_sdk.capture_message('one')\nsentry_sdk.flush(10)", theirs)
    assert kinds(theirs).count("event") == 1
    assert all(line.startswith("agent: ") for line in done.stderr.splitlines())
