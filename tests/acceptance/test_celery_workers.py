"""Real Celery workers on a real Redis: whatever pool runs a task, what becomes of it is reported once, by the right process."""

import pytest
from acceptance.running import Running, children, deliver
from receiver import Receiver

pytest.importorskip("celery")
pytest.importorskip("redis")

SHOP = """
import os, time, celery
app = celery.Celery("shop", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.update(broker_connection_retry_on_startup=True, task_default_queue=os.environ.get("QUEUE", "celery"))
class Busy(Exception): pass
def connect(): raise Busy("busy")
@app.task
def fails(x): raise ValueError(f"{x} in {os.getpid()}")
@app.task(throws=(LookupError,))
def expects(key): return look(key)
def look(key): return {}[key]  # monitored, and inside a task that declares what it raises
@app.task
def works(): return os.getpid()
@app.task(autoretry_for=(Busy,), max_retries=2, retry_backoff=False, default_retry_delay=0)
def retries(): connect()
@app.task(bind=True, max_retries=3, default_retry_delay=0)
def third(self):
    if self.request.retries < 2: raise self.retry(exc=Busy("busy"))
    return "third"
@app.task(soft_time_limit=1)
def soft(): time.sleep(60)
@app.task(time_limit=1)
def hard(): time.sleep(60)
@app.task
def killed(path):
    with open(path, "a") as runs: runs.write(f"{os.getpid()}\\n")
    try: connect()
    except Busy: pass
    os.kill(os.getpid(), 9)
@app.task(acks_late=True, reject_on_worker_lost=True)
def late(path):
    if not os.path.exists(path):
        open(path, "w").close(); os.kill(os.getpid(), 9)
    return "late"
"""
MONITORS = """
version: 1
packs: [celery]
defaults: {rate_limit: off, budget: off}
modules: {suppliers: {owner: buyers}}
monitors:
  - {target: shop.connect, module: suppliers, operation: connect}
  - {target: shop.look}
"""
SEND = """
import shop, sys
sent = [getattr(shop, name).delay(*arguments) for name, *arguments in eval(sys.argv[1])]
for each in sent:
    try: print(each.get(timeout=60))
    except Exception as error: print(type(error).__name__, error)
"""


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, send__py=SEND, monitors__yaml=MONITORS)
    return host


@pytest.fixture
def sentry():
    with Receiver() as receiver:
        yield receiver


def worker(host, redis, pool, *more, **extra):
    settings = ("-P", pool, "-l", "WARNING", "--without-gossip", "--without-mingle", *more)
    return Running(host, "-m", "celery", "-A", "shop", "worker", *settings, BROKER=redis.url(), **extra)


def results(host, redis, *tasks, **extra):
    done = host.run("send.py", repr(tasks), agent=False, BROKER=redis.url(), **extra)
    return done.stdout.splitlines()


def told(event):
    """What happened, to which task, in which process."""
    what = event["exception"]["values"][-1]["type"] if "exception" in event else event["logentry"]["formatted"]
    return what, event["tags"]["erp.operation"], event["contexts"]["celery"]["task"], event["level"]


