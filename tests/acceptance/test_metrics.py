"""`sentry.metrics`: what real processes count, and where it arrives."""

import json

import pytest
from receiver import Receiver

SHOP = """
def order(customer):
    return lines(customer)
def lines(customer):
    if customer == 0: raise ValueError("no lines")
    if customer == 1: raise KeyError("on hold")
    return customer
class Base:
    def save(self): return 1
class Own(Base): pass
class Other(Base): pass
async def fetch(n): return n
def pages(n):
    yield from range(n)
"""
CONFIG = """
version: 1
sentry: {dsn: "${SENTRY_DSN:-}", metrics: true, environment: test, release: shop@3}
modules: {sales: {}}
monitors:
  - {target: shop.order, name: order, module: sales, operation: create_order, threshold: 5s}
  - {target: shop.lines, name: lines, module: sales, operation: lines, expect: [KeyError]}
  - {target: shop.Own.save, name: save, operation: save}
  - {targets: [shop.fetch, shop.pages], name: reading, operation: "{name}"}
"""
CALLS = """
import shop
for n in range(2, 102): shop.order(n)
for n in (0, 0, 1):
    try: shop.order(n)
    except (ValueError, KeyError): pass
for n in range(7): shop.Own().save(); shop.Other().save()
for n in range(5):
    try: shop.fetch(n).send(None)
    except StopIteration: pass
    list(shop.pages(3))
"""
EXPECTED = {"order": (103, 3), "lines": (103, 2), "save": (7, 0), "reading": (10, 0)}


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, monitors__yaml=CONFIG, main__py=CALLS)
    return host


def measured(process):
    return {row["monitor"]: (row["calls"], row["failures"]) for row in process["measured"]}


def metrics(receiver):
    found = []
    for envelope in list(receiver.envelopes):
        for headers, payload in envelope.items:
            if headers["type"] == "trace_metric":
                items = json.loads(payload)["items"]
                assert headers["item_count"] == len(items)
                assert headers["content_type"] == "application/vnd.sentry.items.trace-metric+json"
                found += items
    return found


def summed(items, name):
    sums = {}
    for item in items:
        if item["name"] == name:
            assert item["type"] == "counter"
            monitor = item["attributes"]["erp.monitor"]["value"]
            sums[monitor] = sums.get(monitor, 0) + item["value"]
    return sums


@pytest.mark.parametrize("injection", ["1", "0"])
def test_without_a_dsn_status_shows_what_was_counted(shop, injection):
    shop.run("main.py", AGENT_INJECTION=injection)
    (process,) = shop.status()
    assert measured(process) == EXPECTED
    for row in process["measured"]:
        assert 0 < row["p50"] <= row["p95"] <= row["p99"] <= row["max"] < 60
    shown = shop.agent("status").stdout
    assert "CALLS" in shown
    assert next(line.split()[:3] for line in shown.splitlines() if line.startswith("lines")) == ["lines", "103", "2"]


def test_a_process_that_only_ever_succeeds_is_told_of_at_its_end(shop):
    shop.write(main__py="import shop\nfor n in range(2, 12): shop.order(n)\n")
    with Receiver() as receiver:
        shop.run("main.py", SENTRY_DSN=receiver.dsn)
        shop.agent("spool", "flush", SENTRY_DSN=receiver.dsn)
        items = metrics(receiver)
    assert receiver.events == []
    assert summed(items, "erp.calls") == {"order": 10, "lines": 10}
    assert summed(items, "erp.failures") == {}


def test_what_arrives(shop):
    with Receiver() as receiver:
        shop.run("main.py", SENTRY_DSN=receiver.dsn)
        shop.agent("spool", "flush", SENTRY_DSN=receiver.dsn)
        items = metrics(receiver)
    assert summed(items, "erp.calls") == {name: calls for name, (calls, _) in EXPECTED.items()}
    assert summed(items, "erp.failures") == {name: failed for name, (_, failed) in EXPECTED.items() if failed}
    order = {item["name"]: item for item in items if item["attributes"]["erp.monitor"]["value"] == "order"}
    assert set(order) == {"erp.calls", "erp.failures", *(f"erp.duration.{q}" for q in ("p50", "p95", "p99", "max"))}
    words = {name: value["value"] for name, value in order["erp.calls"]["attributes"].items()}
    assert {value["type"] for value in order["erp.calls"]["attributes"].values()} == {"string"}
    assert words.pop("server.address")
    assert words.pop("sentry.sdk.version")
    assert words == {
        "erp.module": "sales", "erp.operation": "create_order", "erp.monitor": "order", "erp.kind": "function",
        "sentry.environment": "test", "sentry.release": "shop@3", "sentry.sdk.name": "erp-sentry-agent",
    }  # fmt: skip
    p95 = order["erp.duration.p95"]
    assert (p95["type"], p95["unit"]) == ("gauge", "millisecond")
    assert 0 < p95["value"] < 60_000
    assert all(len(item["trace_id"]) == 32 and set(item["trace_id"]) <= set("0123456789abcdef") for item in items)
    assert {item["attributes"]["erp.operation"]["value"] for item in items} >= {"fetch", "pages"}


FORKS = """
import os, shop
for n in range(2, 12): shop.order(n)
children = []
for child in range(2):
    pid = os.fork()
    if not pid:
        for n in range(2, 5): shop.order(n)
        import atexit
        atexit._run_exitfuncs()
        os._exit(0)
    children.append(pid)
for pid in children: os.waitpid(pid, 0)
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")
def test_a_forked_child_begins_at_zero(shop):
    shop.write(main__py=FORKS)
    with Receiver() as receiver:
        shop.run("main.py", SENTRY_DSN=receiver.dsn)
        shop.agent("spool", "flush", SENTRY_DSN=receiver.dsn)
        items = metrics(receiver)
    assert summed(items, "erp.calls") == {"order": 16, "lines": 16}
    assert sorted(measured(process)["order"] for process in shop.status()) == [(3, 0), (3, 0), (10, 0)]


def test_switched_off_nothing_is_counted(shop):
    shop.write(monitors__yaml=CONFIG.replace("metrics: true", "metrics: false"))
    shop.write(main__py=CALLS + "print([c for c in shop.order.__code__.co_consts if type(c) is list])\n")
    done = shop.run("main.py")
    assert done.stdout == "[]\n"
    assert shop.status()[0]["measured"] == []


TOLD = """
import os, sys, shop
for n in range(2, 12): shop.order(n)
engine = sys.modules["_erp_agent.boot.bootstrap"].current.engine()
engine._tallies._flush_at = engine._tallies.due[0] = 0.0  # a minute has passed
shop.order(2)
shop.order(2)
os._exit(0)
"""


def test_a_minute_later_a_call_tells_and_what_it_told_is_on_disk(shop):
    """The call that ends then is `lines`, inside the eleventh order; it may itself be told of the next time."""
    shop.write(main__py=TOLD)
    with Receiver() as receiver:
        shop.run("main.py", SENTRY_DSN=receiver.dsn)
        shop.agent("spool", "flush", SENTRY_DSN=receiver.dsn)
        items = metrics(receiver)
    told = summed(items, "erp.calls")
    assert told in ({"order": 10, "lines": 10}, {"order": 10, "lines": 11})
    (process,) = shop.status()
    assert measured(process) == {name: (calls, 0) for name, calls in told.items()}


def test_metrics_make_room_for_errors():
    from agent.deliver import wire
    from agent.deliver.spool.names import rank

    assert wire.category_of(["trace_metric"]) == "trace_metric"
    assert rank("trace_metric", slow=False) < rank("error", slow=True) < rank("error", slow=False)
