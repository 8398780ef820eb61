"""Real servers and job workers: a failure is one event of the process that served, and recycling and ending lose nothing.

The few ways that people use most run always; `-m compat` runs every combination.
"""

import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from acceptance.running import Running, deliver, get, is_listening
from acceptance.services import UWSGI_MASTER, free_port, uwsgi_program
from receiver import Receiver

SHOP = """
import os
class OutOfStock(Exception): pass
def order(path): raise OutOfStock(f"{path} in {os.getpid()}")
def fine(path): return f"{path} in {os.getpid()}"
"""
WSGI = """
import shop
def application(environ, start):
    path = environ["PATH_INFO"]
    if path.startswith("/crash"): shop.order(path)
    try: text = shop.fine(path) if path.startswith("/fine") else shop.order(path)
    except shop.OutOfStock as error: text = str(error)
    start("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]
"""
ASGI = """
import shop
async def application(scope, receive, send):
    path = scope["path"]
    if path.startswith("/crash"): shop.order(path)
    try: text = shop.fine(path) if path.startswith("/fine") else shop.order(path)
    except shop.OutOfStock as error: text = str(error)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})
"""
MONITORS = """
version: 1
modules: {sales: {owner: sales-team}}
defaults: {rate_limit: off, budget: off}
monitors:
  - {target: shop.order, module: sales, operation: order}
  - {target: shop.fine, module: sales, operation: fine}
  - {target: web.application, module: sales, operation: application}
"""

GUNICORN = ("-m", "gunicorn", "web", "--bind=127.0.0.1:{port}", "--workers=2", "--graceful-timeout=4")
UVICORN = ("-m", "uvicorn", "web:application", "--port={port}", "--workers=2", "--log-level=warning", "--lifespan=off")
UWSGI = ("--http-socket=127.0.0.1:{port}", "--module=web", *UWSGI_MASTER, "--processes=2", "--need-app")


def gunicorn(worker, preload, recycled):
    threads = ("--threads=4",) if worker == "gthread" else ()
    more = (("--preload",) if preload else ()) + (("--max-requests=5",) if recycled else ())
    return (*GUNICORN, f"--worker-class={worker}", *threads, *more)


def uwsgi(threads, lazy, recycled):
    more = (("--enable-threads", "--threads=2") if threads else ()) + (("--lazy-apps",) if lazy else ())
    return (*UWSGI, *more, *(("--max-requests=5", "--min-worker-lifetime=0") if recycled else ()))


def cases():
    """(server, its arguments, is it one of the few that run always)"""
    for worker in ("sync", "gthread", "gevent"):
        for preload in (False, True):
            for recycled in (False, True):
                usual = (worker, preload, recycled) in {
                    ("sync", True, True),
                    ("gthread", False, True),
                    ("gevent", True, False),
                }
                yield (
                    f"gunicorn-{worker}{'-preload' * preload}{'-recycled' * recycled}",
                    gunicorn(worker, preload, recycled),
                    usual,
                )
    for threads in (False, True):
        for lazy in (False, True):
            for recycled in (False, True):
                usual = (threads, lazy, recycled) in {(False, False, True), (True, True, False)}
                yield (
                    f"uwsgi{'-threads' * threads}{'-lazy' * lazy}{'-recycled' * recycled}",
                    uwsgi(threads, lazy, recycled),
                    usual,
                )
    yield "uvicorn-workers-recycled", (*UVICORN, "--limit-max-requests=5"), False
    yield "uvicorn-workers", UVICORN, True


CASES = [pytest.param(*case[:2], id=case[0], marks=() if case[2] else pytest.mark.compat) for case in cases()]


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, monitors__yaml=MONITORS)
    return host


@pytest.fixture
def sentry():
    with Receiver() as receiver:
        yield receiver


def program(name):
    """What runs the server: a module of this Python's, or a program with a Python inside."""
    if not name.startswith("uwsgi"):
        pytest.importorskip(name.partition("-")[0])
        return sys.executable
    return uwsgi_program()


def settled(port, path):
    """The response; to a second request, of another path, where a worker has closed the connection or hangs.

    It may have served the first one before.
    """
    for tried in range(200):
        try:
            return get(port, f"{path}.{tried}")
        except OSError:
            time.sleep(0.05)
    raise AssertionError(path)


