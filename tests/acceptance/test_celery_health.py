"""What keeps real workers from working: a broker that is away, and processes that do not stay."""

import contextlib
import signal

import pytest
from acceptance.host import ROOT
from acceptance.running import Running, deliver
from acceptance.services import free_port, run_redis
from receiver import Receiver

VERSION = pytest.importorskip("celery").VERSION
redis = pytest.importorskip("redis")

SHOP = """
import os, time, celery
brokers = os.environ["BROKER"].split()
app = celery.Celery("shop", broker=brokers, backend=os.environ.get("BACKEND") or brokers[0])
app.conf.update(
    broker_connection_retry_on_startup=os.environ.get("RETRY") != "no",
    broker_connection_retry=os.environ.get("RETRY") != "no", worker_lost_wait=0.01,
    task_default_queue=os.environ["QUEUE"],
    beat_schedule={"often": {"task": "shop.killed", "schedule": 1.0}},
)
@app.task
def works(): return os.getpid()
@app.task
def waits(): print("it waits", flush=True); time.sleep(60)
@app.task(acks_late=True)
def late(): print("it is late", flush=True); time.sleep(60)
@app.task(ignore_result=True)
def killed(): os.kill(os.getpid(), 9)
"""
# (How long publishing takes is the machine's business here.)
MONITORS = "version: 1\npacks: [{celery: {monitors: {celery.publish: {threshold: off}}}}]\nmonitors: []\n"
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


def worker(host, *more, **extra):
    settings = ("-P", "prefork", "-c", "1", "-l", "WARNING", "--without-gossip", "--without-mingle", *more)
    return Running(host, "-m", "celery", "-A", "shop", "worker", *settings, **extra)


def impatient(**rates):
    """The pack, which says a thing happens again and again after fewer times: `of_10_h="2/h"`. No publish is slow."""
    text = (ROOT / "agent" / "packs" / "celery.yaml").read_text(encoding="utf-8")
    assert text.count("threshold: 2s") == 1
    text = text.replace("threshold: 2s", "threshold: off")
    for rate, other in rates.items():
        was = "escalate: {}/{}".format(*rate.split("_")[1:])
        assert was in text
        text = text.replace(was, f"escalate: {other}")
    return text


def told(events):
    """Monitor, level and words of each, in order."""
    return sorted((each["tags"]["erp.monitor"], each["level"], each["logentry"]["formatted"]) for each in events)


def monitors(events):
    return [each["tags"]["erp.monitor"] for each in events]


EVERYTHING = """
version: 1
packs: [{celery: {monitors: {celery.publish: {threshold: off}}}}, {redis: {except: [redis.command, redis.pipeline]}}]
celery: {queue_wait: 5m, pool_full: 10m, worker_stalled: 1m, memory_recycles: 20/h, check_ins: ["*"]}
monitors: []
"""


def test_a_worker_that_works_and_is_ended_by_its_terminal_says_nothing(shop, redis_server):
    shop.write(monitors__yaml=EVERYTHING)
    extra = {"BROKER": redis_server.url(), "QUEUE": "healthy"}
    with worker(shop, "--autoscale", "3,1", "--max-tasks-per-child", "2", **extra) as celery:
        shop.run("send.py", *["works"] * 8, **extra)
        assert int(shop.run("works.py", **extra).stdout)
        celery.stop(signal.SIGINT)
    assert "agent:" not in celery.printed
    assert shop.events() == []


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
        celery.until(lambda: len(sentry.kept) >= 3, what="what the worker tells")
        with run_redis(port=port):
            assert int(shop.run("works.py", **extra).stdout), "it works again"
            assert celery.stop() == 0
        assert shop.run("send.py", "killed", check=False, **extra).returncode == 1
    deliver(shop, sentry)
    assert "agent:" not in celery.printed
    failed = [each for each in sentry.kept if "exception" in each]
    words = told(each for each in sentry.kept if "exception" not in each)
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
        each for each in sentry.kept if each["level"] == "warning" and monitors([each]) != ["celery.connection_lost"]
    ]
    assert first["contexts"]["erp"]["captured"] == {"broker": "127.0.0.1", "error": "redis.exceptions.ConnectionError"}


def test_a_worker_that_may_not_wait_for_its_broker_tells_why_it_ends(shop):
    extra = {"BROKER": f"redis://:secret-pass@127.0.0.1:{free_port()}/0", "QUEUE": "refused", "RETRY": "no"}
    with worker(shop, **extra) as celery:
        assert celery.wait() in (0, 1)  # Celery 5.2 says 0
    why, *ends = [each[:2] for each in told(shop.events())]
    assert why == ("celery.no_connection", "warning")
    assert ends == ([("celery.worker_failed", "fatal")] if VERSION >= (5, 3) else [])
    assert b"secret-pass" not in b"".join(shop.envelopes())