def test_whatever_becomes_of_a_task_is_told_once(shop, redis_server, sentry, tmp_path):
    extra = {"QUEUE": "told", "SENTRY_DSN": sentry.dsn}
    with worker(shop, redis_server, "prefork", "-c", "2", **extra) as celery:
        tasks = [
            ("fails", 1),
            ("expects", "k"),
            ("retries",),
            ("third",),
            ("soft",),
            ("hard",),
            ("killed", str(tmp_path / "runs")),
            ("late", str(tmp_path / "once")),
        ]
        said = results(shop, redis_server, *tasks, QUEUE="told")
        assert [line.split()[0] for line in said] == [
            "ValueError", "KeyError", "Busy", "third", "SoftTimeLimitExceeded", "TimeLimitExceeded", "WorkerLostError", "late",
        ]  # fmt: skip
        assert celery.stop() == 0
    deliver(shop, sentry)
    assert "agent:" not in celery.printed
    events = sentry.kept
    killed = [event for event in events if told(event)[1:3] == ("connect", "shop.killed")]
    # Celery may run the task again in another process, as this one dies so early: each run has one event, no more.
    ran = sorted(map(int, (tmp_path / "runs").read_text().split()))
    assert sorted(event["contexts"]["process"]["pid"] for event in killed) == ran
    events = [event for event in events if event not in killed[1:]]
    assert sorted(map(told, events)) == sorted([
        ("ValueError", "fails", "shop.fails", "error"),
        ("KeyError", "expects", "shop.expects", "info"),  # as Celery logs what a task `throws`
        ("Busy", "connect", "shop.retries", "error"),  # its last try; it encloses what the ERP names
        ("SoftTimeLimitExceeded", "soft", "shop.soft", "error"),
        ("shop.hard exceeded its hard time limit of 1 s and was killed", "celery.time_limit", "shop.hard", "error"),
        ("Busy", "connect", "shop.killed", "error"),  # what a killed process had captured is not lost
        ("The process that ran shop.killed is gone", "celery.worker_lost", "shop.killed", "error"),
        ("The process that ran shop.late is gone", "celery.worker_lost", "shop.late", "error"),
    ])  # fmt: skip
    pid = {
        event["transaction"] + event["tags"]["erp.operation"]: event["contexts"]["process"]["pid"] for event in events
    }
    assert pid["shop.fails" + "fails"] == int(said[0].rpartition(" ")[2])
    for operation in ("shop.hardcelery.time_limit", "shop.killedcelery.worker_lost", "shop.latecelery.worker_lost"):
        assert pid[operation] == celery.pid, "the main process tells it of the one that cannot"
    assert {pid["shop.failsfails"], pid["shop.killedconnect"]}.isdisjoint({celery.pid})
    (lost,) = [event for event in events if told(event)[2:] == ("shop.late", "error")]
    assert lost["contexts"]["erp"]["captured"]["delivered_again"] is True
    (retried,) = [event for event in events if event["transaction"] == "shop.retries"]
    assert retried["contexts"]["celery"]["retries"] == 2
    assert retried["contexts"]["celery"]["queue"] == "told"
    assert retried["contexts"]["erp"]["operations"] == ["retries", "connect"]


@pytest.mark.parametrize("pool", ["threads", "gevent", "eventlet", "solo"])
def test_every_pool_reports_alike(shop, redis_server, sentry, pool):
    if pool in ("gevent", "eventlet"):
        pytest.importorskip(pool)
    extra = {"QUEUE": pool, "SENTRY_DSN": sentry.dsn}
    with worker(shop, redis_server, pool, "-c", "4", **extra) as celery:
        said = results(shop, redis_server, ("fails", 1), ("fails", 2), ("third",), ("retries",), ("works",), QUEUE=pool)
        assert said == [f"ValueError {n} in {celery.pid}" for n in (1, 2)] + ["third", "Busy busy", str(celery.pid)]
        assert celery.stop() == 0
    deliver(shop, sentry)
    assert "agent:" not in celery.printed
    assert sorted(map(told, sentry.kept)) == sorted([
        ("ValueError", "fails", "shop.fails", "error"), ("ValueError", "fails", "shop.fails", "error"),
        ("Busy", "connect", "shop.retries", "error"),
    ])  # fmt: skip
    assert len({event["contexts"]["celery"]["id"] for event in sentry.events}) == 3
    assert {event["contexts"]["process"]["pid"] for event in sentry.events} == {celery.pid}


def test_nothing_is_lost_when_processes_are_recycled(shop, redis_server):
    """Without a DSN: what each process captured is on disk when it is replaced."""
    with worker(shop, redis_server, "prefork", "-c", "2", "--max-tasks-per-child", "2", QUEUE="recycled") as celery:
        said = results(shop, redis_server, *[("fails", n) for n in range(12)], QUEUE="recycled")
        celery.until(lambda: len(shop.events()) == 12, what="12 events")
        assert celery.stop() == 0
    assert sorted(event["exception"]["values"][-1]["value"] for event in shop.events()) == sorted(
        line.removeprefix("ValueError ") for line in said
    )
    assert len({event["contexts"]["process"]["pid"] for event in shop.events()}) >= 6


def test_a_worker_that_is_killed_itself_has_lost_nothing(shop, redis_server):
    with worker(shop, redis_server, "prefork", "-c", "2", QUEUE="gone") as celery:
        said = results(shop, redis_server, *[("fails", n) for n in range(6)], QUEUE="gone")
        processes = children(celery.pid)
        assert {int(line.rpartition(" ")[2]) for line in said} <= set(processes)
    assert len(shop.events()) == 6