def workers_begun(said, lazy):
    return 2 + said.count("Respawned uWSGI worker") if lazy else 1


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_a_server(shop, sentry, request, name, arguments):
    if (
        "compat" in [mark.name for mark in request.node.iter_markers()]
        and "compat" not in request.config.option.markexpr
    ):
        pytest.skip("one of many combinations: run with -m compat")
    python = program(name)
    shop.write(web__py=ASGI if name.startswith("uvicorn") else WSGI)
    port = free_port()
    words = [word.format(port=port) for word in arguments]
    extra = {"SENTRY_DSN": sentry.dsn}
    if name.startswith("uwsgi"):
        extra["UWSGI_VIRTUALENV"] = sys.prefix
    with Running(shop, *words, python=python, **extra) as server:
        server.until(lambda: is_listening(port), what="a port")
        with ThreadPoolExecutor(4) as pool:
            paths = [f"/order/{number}" for number in range(12)]
            said = list(pool.map(lambda path: settled(port, path), paths))
        assert [status for status, _ in said] == [200] * 12
        try:
            status, _ = get(port, "/crash/")
        except OSError:
            status = 500  # uWSGI closes the connection
        assert status == 500
        served = {text.rpartition(" ")[2] for _, text in said}

        def replaced():
            served.add(settled(port, "/fine/")[1].rpartition(" ")[2])
            return len(served) > 2

        if "recycled" in name:
            server.until(replaced, what="a new worker")
        if name.startswith("uwsgi"):  # which forgets a worker that is being started when it is told to end
            server.until(lambda: server.printed.count("WSGI app 0") >= workers_begun(server.printed, "lazy" in name))
        server.stop(signal.SIGTERM, timeout=25)  # gunicorn kills a worker that hangs after 30 s
    deliver(shop, sentry)
    assert "agent:" not in server.printed
    told = [event["exception"]["values"][-1]["value"] for event in sentry.events]
    crashed = [text for text in told if text.startswith("/crash/")]
    assert len(crashed) == 1, "its caller has it monitored too, and reports no second time"
    assert set(told) - set(crashed) >= {text for _, text in said}
    assert len(told) == len(set(told)), "each request was of a path of its own"
    pids = {str(event["contexts"]["process"]["pid"]) for event in sentry.events}
    assert pids == {text.rpartition(" ")[2] for text in told}
    assert str(server.pid) not in pids
    assert {event["tags"]["erp.module"] for event in sentry.events} == {"sales"}


JOBS = """
import shop
def job(n): return shop.order(f"job {n}")
def fine(n): return shop.fine(n)
"""
QUEUE = """
import os, sys, redis, rq, jobs
queue = rq.Queue(connection=redis.Redis.from_url(os.environ["BROKER"]))
for n in range(4): queue.enqueue(jobs.job, n)
queue.enqueue(jobs.fine, 1)
"""
MANY = """
import sys, jobs
import multiprocessing
def attempt(n):
    try: jobs.job(n)
    except jobs.shop.OutOfStock as error: return str(error)
if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(2, maxtasksperchild=2) as pool:
        for text in pool.map(attempt, range(8), chunksize=1): print(text)
"""


def test_rq_whose_jobs_end_by_exit_at_once(shop, sentry, redis_server):
    """A job has a process of its own, which ends with os._exit."""
    pytest.importorskip("rq")
    shop.write(jobs__py=JOBS, queue_jobs__py=QUEUE)
    extra = {
        "BROKER": redis_server.url(5),
        "SENTRY_DSN": sentry.dsn,
        "PYTHONPATH": f"{shop.environment()['PYTHONPATH']}:.",
    }
    shop.run("queue_jobs.py", **extra)
    done = shop.run("-m", "rq.cli", "worker", "--burst", "--url", redis_server.url(5), **extra)
    assert "agent:" not in done.stderr
    deliver(shop, sentry)
    told = sorted(event["exception"]["values"][-1]["value"] for event in sentry.events)
    assert [text.partition(" in ")[0] for text in told] == [f"job {n}" for n in range(4)]
    pids = {str(event["contexts"]["process"]["pid"]) for event in sentry.events}
    assert pids == {text.rpartition(" ")[2] for text in told}
    assert len(pids) == 4


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_whose_processes_are_replaced(shop, method):
    """What ended with its process is on disk."""
    shop.write(jobs__py=JOBS, many__py=MANY)
    done = shop.run("many.py", method)
    told = sorted(event["exception"]["values"][-1]["value"] for event in shop.events())
    assert told == sorted(done.stdout.splitlines())
    assert len({text.rpartition(" ")[2] for text in told}) >= 4
