"""Processes that run follow a change of monitors.yaml, each by itself, without a restart."""

import json
import signal

import pytest
from acceptance.running import Running, get, is_listening
from acceptance.services import free_port

from agent.cli.state import processes
from agent.deliver import wire

SHOP = """
class OutOfStock(Exception): pass
def order(n): raise OutOfStock(n)
def price(n): raise KeyError(n)
"""
LOOP = """
import sys, time
import shop
number = 0
while True:
    for call in (shop.order, shop.price):
        try: call(number)
        except (shop.OutOfStock, KeyError): pass
    number += 1
    if number % 20 == 0: print(number, shop.order.__code__ is BARE if number > 20 else "", flush=True)
    time.sleep(0.02)
"""
HEAD = "version: 1\nmodules: {sales: {}}\ndefaults: {rate_limit: off, budget: off}\n"
ORDER = "  - {target: shop.order, module: sales, operation: order, severity: %s}\n"
PRICE = "  - {target: shop.price, module: sales, operation: price}\n"


def configure(host, *monitors, head=HEAD):
    host.write(monitors__yaml=head + "monitors:" + (" []\n" if not monitors else "\n") + "".join(monitors))


def seen(host, known={}):
    """(operation, level) of each event so far, and the process that it came from."""
    found = set()
    for path in (host.state / "spool").glob("*/*"):
        if path.parent.name in ("new", "held") and path not in known:
            event = json.loads(next(item.payload for item in wire.decode(path.read_bytes()).items))
            known[path] = event["tags"]["erp.operation"], event["level"], event["contexts"]["process"]["pid"]
        if path in known:
            found.add(known[path])
    return found


def reports(host):
    return {each[:2] for each in seen(host)}


def patched(host):
    """The monitors of each process that has reported in."""
    return [sorted({name for name, _ in each.patched}) for each in processes.read(str(host.state / "run"))]


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, loop__py=LOOP.replace("while True", "BARE = shop.order.__code__\nwhile True", 1))
    return host


DECORATED = """
import agent
@agent.sentry_monitor("sales")
def tax(n): raise OSError(n)
def price(n):
    try: tax(n)
    except OSError: pass
    raise KeyError(n)
"""


def test_a_process_follows_each_change_and_keeps_the_plan_where_the_file_is_wrong(shop):
    shop.write(shop__py=SHOP + DECORATED)  # which no plan names, and each leaves alone
    configure(shop, ORDER % "error")
    with Running(shop, "loop.py") as process:
        process.until(lambda: reports(shop) == {("order", "error"), ("tax", "error")}, what="two reports")
        configure(shop, ORDER % "fatal", PRICE)
        process.until(lambda: reports(shop) >= {("order", "fatal"), ("price", "error")}, what="the changed plan")
        assert "agent:" not in process.printed
        with open(shop.config, "a", encoding="utf-8") as stream:
            stream.write("]")
        process.wait_for("agent: a change of .* is not taken up: .*YAML.*agent validate")
        assert "is not taken up" in str(shop.status()[0]["problems"])
        assert patched(shop) == [["order", "price", "shop.tax"]]
        configure(shop, PRICE)
        process.until(lambda: patched(shop) == [["price", "shop.tax"]], what="the mended file")
        assert shop.status()[0]["problems"] == []
        configure(shop, PRICE, head=HEAD + "sentry: {ignore_errors: [OSError]}\n")
        expected = {"reason": "expected", "what": "shop.tax"}
        process.until(
            lambda: any(expected.items() <= each.items() for each in shop.status()[0]["counts"]),
            what="the decorated function under the new settings",
        )
        process.stop(signal.SIGINT)
    assert process.printed.count("agent:") == 1


def test_the_first_monitor_reaches_a_process_that_had_none(shop):
    shop.write(
        loop__py=LOOP.replace(
            "    number += 1", "    number += 1\n    import email.message; del sys.modules['email.message']"
        )
    )
    shop.write(loop__py=(shop.folder / "loop.py").read_text().replace("while True", "BARE = 0\nwhile True", 1))
    configure(shop, "  - {target: elsewhere.call, module: sales, operation: other}\n")
    with Running(shop, "loop.py") as process:
        process.wait_for("20")
        assert reports(shop) == set()
        configure(shop, ORDER % "error")
        process.until(lambda: reports(shop) == {("order", "error")}, what="a report")
        assert patched(shop) == [["order"]]


WEB = """
import shop
def application(environ, start):
    try: shop.order(1)
    except shop.OutOfStock: pass
    start("200 OK", [])
    return [b"ok"]
"""


def test_reload_waits_until_each_worker_has_it(shop):
    """gunicorn with --preload: the workers were forked from a process that had the plan."""
    pytest.importorskip("gunicorn")
    shop.write(web__py=WEB)
    configure(shop, ORDER % "error")
    port = free_port()
    with Running(
        shop, "-m", "gunicorn", "web:application", "--preload", "--workers=2", f"--bind=127.0.0.1:{port}", "--threads=2"
    ) as server:
        server.until(lambda: is_listening(port), what="a port")
        workers = set()

        def both():
            get(port)
            workers.update(pid for *_, pid in seen(shop))
            return len(workers) == 2

        server.until(both, what="both workers")
        configure(shop, ORDER % "fatal")
        done = shop.agent("reload", "--timeout", "0")
        assert done.returncode == 1, done.stdout
        assert done.stdout.count("has not looked yet") >= 2, done.stdout

        def all_report_by_it():
            get(port)
            return {pid for operation, level, pid in seen(shop) if level == "fatal"} == workers

        server.until(all_report_by_it, what="both workers with the new plan")
        done = shop.agent("reload", "--format", "json")
        found = json.loads(done.stdout)
        assert done.returncode == 0, "the master is not waited for"
        assert set(found["taken_up"]) >= workers
        assert [each["pid"] for each in found["servers"]] == [server.pid]
        assert found["missing"] == []
        assert "has forked the others and serves nothing itself" in shop.agent("reload").stdout


def test_reload_off_keeps_the_plan_that_a_process_started_with(shop):
    configure(shop, ORDER % "error", head=HEAD + "reload: off\n")
    with Running(shop, "loop.py") as process:
        process.until(lambda: reports(shop) == {("order", "error")}, what="a report")
        configure(shop, PRICE, head=HEAD + "reload: off\n")
        done = shop.agent("reload", "--timeout", "0")
        assert done.returncode == 1
        assert "`reload: off`): restart it" in done.stdout
        process.wait_for(r"\d+", times=8)  # it would have looked by then
        assert patched(shop) == [["order"]]


def test_reload_of_a_wrong_file_changes_nothing(shop):
    configure(shop, ORDER % "loud")
    shop.config.write_text(shop.config.read_text().replace("version: 1", "version: 7"))
    done = shop.agent("reload")
    assert done.returncode == 1
    assert "nothing has changed" in done.stderr
    assert "version" in done.stderr
    configure(shop, ORDER % "error")
    done = shop.agent("reload")
    assert done.returncode == 0, done.stderr
    assert "no process runs" in done.stdout
