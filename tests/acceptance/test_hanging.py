"""A real process in which calls hang: in a thread, in a task, and in a forked child."""

import contextlib
import http.client
import os
import time

import pytest
from acceptance.running import Running, get, is_listening
from acceptance.services import free_port

SHOP = """
import asyncio, time
def lock(): time.sleep(600)
async def fetch(): await asyncio.sleep(600)
def quick(): pass
def short(): time.sleep(2.5)
"""
MAIN = """
import asyncio, os, sys, threading, time
import shop
def tick():
    while True:
        shop.quick()
        time.sleep(0.05)
def loop():
    asyncio.run(shop.fetch())
threading.Thread(target=tick, daemon=True).start()
threading.Thread(target=loop, daemon=True).start()
threading.Thread(target=shop.short, daemon=True).start()
if os.fork() == 0:
    threading.Thread(target=tick, daemon=True).start()
    shop.lock()
print("begun", flush=True)
os.wait()
"""
MONITORS = """
version: 1
modules: {erp: {}}
defaults: {stuck: 1s}
monitors:
  - {target: shop.lock, operation: lock}
  - {target: shop.fetch, operation: fetch}
  - {target: shop.short, operation: short, severity: warning}
  - {target: shop.quick, operation: quick, stuck: off}
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_hangs_is_reported_by_the_process_in_which_it_hangs(host):
    host.write(shop__py=SHOP, main__py=MAIN, monitors__yaml=MONITORS)
    with Running(host, "main.py") as process:
        process.wait_for("begun")

        def reports():
            found = [event for event in host.events() if event["tags"]["erp.report"] == "stuck"]
            return {(event["tags"]["erp.operation"], event["level"]): event for event in found}

        wanted = {("lock", "error"), ("fetch", "error"), ("short", "warning"), ("short", "info")}
        process.until(lambda: reports().keys() >= wanted, what="four reports")
        found = reports()
        assert found.keys() == wanted
        assert "agent:" not in process.printed
    pids = {name: event["contexts"]["process"]["pid"] for (name, _), event in found.items()}
    assert pids["fetch"] == process.pid != pids["lock"]
    lock, returned = found["lock", "error"], found["short", "info"]
    assert lock["logentry"]["formatted"].startswith("lock has not returned for more than 1")
    assert lock["contexts"]["erp"]["threshold_ms"] == 1000
    frames = lock["threads"]["values"][0]["stacktrace"]["frames"]
    assert [frame["function"] for frame in frames][-1] == "lock"
    assert "fetch" in [f["function"] for f in found["fetch", "error"]["threads"]["values"][0]["stacktrace"]["frames"]]
    assert returned["logentry"]["formatted"].startswith("short returned after more than")
    assert "threads" not in returned
    assert time.time() - lock["timestamp"] < 60


WEB = """
import shop
def application(environ, start):
    shop.lock()
"""


def test_a_request_is_reported_before_gunicorn_kills_its_worker(host):
    """The monitor's own limit is far beyond the server's."""
    pytest.importorskip("gunicorn")
    host.write(shop__py=SHOP, web__py=WEB, monitors__yaml=MONITORS.replace("stuck: 1s", "stuck: 10m"))
    port = free_port()
    arguments = ("-m", "gunicorn", "web:application", "--workers=1", "--timeout=9", f"--bind=127.0.0.1:{port}")
    with Running(host, *arguments) as server:
        server.until(lambda: is_listening(port), what="a port")
        with contextlib.suppress(OSError, http.client.HTTPException):
            get(port)
        server.wait_for("WORKER TIMEOUT")
        found = [event["tags"]["erp.operation"] for event in host.events() if event["tags"]["erp.report"] == "stuck"]
        assert found == ["lock"]
