"""What keeps real workers from working: a broker that is away, and processes that do not stay."""

import contextlib

import pytest
from acceptance.running import Running, deliver
from acceptance.services import free_port, run_redis
from receiver import Receiver

pytest.importorskip("celery")
redis = pytest.importorskip("redis")

SHOP = """
import os, celery
brokers = os.environ["BROKER"].split()
app = celery.Celery("shop", broker=brokers, backend=brokers[0])
app.conf.update(
    broker_connection_retry_on_startup=os.environ.get("RETRY") != "no", worker_lost_wait=0.01,
    task_default_queue=os.environ["QUEUE"],
)
@app.task
def works(): return os.getpid()
@app.task(ignore_result=True)
def killed(): os.kill(os.getpid(), 9)
"""
MONITORS = "version: 1\npacks: [celery]\nmonitors: []\n"
SEND = "import shop, sys\nfor name in sys.argv[1:]: getattr(shop, name).apply_async(retry=False)\n"
WORKS = "import shop\nprint(shop.works.delay().get(timeout=60))\n"


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, monitors__yaml=MONITORS, send__py=SEND, works__py=WORKS)
    return host


@pytest.fixture
def sentry():
    with Receiver() as receiver:
        yield receiver


def worker(host, **extra):
    settings = ("-P", "prefork", "-c", "1", "-l", "WARNING", "--without-gossip", "--without-mingle")
    return Running(host, "-m", "celery", "-A", "shop", "worker", *settings, **extra)


def told(events):
    """Monitor, level and words of each, in order."""
    return sorted((each["tags"]["erp.monitor"], each["level"], each["logentry"]["formatted"]) for each in events)


def monitors(events):
    return [each["tags"]["erp.monitor"] for each in events]


def test_a_broker_that_goes_away_is_told_by_everyone_who_needs_it(shop, sentry):
    """Six addresses of one broker: what would otherwise take minutes of trying again happens at once."""
    port = free_port()
    extra = {"SENTRY_DSN": sentry.dsn, "QUEUE": "away", "BROKER": " ".join([f"redis://127.0.0.1:{port}/0"] * 6)}
    with contextlib.ExitStack() as stack:
        broker = contextlib.ExitStack()
        broker.enter_context(run_redis(port=port))
        stack.enter_context(broker)
        celery = stack.enter_context(worker(shop, **extra))
        assert int(shop.run("works.py", **extra).stdout)
        assert sentry.events == []
        broker.close()
        celery.until(lambda: len(sentry.events) >= 3, what="what the worker tells")
        with run_redis(port=port):
            assert int(shop.run("works.py", **extra).stdout), "it works again"
            assert celery.stop() == 0
        assert shop.run("send.py", "killed", check=False, **extra).returncode == 1
    deliver(shop, sentry)
    assert "agent:" not in celery.said
    failed = [each for each in sentry.events if "exception" in each]
    words = told(each for each in sentry.events if "exception" not in each)
    assert monitors(failed) == ["celery.publish"]
    assert failed[0]["contexts"]["process"]["pid"] != celery.pid
    assert [each[:2] for each in words] == [
        ("celery.connection_lost", "warning"), ("celery.no_connection", "error"), ("celery.no_connection", "warning"),
    ]  # fmt: skip
    assert (
        words[1][2]
        == "The broker still cannot be reached: redis.exceptions.ConnectionError (more than 4 times in 60 s)"
    )
    (first,) = [
        each for each in sentry.events if each["level"] == "warning" and monitors([each]) != ["celery.connection_lost"]
    ]
    assert first["contexts"]["erp"]["captured"] == {"broker": "127.0.0.1", "error": "redis.exceptions.ConnectionError"}


def test_a_worker_that_may_not_wait_for_its_broker_tells_why_it_ends(shop):
    extra = {"BROKER": f"redis://:secret-pass@127.0.0.1:{free_port()}/0", "QUEUE": "refused", "RETRY": "no"}
    with worker(shop, **extra) as celery:
        assert celery.wait() == 1
    assert [each[:2] for each in told(shop.events())] == [
        ("celery.no_connection", "warning"), ("celery.worker_failed", "fatal"),
    ]  # fmt: skip
    assert b"secret-pass" not in b"".join(shop.envelopes())


def test_a_connection_that_does_not_stay_is_told_as_such(shop, redis_server):
    extra = {"BROKER": redis_server.url(), "QUEUE": "unstable"}
    with worker(shop, **extra) as celery, redis.Redis(redis_server.host, redis_server.port) as client:
        assert int(shop.run("works.py", **extra).stdout)
        for times in range(1, 7):
            client.client_kill_filter(_type="normal", skipme=True)
            celery.wait_for("Connection to broker lost", times=times)
            assert int(shop.run("works.py", **extra).stdout)
        assert celery.stop() == 0
    words = told(shop.events())
    assert (
        "celery.connection_lost",
        "error",
        "The worker loses its connection to the broker again and again (more than 5 times in 3600 s)",
    ) in words
    assert {each[0] for each in words} == {"celery.connection_lost"}


def test_processes_that_are_killed_again_and_again_are_told_as_such(shop, redis_server):
    extra = {"BROKER": redis_server.url(), "QUEUE": "loop"}
    with worker(shop, **extra) as celery:
        shop.run("send.py", *["killed"] * 12, **extra)
        celery.until(lambda: {"celery.pool_process"} <= set(monitors(shop.events())))
        assert int(shop.run("works.py", **extra).stdout)
        assert celery.stop() == 0
    words = {each[:2]: each[2] for each in told(shop.events())}
    assert set(words) == {
        ("celery.worker_lost", "error"), ("celery.worker_lost", "fatal"), ("celery.pool_process", "error"),
    }  # fmt: skip
    assert words["celery.pool_process", "error"].startswith(
        "Processes of the pool are killed or crash again and again, with the status [-9]"
    )
