"""Tasks that fail outside all monitors, in real workers: each final failure is told once, and nothing else."""

import pytest
from acceptance.running import Running, deliver
from receiver import Receiver

pytest.importorskip("celery")
pytest.importorskip("redis")

SHOP = """
import logging, os, time, celery
app = celery.Celery("shop", broker=os.environ["BROKER"], backend=os.environ.get("BACKEND") or os.environ["BROKER"])
app.conf.update(broker_connection_retry_on_startup=True, task_default_queue=os.environ["QUEUE"], worker_lost_wait=0.01)
class Busy(Exception): pass
class Odd(Exception):
    def __init__(self, one, two): self.lock = open(os.devnull)  # cannot be pickled
@app.task
def fails(secret):
    logging.getLogger("shop").warning("about to fail")
    raise ValueError("broken")
@app.task
def odd(): raise Odd(1, 2)
@app.task(throws=(LookupError,))
def expects(key): return {}[key]
@app.task(autoretry_for=(Busy,), max_retries=2, retry_backoff=False, default_retry_delay=0)
def retries(): raise Busy("busy")
@app.task(bind=True, max_retries=3, default_retry_delay=0)
def third(self):
    if self.request.retries < 2: raise self.retry(exc=Busy("busy"))
@app.task(bind=True)
def ignores(self): raise celery.exceptions.Ignore()
@app.task(bind=True, ignore_result=True)
def rejects(self): raise celery.exceptions.Reject("no", requeue=False)
@app.task
def monitored(): watched()
def watched(): raise Busy("monitored")
@app.task(time_limit=1)
def hard(): time.sleep(60)
@app.task
def killed(): os.kill(os.getpid(), 9)
@app.task(acks_late=True, reject_on_worker_lost=True)
def late(path):
    if not os.path.exists(path):
        open(path, "w").close(); os.kill(os.getpid(), 9)
"""
MONITORS = "version: 1\nmonitors: [{target: shop.watched, operation: watched}]\n"
SEND = """
import shop, sys
sent = [getattr(shop, name).delay(*arguments) for name, *arguments in eval(sys.argv[1])]
for name, each in zip(eval(sys.argv[1]), sent):
    try: each.get(timeout=60) if name[0] not in ("ignores", "rejects") else None
    except Exception: pass
"""
WORKER = ("-m", "celery", "-A", "shop", "worker", "-l", "WARNING", "--without-gossip", "--without-mingle")


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, send__py=SEND, monitors__yaml=MONITORS)
    return host


@pytest.fixture
def sentry():
    with Receiver() as receiver:
        yield receiver


def told(event):
    what = event["exception"]["values"][-1]["type"] if "exception" in event else event["logentry"]["formatted"]
    return event["transaction"], what, event["level"], event["tags"]["erp.monitor"]


EVERYWHERE = [("fails", "secret-argument"), ("odd",), ("expects", "k"), ("retries",), ("third",), ("ignores",),
              ("rejects",), ("monitored",)]  # fmt: skip
TOLD = [
    ("shop.expects", "KeyError", "info", "unmonitored.task"),
    ("shop.fails", "ValueError", "error", "unmonitored.task"),
    ("shop.monitored", "Busy", "error", "watched"),
    ("shop.odd", "Odd", "error", "unmonitored.task"),
    ("shop.retries", "Busy", "error", "unmonitored.task"),
]
BY_THE_MAIN_PROCESS = [
    ("shop.hard", "TimeLimitExceeded", "error", "unmonitored.task"),
    ("shop.killed", "WorkerLostError", "error", "unmonitored.task"),
]


@pytest.mark.parametrize(
    ("pool", "rate"),
    [("prefork", "0"), ("prefork", "1"), ("threads", "0"), ("gevent", "0"), ("eventlet", "0"), ("solo", "1")],
)
def test_a_task_that_fails_for_good_is_told_once(shop, redis_server, sentry, pool, rate, tmp_path):
    if pool in ("gevent", "eventlet"):
        pytest.importorskip(pool)
    if rate == "1":  # transactions are traced, for which the SDK is loaded
        text = MONITORS.replace("monitors:", "sentry: {traces_sample_rate: 1.0}\nmonitors:")
        shop.write(monitors__yaml=text)
    tasks = [*EVERYWHERE]
    if pool == "prefork":
        tasks += [("hard",), ("killed",), ("late", str(tmp_path / "once"))]
    extra = {"QUEUE": f"{pool}{rate}", "SENTRY_DSN": sentry.dsn, "BROKER": redis_server.url()}
    with Running(shop, *WORKER, "-P", pool, "-c", "2", **extra) as celery:
        shop.run("send.py", repr(tasks), agent=False, **extra)
        assert celery.stop() == 0
    deliver(shop, sentry)
    assert "agent:" not in celery.printed
    assert sorted(map(told, sentry.kept)) == sorted(TOLD + BY_THE_MAIN_PROCESS * (pool == "prefork"))
    for event in sentry.kept:
        facts = event["contexts"]["celery"]
        assert (facts["task"], facts["queue"]) == (event["transaction"], extra["QUEUE"])
        assert facts["id"]
        of_main_process = told(event) in BY_THE_MAIN_PROCESS or pool != "prefork"
        assert (event["contexts"]["process"]["pid"] == celery.pid) == of_main_process
    (failed,) = [event for event in sentry.kept if event["transaction"] == "shop.fails"]
    assert [crumb["message"] for crumb in failed["breadcrumbs"]["values"]] == ["about to fail"]
    assert failed["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"] == "fails"
    raw = b"".join(data for each in sentry.envelopes for _, data in each.items)
    assert b"secret-argument" not in raw


