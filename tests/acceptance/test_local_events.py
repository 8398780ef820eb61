"""What `events` shows of real processes, a real courier and a Sentry that accepts, is down, or refuses."""

import contextlib
import json
import os
import signal
import time

import pytest
from acceptance.host import ROOT
from acceptance.running import Running
from receiver import Answer, Receiver

SHOP = "def fails(number):\n    raise ValueError(f'order {number}')\n"
MONITORS = (
    "version: 1\nmodules: {sales: {}}\ndefaults: {rate_limit: off, budget: off}\n"
    "monitors: [{target: shop.fails, module: sales, operation: op}]\n"
)
CAPTURE = """\
import sys, shop
for number in range(int(sys.argv[1]), int(sys.argv[2])):
    try: shop.fails(number)
    except ValueError: pass
"""


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, capture__py=CAPTURE, monitors__yaml=MONITORS)
    yield host
    noted = host.state / "spool" / "courier"
    with contextlib.suppress(OSError, ValueError, KeyError):
        os.kill(json.loads(noted.read_text())["pid"], signal.SIGKILL)


def capture(host, receiver, first, end):
    host.run("capture.py", str(first), str(end), SENTRY_DSN=receiver.dsn)


def eventually(shown, wanted, timeout=30.0):
    """Poll a command: delivery has no event that a test could wait for."""
    end = time.monotonic() + timeout
    while wanted not in (text := shown()):
        assert time.monotonic() < end, text
        time.sleep(0.05)
    return text


def test_each_event_is_followed_once_and_shown_with_its_fate(shop):
    with Receiver() as receiver:
        follow = Running(shop, "-m", "agent", "events", "--follow", cwd=ROOT, SENTRY_DSN=receiver.dsn)
        first = Running(shop, "-m", "agent", "events", "--follow", "--json", cwd=ROOT, PYTHONUNBUFFERED="1")
        with follow, first:
            for each in (follow, first):
                each.wait_for("Ctrl-C ends this")

            def shown(*words):
                return shop.agent("events", *words, SENTRY_DSN=receiver.dsn).stdout

            capture(shop, receiver, 0, 200)
            receiver.wait_for(200)
            eventually(lambda: shown("--limit", "500"), "200 events in 1 group: 200 sent.")
            story = shown("last")
            assert "now          sent at 20" in story
            assert "HTTP 200 from 127.0.0.1" in story
            sent = {envelope.event_id: envelope.items[0][1] for envelope in receiver.envelopes}
            one = next(iter(sent))
            assert shown(one[:12], "--json").encode() == sent[one] + b"\n"

            receiver.default = Answer(503, body=b"maintenance")
            capture(shop, receiver, 200, 201)
            text = eventually(lambda: shown("last"), "now          waiting: since ")
            assert "Sentry does not accept it: HTTP 503: maintenance" in text
            receiver.default = Answer(413, body=b"too large")
            eventually(lambda: shown("last"), "now          set aside: HTTP 413: too large")
            assert "201 events in 1 group: 200 sent, 1 set aside." in shown()

            shop.run("capture.py", "201", "202")  # without a DSN
            assert "held back: captured without a DSN" in shown("last")
            follow.wait_for(r"order \d+", timeout=20, times=202)
            first.wait_for(r'"event_id"', times=202)
            for each in (follow, first):
                assert each.stop(signal.SIGINT) == 0
        lines = [json.loads(line) for line in first.printed.splitlines()[1:]]
        assert len({line["event_id"] for line in lines}) == len(lines) == 202
        assert [line.rpartition("order ")[2].split()[0] for line in follow.printed.splitlines()[1:]] == list(
            map(str, range(202))
        )
        kept = shop.state / "spool" / "history"
        assert sorted(kept.glob("*/*"))
        assert {path.stat().st_mode & 0o077 for path in [kept, *kept.rglob("*")]} == {0}
