"""With a DSN, the same events arrive at a Sentry endpoint: a loopback server that decodes what it is sent."""

import json

import pytest
from acceptance.host import summary
from acceptance.test_pipeline import MAIN, MONITORS, SHOP
from receiver import HANG, Receiver


@pytest.fixture
def sentry():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, main__py=MAIN, monitors__yaml=MONITORS)
    return host


def test_events_arrive_with_environment_and_release(shop, sentry):
    done = shop.run("main.py", SENTRY_DSN=sentry.dsn, SENTRY_ENVIRONMENT="staging", SENTRY_RELEASE="erp@1.2.3")
    assert done.stderr == ""
    # A program that ends leaves in the spool what it had no moment for; the next one, or a command, delivers it.
    shop.agent("spool", "flush", SENTRY_DSN=sentry.dsn) if shop.envelopes() else None
    sentry.wait_for(3)
    assert sorted(summary(event) for event in sentry.events) == [
        ("error", "reserve", "error"),
        ("rule", "reserve", "warning"),
        ("slow", "slow", "warning"),
    ]
    assert {(event["environment"], event["release"]) for event in sentry.events} == {("staging", "erp@1.2.3")}
    assert shop.envelopes() == []
    request = sentry.requests[0]
    assert request.headers["Content-Encoding"] == "gzip"


def test_each_event_keeps_its_own_id_and_fingerprint(shop, sentry):
    shop.run("main.py")  # without a DSN: kept on disk
    kept = {event["event_id"] for event in shop.events()}
    assert len(kept) == 3
    for event in shop.events():
        assert event["fingerprint"][0] in ("reserve", "slow")
        assert len(event["fingerprint"]) == 4  # monitor, report, operation, cause


def test_a_sentry_that_hangs_does_not_hold_the_host(shop, sentry):
    sentry.program(default=HANG)
    done = shop.run("main.py", timeout=60, SENTRY_DSN=sentry.dsn)  # the receiver hangs until the test ends
    assert done.stderr == ""
    assert len(shop.events()) == 3, "what could not be delivered stays on disk"


def test_a_sentry_that_is_down(shop):
    done = shop.run("main.py", SENTRY_DSN="http://key@127.0.0.1:9/1")
    assert done.stderr == ""
    assert len(shop.events()) == 3


@pytest.mark.parametrize("kind", ["error", "message", "performance", "all"])
def test_the_test_command(shop, sentry, kind):
    done = shop.agent("test", f"--{kind}", SENTRY_DSN=sentry.dsn)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("accepted") == (3 if kind == "all" else 1)
    if kind in ("error", "all"):
        (event,) = [event for event in sentry.events if "exception" in event]
        assert event["exception"]["values"][-1]["type"] == "AgentTestError"
    if kind in ("performance", "all"):
        (transaction,) = sentry.transactions
        assert [span["op"] for span in transaction["spans"]] == ["db.query", "function"]


def test_the_test_command_says_when_sentry_refuses(shop, sentry):
    sentry.program(default=403)
    done = shop.agent("test", "--error", SENTRY_DSN=sentry.dsn)
    assert done.returncode == 1
    assert "403" in done.stdout
    assert shop.agent("test", "--error").returncode == 2
    assert shop.agent("test", SENTRY_DSN=sentry.dsn).returncode == 2
    assert "no DSN" in shop.agent("test", "--error").stderr


def test_nothing_is_delivered_twice_by_a_forked_child(shop, sentry):
    shop.write(
        forks__py=(
            "import os, shop\n"
            "def fail(n):\n  try: shop.reserve('sku%d' % n, 9)\n  except shop.OutOfStock: pass\n"
            "fail(0)\n"
            "children = []\n"
            "for n in (1, 2, 3):\n"
            "  pid = os.fork()\n"
            "  if pid == 0:\n    fail(n); os._exit(0)\n"
            "  children.append(pid)\n"
            "for pid in children: os.waitpid(pid, 0)\n"
            "fail(4)\n"
        )
    )
    shop.run("forks.py", SENTRY_DSN=sentry.dsn)
    kept = shop.events()
    delivered = [event["event_id"] for event in sentry.events]
    assert len(delivered) == len(set(delivered))
    skus = {event["contexts"]["erp"]["captured"]["sku"] for event in [*kept, *sentry.events]}
    assert skus == {f"sku{n}" for n in range(5)}


def test_the_receiver_reads_brotli_too(sentry):
    brotli = pytest.importorskip("brotli")
    import urllib.request

    from agent.deliver import wire
    from agent.language.dsn import parse_dsn

    data = wire.encode("a" * 32, "event", json.dumps({"event_id": "a" * 32}).encode())
    url = parse_dsn(sentry.dsn).envelope_url
    request = urllib.request.Request(
        url, brotli.compress(data), {"Content-Encoding": "br", "X-Sentry-Auth": "Sentry sentry_key=k"}
    )
    urllib.request.urlopen(request, timeout=10)
    assert sentry.events == [{"event_id": "a" * 32}]
