"""Running processes are changed without the file: monitors are switched off and on, and put in and taken out."""

import json
import re
import signal
import time

import pytest
from acceptance.running import Running, get, is_listening
from acceptance.services import free_port
from acceptance.test_reload import HEAD, ORDER, PRICE, WEB, configure, patched, reports, seen

from agent.live.lines import POSSIBLE

SHOP = """
class OutOfStock(Exception): pass
def order(n): raise OutOfStock(n)
def price(n): raise KeyError(n)
def invoice(customer, lines, password="x"): return {"total": lines * 2}
"""
LOOP = """
import time
import shop
bare = shop.invoice.__code__
number = 0
while True:
    for call in (shop.order, shop.price):
        try: call(number)
        except (shop.OutOfStock, KeyError): pass
    shop.invoice(f"C-{number}", lines=number % 3)
    number += 1
    if number % 10 == 0: print("bare" if shop.invoice.__code__ is bare else "patched", number, flush=True)
    time.sleep(0.02)
"""


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, loop__py=LOOP)
    configure(host, ORDER % "error", PRICE)
    return host


def events(host):
    return [event for event in host.events() if event["tags"]["erp.monitor"].startswith("agent.")]


def test_monitors_are_off_for_a_time_or_until_somebody_switches_them_on(shop):
    with Running(shop, "loop.py") as process:
        process.until(lambda: patched(shop) == [["order", "price"]], what="the plan of the file")
        done = shop.agent("disable", "ord*", "--for", "3s")
        assert done.returncode == 0, done.stderr
        assert "ord*: off until 20" in done.stdout
        assert "1 of 1 process run with this" in done.stdout
        assert patched(shop)[0] == ["price"]
        process.until(lambda: ["order", "price"] in patched(shop), what="the end of its time")
        assert shop.agent("disable", "--all").returncode == 0
        assert patched(shop)[0] == []
        refused = shop.agent("enable", "order")
        assert refused.returncode == 2
        assert "it is off as one of '*'" in refused.stderr
        assert shop.agent("enable", "--all").returncode == 0
        process.until(lambda: ["order", "price"] in patched(shop), what="`enable`")
    assert shop.agent("disable", "nobody").returncode == 2
    audits = events(shop)
    assert [event["tags"]["erp.operation"] for event in audits] == ["disable", "disable", "enable"]
    assert {event["tags"]["erp.kind"] for event in audits} == {"security"}
    assert audits[0]["contexts"]["erp"]["captured"]["monitors"] == "ord*"