def test_beat_tells_that_nobody_takes_what_is_due(shop, tmp_path):
    broker = f"amqp://guest:secret-pass@127.0.0.1:{free_port()}//"
    extra = {"BROKER": " ".join([broker] * 6), "BACKEND": "cache+memory://", "QUEUE": "due"}
    with Running(
        shop, "-m", "celery", "-A", "shop", "beat", "-s", str(tmp_path / "schedule"), "--pidfile=", **extra
    ) as beat:
        beat.until(lambda: len(shop.events()) >= 2)
    assert "agent:" not in beat.printed
    assert told(shop.events()) == [
        ("celery.no_connection", "error",
         "The broker still cannot be reached: ConnectionRefusedError (more than 4 times in 60 s)"),
        ("celery.no_connection", "warning", "The broker cannot be reached: ConnectionRefusedError"),
    ]  # fmt: skip
    assert b"secret-pass" not in b"".join(shop.envelopes())


def test_a_connection_that_does_not_stay_is_told_as_such(shop, redis_server):
    shop.write(monitors__yaml=impatient(of_5_h="1/h"))
    extra = {"BROKER": redis_server.url(), "QUEUE": "unstable"}
    with worker(shop, **extra) as celery, redis.Redis(redis_server.host, redis_server.port) as client:
        assert int(shop.run("works.py", **extra).stdout)
        for times in range(1, 3):
            client.client_kill_filter(_type="normal", skipme=True)
            celery.wait_for("Connection to broker lost", times=times)
            assert int(shop.run("works.py", **extra).stdout)
        assert celery.stop() == 0
    words = told(shop.events())
    assert (
        "celery.connection_lost",
        "error",
        "The worker loses its connection to the broker again and again (more than 1 times in 3600 s)",
    ) in words
    assert {each[0] for each in words} == {"celery.connection_lost"}


def test_processes_that_are_killed_again_and_again_are_told_as_such(shop, redis_server):
    shop.write(monitors__yaml=impatient(of_10_h="1/h"))
    extra = {"BROKER": redis_server.url(), "QUEUE": "loop"}
    with worker(shop, **extra) as celery:
        shop.run("send.py", *["killed"] * 3, **extra)
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


def test_a_pool_that_is_full_for_long_is_told_with_what_fills_it(shop, redis_server):
    shop.write(
        monitors__yaml="version: 1\ncelery: {pool_full: {warning: 100ms, error: 1s}, worker_stalled: {info: 0.001ms}}\nmonitors: []\n"
    )
    extra = {"BROKER": redis_server.url(), "QUEUE": "full"}
    with worker(shop, **extra) as celery:
        shop.run("send.py", "waits", "works", "works", **extra)
        celery.until(lambda: any(event["level"] == "error" for event in shop.events()), what="a full pool")
        # No timer is exact: so little is stood still between any two looks.
        celery.until(lambda: "celery.worker_stalled" in monitors(shop.events()), what="what it says of itself")
    (event,) = [each for each in shop.events() if each["level"] == "error"]
    assert event["contexts"]["erp"]["captured"] == {
        "processes": 1, "waiting": 2, "tasks": {"shop.waits": 1},
    }  # fmt: skip
    assert event["contexts"]["process"]["pid"] == celery.pid
    assert event["logentry"]["formatted"].startswith("All 1 processes have been busy with the same tasks for ")


def test_processes_that_are_replaced_for_their_memory_are_told_where_that_happens_often(shop, redis_server):
    shop.write(monitors__yaml="version: 1\ncelery: {memory_recycles: 1/h}\nmonitors: []\n")
    extra = {"BROKER": redis_server.url(), "QUEUE": "memory"}
    with worker(shop, "--max-memory-per-child", "1", **extra) as celery:
        for _ in range(3):
            assert int(shop.run("works.py", **extra).stdout)
        celery.until(shop.events)
        assert celery.stop() == 0
    assert told(shop.events()) == [
        ("celery.memory_recycles", "warning",
         "More than 1 processes in 3600 s were replaced because they took over 1 kB")
    ]  # fmt: skip


def test_a_message_of_a_task_that_nobody_knows_is_told(shop, redis_server):
    shop.write(ahead__py="import shop\nshop.app.send_task('shop.of_tomorrow', ['secret' '-argument'])\n")
    extra = {"BROKER": redis_server.url(), "QUEUE": "ahead"}
    with worker(shop, **extra) as celery:
        shop.run("ahead.py", **extra)
        celery.until(shop.events)
        assert int(shop.run("works.py", **extra).stdout)
    (event,) = shop.events()
    assert told([event]) == [("celery.discarded", "error", "A message was discarded: KeyError")]
    assert event["contexts"]["erp"]["captured"] == {"task": "shop.of_tomorrow", "reason": "KeyError"}
    assert b"secret-argument" not in b"".join(shop.envelopes())


def test_what_the_end_of_a_worker_interrupts_is_told_unless_it_is_delivered_again(shop, redis_server):
    pytest.importorskip("celery", minversion="5.5")
    extra = {"BROKER": redis_server.url(), "QUEUE": "ended"}
    with worker(shop, "-c", "3", **extra) as celery:
        shop.run("send.py", "waits", "late", **extra)
        celery.wait_for("it waits")
        celery.wait_for("it is late")
        assert int(shop.run("works.py", **extra).stdout), "by now the main process knows that the others have begun"
        celery.stop(signal.SIGQUIT)
    assert told(shop.events()) == [
        ("celery.interrupted", "error", "shop.waits was interrupted by the end of its worker, and will not run again")
    ]
    assert shop.events()[0]["contexts"]["celery"]["queue"] == "ended"
