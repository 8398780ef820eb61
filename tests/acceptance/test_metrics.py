"""What real processes count, and what `sentry.metrics` sends of it."""

import json

import pytest
from measure import reading
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


def counted(host):
    return {name: (counts.calls, counts.failures) for name, counts in reading.by_monitor(host.state).items()}


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
@pytest.mark.parametrize("send", ["true", "false"])
def test_every_call_is_counted_in_a_file_that_others_read(shop, injection, send):
    shop.write(monitors__yaml=CONFIG.replace("metrics: true", "metrics: " + send))
    shop.run("main.py", AGENT_INJECTION=injection)
    assert counted(shop) == EXPECTED
    ((facts, found),) = reading.processes(shop.state)
    assert {name: facts[name] for name in ("program", "release", "environment")} == {
        "program": "main.py", "release": "shop@3", "environment": "test",
    }  # fmt: skip
    order, lines = found["order", "create_order"], found["lines", "lines"]
    assert (order.by_severity, order.expected, order.reported) == ({"error": 3}, 0, 1)
    assert (lines.by_severity, lines.expected, lines.reported) == ({"error": 2}, 1, 2)
    assert {name for monitor, name in found if monitor == "reading"} == {"fetch", "pages"}
    for counts in (order, lines):
        assert counts.untimed == 0
        assert 0 < counts.quantile(0.5) <= counts.quantile(0.99) <= counts.longest < 60


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
    calls = [found["order", "create_order"].calls for _, found in reading.processes(shop.state)]
    assert sorted(calls) == [3, 3, 10]


def test_switched_off_nothing_is_counted(shop):
    """In the defaults of the file, of a module, and of one monitor."""
    config = CONFIG.replace(
        "modules: {sales: {}}", "defaults: {metrics: off}\nmodules: {sales: {defaults: {metrics: on}}}"
    )
    shop.write(monitors__yaml=config.replace("operation: lines,", "operation: lines, metrics: off,"))
    main = CALLS + "print([len([c for c in f.__code__.co_consts if type(c).__name__ == 'BytesIO'])"
    shop.write(main__py=main + " for f in (shop.order, shop.lines, shop.fetch)])\n")
    assert shop.run("main.py").stdout == "[1, 0, 0]\n"
    assert counted(shop) == {"order": EXPECTED["order"]}


LATER = """
import os, sys, shop
for n in range(2, 12): shop.order(n)
tallies = sys.modules["_erp_agent.boot.bootstrap"].current.engine().counting.tallies()
tallies.due, tallies._wake_at = 0.0, 1.0  # a minute has passed
shop.order(2)
shop.order(2)
os._exit(0)
"""


def test_a_minute_later_a_call_sends_and_what_it_sends_is_on_disk(shop):
    """The call that ends then is `lines`, inside the eleventh order; it is sent itself."""
    shop.write(main__py=LATER)
    with Receiver() as receiver:
        shop.run("main.py", SENTRY_DSN=receiver.dsn)
        shop.agent("spool", "flush", SENTRY_DSN=receiver.dsn)
        items = metrics(receiver)
    assert summed(items, "erp.calls") == {"order": 10, "lines": 11}
    assert counted(shop) == {"order": (12, 0), "lines": (12, 0)}


def test_metrics_make_room_for_errors():
    from agent.deliver import wire
    from agent.deliver.spool.names import rank

    assert wire.category_of(["trace_metric"]) == "trace_metric"
    assert rank("trace_metric", slow=False) < rank("error", slow=True) < rank("error", slow=False)