EAGER = """
import shop, sys
shop.app.conf.update(task_always_eager=True, task_eager_propagates=sys.argv[1] == "propagates")
for name, *arguments in eval(sys.argv[2]):
    try: getattr(shop, name).delay(*arguments)
    except Exception: pass
"""


@pytest.mark.parametrize("how", ["keeps", "propagates"])
def test_an_eager_task_fails_where_nobody_else_is_told(shop, how):
    shop.write(eager__py=EAGER)
    shop.run("eager.py", how, repr(EVERYWHERE), BROKER="memory://", BACKEND="cache+memory://", QUEUE="eager")
    expected = TOLD if how == "keeps" else [each for each in TOLD if each[3] != "unmonitored.task"]
    assert sorted(map(told, shop.events())) == expected


OWN = """
import os, sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
sentry_sdk.init(os.environ["OWN_DSN"], default_integrations=False, integrations=[CeleryIntegration()],
                include_local_variables=False)
"""


def test_a_client_of_the_hosts_own_tells_itself(shop, sentry):
    shop.write(eager__py=OWN + EAGER + "sentry_sdk.flush()\n")
    with Receiver() as own:
        extra = {"BROKER": "memory://", "BACKEND": "cache+memory://", "QUEUE": "eager", "OWN_DSN": own.dsn}
        shop.run("eager.py", "keeps", repr([("fails", 1), ("third",)]), SENTRY_DSN=sentry.dsn, **extra)
        deliver(shop, sentry)
        assert [event["exception"]["values"][-1]["type"] for event in own.events] == ["ValueError"]
    assert sentry.events == []


def test_a_client_that_is_handed_events_loses_none_of_its_own(shop):
    """Without a DSN of ours, what a monitor reports goes through the host's client, and what it sees itself stays."""
    shop.write(eager__py=OWN + EAGER + "sentry_sdk.flush()\n")
    with Receiver() as own:
        extra = {"BROKER": "memory://", "BACKEND": "cache+memory://", "QUEUE": "eager", "OWN_DSN": own.dsn}
        shop.run("eager.py", "keeps", repr([("monitored",), ("fails", 1)]), **extra)
        kinds = sorted(event["exception"]["values"][-1]["type"] for event in own.events)
    assert kinds == ["Busy", "ValueError"]


def test_a_client_of_the_hosts_own_is_given_what_it_cannot_see(shop, redis_server):
    shop.write(shop__py=OWN + SHOP)
    with Receiver() as own:
        extra = {"QUEUE": "own", "BROKER": redis_server.url(), "OWN_DSN": own.dsn}
        with Running(shop, *WORKER, "-c", "2", **extra) as celery:
            shop.run("send.py", repr([("fails", 1), ("hard",), ("killed",)]), agent=False, **extra)
            celery.until(lambda: len(own.kept) >= 3, what="three events")
            assert celery.stop() == 0
        kinds = sorted(event["exception"]["values"][-1]["type"] for event in own.kept)
    assert kinds == ["TimeLimitExceeded", "ValueError", "WorkerLostError"]


def test_the_pack_tells_instead(shop, redis_server, sentry):
    shop.write(monitors__yaml=MONITORS.replace("monitors:", "packs: [celery]\nmonitors:"))
    extra = {"QUEUE": "pack", "SENTRY_DSN": sentry.dsn, "BROKER": redis_server.url()}
    with Running(shop, *WORKER, "-c", "2", **extra) as celery:
        shop.run("send.py", repr([("fails", 1), ("hard",), ("killed",)]), agent=False, **extra)
        assert celery.stop() == 0
    deliver(shop, sentry)
    assert sorted(told(event)[0::3] for event in sentry.kept) == [
        ("shop.fails", "celery.task"), ("shop.hard", "celery.time_limit"), ("shop.killed", "celery.worker_lost"),
    ]  # fmt: skip


CALLED = """
import shop
shop.app.conf.update(task_always_eager=True, task_eager_propagates=False)
@shop.app.task
def deals():
    for call in (lambda: shop.fails("called"), lambda: shop.fails.apply(["thrown"], throw=True)):
        try: call()
        except ValueError: pass
@shop.app.task
def passes_on(): shop.fails("passed on")
for task in (deals, passes_on, shop.fails.s("eager")): task.delay()
try: shop.fails("called by nobody's task")
except ValueError: pass
"""


def test_a_task_that_is_called_like_a_function_is_its_callers_to_deal_with(shop):
    shop.write(
        called__py=CALLED, monitors__yaml="version: 1\npacks: [celery]\ndefaults: {rate_limit: off, budget: off}\n"
    )
    shop.run("called.py", BROKER="memory://", BACKEND="cache+memory://", QUEUE="called")
    assert sorted(event["tags"]["erp.operation"] for event in shop.events()) == ["fails", "passes_on"]