def test_a_monitor_is_put_in_shows_what_it_sees_and_is_taken_out_again(shop):
    with Running(shop, "loop.py") as process:
        process.wait_for("bare 20")
        done = shop.agent(
            "watch", "shop.invoice", "--capture", "customer=customer", "--capture", "total=result['total']",
            "--capture", "secret=password", "--limit", "5", "--json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = [json.loads(each)["contexts"]["erp"]["captured"] for each in done.stdout.splitlines()]
        assert len(found) == 5
        assert {each["customer"][:2] for each in found} == {"C-"}
        assert {each["total"] for each in found} == {0, 2, 4}
        assert "'x'" not in str(found), "the names of arguments that hold secrets count here as everywhere"
        printed = len(process.printed)
        process.until(lambda: "bare" in process.printed[printed:], what="the function's own code")
        assert "agent:" not in process.printed
    assert "invoice" not in {operation for operation, _ in reports(shop)}, "what it sees is not sent"
    assert [event["contexts"]["erp"]["captured"]["target"] for event in events(shop)] == ["shop.invoice"]
    assert not list((shop.state / "live").iterdir())


def test_a_function_that_has_a_monitor_may_be_watched_too(shop):
    with Running(shop, "loop.py") as process:
        process.until(lambda: seen(shop), what="a report")
        done = shop.agent("watch", "order", "--when", "error is not None and n % 2 == 0", "--limit", "3")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("OutOfStock") + done.stdout.count("held") >= 3, done.stdout
        assert "taken out (3 lines were shown: --limit)" in done.stdout
        before = len(seen(shop))
        process.wait_for("bare", times=3)
        assert before
    doubled = [event for event in shop.events() if event["contexts"]["erp"].get("operations", ["order"]) != ["order"]]
    assert not [event for event in doubled if event["tags"]["erp.operation"] == "order"], "it encloses nothing"


def test_what_is_wrong_is_not_put_in(shop):
    done = shop.agent("watch", "shop.order", "--capture", "x=(")
    assert done.returncode == 2
    assert "never closed" in done.stderr or "not valid Python" in done.stderr
    assert "no monitor is put in" in shop.agent("watch", "--list").stdout
    done = shop.agent("watch", "--stop", "all")
    assert (done.returncode, done.stdout) == (0, "no monitor is put in\n")
    assert shop.agent("watch").returncode == 2
    assert "no monitor and no operation is called 'nobody'" in shop.agent("watch", "nobody").stderr
    assert "24 h at most" in shop.agent("watch", "shop.order", "--for", "7d").stderr


def test_the_file_may_forbid_it(shop):
    configure(shop, ORDER % "error", head=HEAD + 'live: "off"\n')
    for command in (("watch", "shop.order"), ("disable", "order")):
        done = shop.agent(*command)
        assert done.returncode == 2
        assert "`live: off` at monitors.yaml:4 forbids" in done.stderr


def test_whoever_watches_may_be_killed(shop):
    """The monitor's time ends without the command."""
    with Running(shop, "loop.py") as process:
        process.wait_for("bare 20")
        with Running(shop, "-m", "agent", "watch", "shop.invoice", "--for", "4s", cwd=str(shop.folder)) as watching:
            process.wait_for("patched")
            watching.process.kill()
            watching.process.wait()
        began = time.time()
        at = len(process.printed)
        process.until(lambda: "bare" in process.printed[at:], what="the end of its time")
        assert time.time() - began < 60


LINES = """
KIND = "invoice"
def invoice(customer, lines, password="x"):
    total = 0
    for number in range(lines):
        total += number
    discount = total - 2
    return {"total": discount}
def order(n): raise OutOfStock(n)
def price(n): raise KeyError(n)
class OutOfStock(Exception): pass
"""
needs_injection = pytest.mark.skipif(not POSSIBLE, reason="code is put at a line from CPython 3.11 on")


@needs_injection
def test_a_line_inside_a_function_is_watched(shop):
    shop.write(shop__py=LINES)
    with Running(shop, "loop.py") as process:
        process.wait_for("bare 20")
        done = shop.agent("watch", "--line", "shop.py:7", "--limit", "3")
        assert done.returncode == 0, done.stderr
        assert f"it is in invoice ({shop.folder / 'shop.py'})" in done.stdout
        shown = re.findall(r"customer +C-(\d+)\n +lines +(\d)\n +password +\[Filtered\]\n +total +(\d)\n", done.stdout)
        assert len(shown) == 3, done.stdout
        for number, lines, total in (map(int, each) for each in shown):  # of which calls is up to the machine
            assert (lines, total) == (number % 3, int(number % 3 == 2)), done.stdout
        assert re.search(r"come to \d+ times; [3-9]\d* of them looked at, 3 shown", done.stdout)
        assert "taken out (3 lines were shown: --limit)" in done.stdout
        at = len(process.printed)
        process.until(lambda: "bare" in process.printed[at:], what="the function's own code")
        done = shop.agent(
            "watch", "--line", str(shop.folder / "shop.py") + ":6", "--capture", "n=number", "--when", "number > 0",
            "--limit", "2", "--json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = [json.loads(each) for each in done.stdout.splitlines()]
        assert len(found) == 2
        assert all(each["contexts"]["erp"]["captured"] == {"n": 1} for each in found)
        assert {each["tags"]["erp.report"] for each in found} == {"line"}
        assert found[0]["threads"]["values"][0]["stacktrace"]["frames"][-1]["lineno"] == 6
        for line, capture, why in (
            (f"{shop.folder}/shop.py:2", "customer", "shop.py is in the body of the module itself"),
            ("shop.py:1", "customer", "line 1 of shop.py holds no code of a function; the nearest lines that do: 4 (invo"),
        ):  # fmt: skip
            done = shop.agent("watch", "--line", line, "--capture", f"it={capture}")
            assert done.returncode == 2
            assert why in done.stderr
        done = shop.agent("watch", "--line", "elsewhere.py:7", "--for", "1s")
        assert "no process has loaded elsewhere.py yet" in done.stdout
        assert "agent:" not in process.printed
    assert "line" not in {event["tags"]["erp.report"] for event in shop.events()}, "what it sees is not sent"
    audits = [event["contexts"]["erp"]["captured"] for event in events(shop)]
    assert audits[0]["target"] == "shop.py:7"


@needs_injection
def test_a_line_is_watched_in_each_worker_of_a_server_and_while_a_module_is_imported_later(shop):
    """gunicorn with --preload: the workers were forked from a process that had loaded the file."""
    pytest.importorskip("gunicorn")
    later = "def application(environ, start):\n    import later\n    later.serve(environ)"
    shop.write(web__py=WEB.replace("def application(environ, start):", later))
    shop.write(later__py="def serve(environ):\n    path = environ['PATH_INFO']\n    return path\n")
    port = free_port()
    with Running(
        shop, "-m", "gunicorn", "web:application", "--preload", "--workers=2", f"--bind=127.0.0.1:{port}"
    ) as server:
        server.until(lambda: is_listening(port), what="a port")
        with Running(
            shop, "-m", "agent", "watch", "--line", "later.py:3", "--capture", "path=path", "--limit", "500",
            cwd=str(shop.folder),
        ) as watching:  # fmt: skip
            workers = set()

            def both():
                get(port, "/orders")
                workers.update(re.findall(r"pid (\d+)  serve\n    path  /orders", watching.printed))
                return len(workers) == 2 or watching.process.poll() is not None

            server.until(both, what="both workers")
            assert len(workers) == 2, watching.printed
            watching.stop(signal.SIGINT)
            assert "taken out (interrupted)" in watching.printed
        assert "agent:" not in server.printed, server.printed
