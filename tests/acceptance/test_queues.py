"""Real workers of RQ, Dramatiq, Huey, django-q2 and APScheduler: each final failure is reported once, and nothing changes."""

import contextlib
import json
import shutil
import signal
import sqlite3

import pytest
from acceptance.running import Running, deliver
from receiver import Receiver

SETTINGS = """
version: 1
packs: [PACK]
modules: {shop: {description: Orders}}
sentry: {traces_sample_rate: 1.0}
tasks: {queue_wait: 1h, queues: {slow: 1ms}, check_ins: ["*"]}
monitors:
  - {target: jobs.watched, module: shop, operation: watched}
"""
SECRET = "secret-argument"


@pytest.fixture
def sentry():
    with Receiver() as receiver:
        yield receiver


def reported(host, sentry, section):
    """(task, what, level, monitor) of each event; not of waits. Each event is about its task, without arguments."""
    deliver(host, sentry)
    assert SECRET.encode() not in b"".join(data for each in sentry.envelopes for _, data in each.items)
    found = []
    for event in sentry.kept:
        if event["tags"]["erp.monitor"] == "huey.lost":
            continue  # about a task that no worker runs
        facts = event["contexts"][section]
        assert facts["id"]
        assert facts["task"] == event["transaction"]
        if "exception" in event:
            found.append(
                (facts["task"], event["exception"]["values"][-1]["type"], event["level"], event["tags"]["erp.monitor"])
            )
        elif event["tags"]["erp.report"] == "rule":
            found.append((facts["task"], event["logentry"]["formatted"], event["level"], event["tags"]["erp.monitor"]))
    return sorted(found)


def waited(sentry):
    return {
        (event["transaction"], event["tags"]["erp.operation"])
        for event in sentry.kept
        if "slow" in event["tags"]["erp.report"]
    }


def payloads(sentry, kind):
    return [json.loads(data) for each in sentry.envelopes for headers, data in each.items if headers["type"] == kind]


def traces(sentry):
    """Task → the context `trace` of its transaction."""
    found = [each for each in payloads(sentry, "transaction") if each["contexts"]["trace"]["op"] != "command"]
    assert {each["contexts"]["trace"]["op"] for each in found} == {"queue.process"}
    assert {each["transaction_info"]["source"] for each in found} == {"task"}
    return {each["transaction"]: each["contexts"]["trace"] for each in found}


def check_ins(sentry):
    """(slug, status) of each run; the schedules by slug; of one run all have one id."""
    found = payloads(sentry, "check_in")
    schedules = {each["monitor_slug"]: each["monitor_config"]["schedule"] for each in found if "monitor_config" in each}
    runs = {}
    for each in found:
        runs.setdefault((each["monitor_slug"], each["check_in_id"]), []).append(each["status"])
    return {slug: sorted(statuses) for (slug, _), statuses in runs.items()}, schedules


RQ = """
import os, time
from redis import Redis
from rq import Queue, Retry
try: from rq.cron import CronJob
except ImportError: CronJob = None  # before 2.5
class Busy(Exception): pass
def fine(number):
    connection = Redis.from_url(os.environ["REDIS"])
    Queue("slow" + os.environ["NAME"], connection=connection).enqueue(child)
    CronJob and CronJob("slow" + os.environ["NAME"], func=nightly, cron="5 4 * * *").enqueue(connection)
    return number + 1
def child(): pass
def nightly(): pass
def fails(secret): raise ValueError("broken")
def third(path):
    with open(path, "a") as file: file.write(".")
    if os.path.getsize(path) < 3: watched("busy")
    return "at last"
def never(): watched("never")
def watched(why): raise Busy(why)
def again(): return Retry(max=1)
def killed(): os.kill(os.getpid(), 9)
def long(): time.sleep(60)
"""


def test_rq(host, redis_server, sentry, tmp_path):
    redis, rq = pytest.importorskip("redis"), pytest.importorskip("rq")
    host.write(jobs__py=RQ, monitors__yaml=SETTINGS.replace("PACK", "rq").replace("slow:", "slowwatched:"))
    url = redis_server.url(3)
    sent, workers = {}, {}
    with redis.Redis.from_url(url) as connection:
        for name in ("bare", "watched"):
            queue = rq.Queue("slow" + name, connection=connection)
            sent[name] = [
                queue.enqueue("jobs.fine", 1, meta={"own": 1}), queue.enqueue("jobs.fails", SECRET),
                queue.enqueue("jobs.third", str(tmp_path / name), retry=rq.Retry(max=5)),
                queue.enqueue("jobs.never", retry=rq.Retry(max=1)), queue.enqueue("jobs.again"),
                queue.enqueue("jobs.killed"), queue.enqueue("jobs.long", job_timeout=1),
            ]  # fmt: skip
        worker = ("-m", "rq.cli", "worker", "--burst", "--url", url)
        with (
            Running(host, *worker, "slowbare", agent=False, REDIS=url, NAME="bare") as workers["bare"],
            Running(host, *worker, "slowwatched", REDIS=url, NAME="watched", SENTRY_DSN=sentry.dsn) as workers[
                "watched"
            ],
        ):
            assert [each.wait() for each in workers.values()] == [0, 0]
        seen = {name: [state(job) for job in jobs] for name, jobs in sent.items()}
    assert seen["watched"] == seen["bare"]
    assert "agent:" not in workers["watched"].printed
    assert reported(host, sentry, "rq") == [
        ("jobs.again", "NoRetriesLeft", "error", "unmonitored.task"),
        ("jobs.fails", "ValueError", "error", "rq.job"),
        ("jobs.killed", "WorkerLost", "error", "unmonitored.task"),
        ("jobs.long", "JobTimeoutException", "error", "rq.job"),
        ("jobs.never", "Busy", "error", "watched"),
    ]
    assert ("jobs.fine", "rq.queue_wait") in waited(sentry)
    found = traces(sentry)
    assert found["jobs.child"]["trace_id"] == found["jobs.fine"]["trace_id"] != found["jobs.third"]["trace_id"]
    assert found["jobs.fails"]["status"] == "internal_error"
    assert check_ins(sentry) == (
        {"jobs-nightly": ["in_progress", "ok"]}, {"jobs-nightly": {"type": "crontab", "value": "5 4 * * *"}}
    )  # fmt: skip


def state(job):
    result = job.latest_result()
    lines = (result.exc_string or "").strip().splitlines()
    job.refresh()
    return (
        job.func_name,
        str(job.get_status()),
        result.type.name,
        str(job.return_value()).partition(" at ")[0],
        lines[-1:],
        len(lines),
        job.meta,
    )


DRAMATIQ = """
import os, time, dramatiq
from dramatiq.brokers.redis import RedisBroker
NAME = os.environ["NAME"]
broker = RedisBroker(url=os.environ["REDIS"], namespace=NAME)
class Tell(dramatiq.Middleware):
    def after_process_message(self, broker, message, *, result=None, exception=None):
        with open(NAME + ".txt", "a") as file:
            print(message.actor_name, message.options.get("retries"), message.failed, type(exception).__name__, file=file)
broker.add_middleware(Tell())
dramatiq.set_broker(broker)
class Busy(Exception): pass
fast = dict(min_backoff=1, max_backoff=2)
@dramatiq.actor(queue_name="slow")
def fine(number): child.send()
@dramatiq.actor
def child(): pass
@dramatiq.actor(max_retries=0)
def fails(secret): raise ValueError("broken")
@dramatiq.actor(**fast)
def third(path):
    with open(path, "a") as file: file.write(".")
    if os.path.getsize(path) < 3: watched("busy")
@dramatiq.actor(**fast, max_retries=1)
def never(): watched("never")
def watched(why): raise Busy(why)
@dramatiq.actor(throws=(LookupError,))
def expects(): return look("key")
def look(key): return {}[key]  # monitored, and inside an actor that declares what it raises
@dramatiq.actor(max_retries=0, time_limit=500)
def long():
    for _ in range(6000): time.sleep(0.01)
@dramatiq.actor(**fast, max_retries=1)
def retries(): raise dramatiq.Retry("later", delay=1)
"""
DRAMATIQ_SEND = """
import sys, jobs
for name, path in zip(sys.argv[1::2], sys.argv[2::2]):
    jobs.broker.namespace = name
    jobs.fine.send(1), jobs.fails.send("secret-argument"), jobs.third.send(path), jobs.never.send()
    jobs.expects.send(), jobs.long.send(), jobs.retries.send()
"""
ENDS = ["child", "expects", "fails", "fine", "long", *["never", "retries"] * 2, *["third"] * 3]


def test_dramatiq(host, redis_server, sentry, tmp_path):
    pytest.importorskip("dramatiq")
    host.write(
        jobs__py=DRAMATIQ,
        send__py=DRAMATIQ_SEND,
        monitors__yaml=SETTINGS.replace("PACK", "dramatiq") + "  - {target: jobs.look}\n",
    )
    extra = {"REDIS": redis_server.url(4), "SENTRY_DSN": sentry.dsn}
    host.run("send.py", "bare", str(tmp_path / "1"), "watched", str(tmp_path / "2"), agent=False, NAME="bare", **extra)
    command = ("-m", "dramatiq", "jobs", "--processes", "1", "--threads", "2")
    with (
        Running(host, *command, agent=False, NAME="bare", **extra) as bare,
        Running(host, *command, NAME="watched", **extra) as worker,
    ):
        for each in (bare, worker):
            each.until(lambda: all(len(lines(host, name)) >= len(ENDS) for name in ("bare", "watched")))
            each.process.terminate()
        assert [bare.wait(), worker.wait()] == [0, 0]
    assert lines(host, "watched") == lines(host, "bare")
    assert [line.split()[0] for line in lines(host, "watched")] == sorted(ENDS)
    assert "agent:" not in worker.printed
    assert reported(host, sentry, "dramatiq") == [
        ("expects", "KeyError", "info", "dramatiq.actor"),
        ("fails", "ValueError", "error", "dramatiq.actor"),
        ("long", "TimeLimitExceeded", "error", "unmonitored.task"),
        ("never", "Busy", "error", "watched"),
        ("retries", "Retry", "error", "dramatiq.actor"),
    ]
    assert waited(sentry) == {("fine", "dramatiq.queue_wait")}
    found = traces(sentry)
    assert found["child"]["trace_id"] == found["fine"]["trace_id"] != found["third"]["trace_id"]


def lines(host, name):
    file = host.folder / f"{name}.txt"
    return sorted(file.read_text().splitlines()) if file.exists() else []


HUEY = """
import os, huey
app = huey.RedisHuey("slow" + os.environ["NAME"], url=os.environ["REDIS"])
class Busy(Exception): pass
@app.signal()
def tell(signal, task, error=None):
    with open(os.environ["NAME"] + ".txt", "a") as file:
        print(type(task).__name__, signal, type(error).__name__, file=file)
@app.task()
def fine(number): child.schedule(delay=-1)
@app.task()
def child(): pass
@app.task()
def fails(secret): raise ValueError("broken")
@app.task(retries=5)
def third(path):
    with open(path, "a") as file: file.write(".")
    if os.path.getsize(path) < 3: watched("busy")
@app.task(retries=1)
def never(): watched("never")
def watched(why): raise Busy(why)
@app.task()
def cancels(): raise huey.CancelExecution()
@app.task()
def once_more(path):
    if not os.path.exists(path):
        open(path, "w").close()
        raise huey.RetryTask()
@app.task(expires=1)
def late(): pass
@app.periodic_task(huey.crontab(minute="5", hour="4", day_of_week="1-5"))
def nightly(): pass
"""
HUEY_SEND = """
import os, sys, datetime, importlib, jobs
for name, path in zip(sys.argv[1::2], sys.argv[2::2]):
    os.environ["NAME"] = name
    importlib.reload(jobs)
    jobs.fine(1), jobs.fails("secret-argument"), jobs.third(path), jobs.never(), jobs.cancels(), jobs.once_more(path + "-")
    late = jobs.late.s()
    late.expires = datetime.datetime(2020, 1, 1)
    jobs.app.enqueue(late), jobs.app.enqueue(jobs.nightly.s())
"""


def test_huey(host, redis_server, sentry, tmp_path):
    pytest.importorskip("huey")
    host.write(
        jobs__py=HUEY,
        send__py=HUEY_SEND,
        monitors__yaml=SETTINGS.replace("PACK", "huey").replace("slow:", "slowwatched:"),
    )
    extra = {"REDIS": redis_server.url(5), "SENTRY_DSN": sentry.dsn}
    host.run("send.py", "bare", str(tmp_path / "1"), "watched", str(tmp_path / "2"), agent=False, NAME="bare", **extra)
    command = ("-m", "huey.bin.huey_consumer", "jobs.app", "-w", "2", "-d", "0.01")
    ends = {
        "third complete NoneType",
        "once_more complete NoneType",
        "child complete NoneType",
        "nightly complete NoneType",
    }
    with (
        Running(host, *command, agent=False, NAME="bare", **extra) as bare,
        Running(host, *command, NAME="watched", **extra) as worker,
    ):
        for each, name in ((bare, "bare"), (worker, "watched")):
            each.until(lambda name=name: ends <= set(lines(host, name)))
            each.process.send_signal(signal.SIGINT)
        assert [bare.wait(), worker.wait()] == [0, 0]
    assert lines(host, "watched") == lines(host, "bare")
    assert "agent:" not in worker.printed
    assert reported(host, sentry, "huey") == [
        ("jobs.fails", "ValueError", "error", "huey.task"),
        ("jobs.never", "Busy", "error", "watched"),
    ]
    (expired,) = [event for event in sentry.kept if event["tags"]["erp.monitor"] == "huey.lost"]
    assert expired["logentry"]["formatted"] == "jobs.late waited for longer than it may, and does not run"
    assert waited(sentry) == {("jobs.child", "huey.queue_wait")}
    assert set(traces(sentry)) == {
        f"jobs.{name}" for name in ("fine child fails third never cancels once_more nightly").split()
    }
    assert check_ins(sentry) == (
        {"nightly": ["in_progress", "ok"]}, {"nightly": {"type": "crontab", "value": "5 4 * * 1,2,3,4,5"}}
    )  # fmt: skip


SCHEDULED = """
import asyncio, datetime as dt, time, jobs
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED
seen = []
def tell(event):
    seen.append((event.job_id, event.code, repr(event.exception), event.retval, (event.traceback or "").count("File")))
def listen(scheduler):
    scheduler.add_listener(tell, EVENT_JOB_ERROR | EVENT_JOB_EXECUTED | EVENT_JOB_MISSED)
    scheduler.start()
    return scheduler
now = dt.datetime.now(dt.timezone.utc)
background = listen(BackgroundScheduler(timezone="UTC", executors={"slow": {"type": "threadpool"}}))
background.add_job(jobs.fine, "interval", minutes=5, id="fine", next_run_time=now, args=[1], executor="slow")
background.add_job(jobs.fails, "cron", hour=4, minute=5, day_of_week="0-4", id="nightly", next_run_time=now,
                   args=["secret-argument"])
background.add_job(jobs.never, "date", id="never", misfire_grace_time=60)
background.add_job(jobs.fine, "date", id="missed", run_date=now - dt.timedelta(hours=1), misfire_grace_time=1, args=[1])
background.add_job(jobs.handles, "date", id="handles")
while len(seen) < 5: time.sleep(0.01)
background.shutdown()
async def main():
    scheduler = listen(AsyncIOScheduler(timezone="UTC"))
    scheduler.add_job(jobs.crashes, "date", id="crashes")
    while len(seen) < 6: await asyncio.sleep(0.01)
    scheduler.shutdown()
asyncio.run(main())
for each in sorted(seen): print(each)
"""
APSCHEDULER = """
class Busy(Exception): pass
def fine(number): return number + 1
def fails(secret): raise ValueError("broken")
def never(): watched("never")
def watched(why): raise Busy(why)
def handles():
    try: fails("handled")
    except ValueError: return "handled"
async def crashes(): raise KeyError("crashed")
"""


def test_apscheduler(host, sentry):
    pytest.importorskip("apscheduler")
    host.write(jobs__py=APSCHEDULER, main__py=SCHEDULED, monitors__yaml=SETTINGS.replace("PACK", "apscheduler"))
    done = host.run("main.py", SENTRY_DSN=sentry.dsn)
    assert done.stdout == host.run("main.py", agent=False).stdout
    assert "agent:" not in done.stderr
    assert reported(host, sentry, "apscheduler") == [
        ("jobs.crashes", "KeyError", "error", "apscheduler.job"),
        ("jobs.fails", "ValueError", "error", "apscheduler.job"),
        ("jobs.fine", "A run of missed was missed, and does not take place", "warning", "apscheduler.missed"),
        ("jobs.never", "Busy", "error", "watched"),
    ]
    assert waited(sentry) == {("jobs.fine", "apscheduler.queue_wait")}
    assert set(traces(sentry)) == {f"jobs.{name}" for name in ("fine", "fails", "never", "handles", "crashes")}
    statuses, schedules = check_ins(sentry)
    assert statuses == {"fine": ["in_progress", "ok"], "nightly": ["error", "in_progress"]}
    assert schedules == {
        "fine": {"type": "interval", "value": 5, "unit": "minute"},
        "nightly": {"type": "crontab", "value": "5 4 * * mon-fri"},
    }


UNNAMED = """
import datetime as dt, threading, jobs
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
scheduler = BackgroundScheduler(timezone="UTC")
missed = threading.Semaphore(0)
scheduler.add_listener(lambda _: jobs.left_out.set(), EVENT_JOB_MAX_INSTANCES)
scheduler.add_listener(lambda _: missed.release(), EVENT_JOB_MISSED)
now = dt.datetime.now(dt.timezone.utc)
for made_up in (None, "e3a4c4b0-5a4e-4f0c-9d0e-6d8f7c1b2a39"):
    scheduler.add_job(jobs.fine, "date", id=made_up, run_date=now - dt.timedelta(hours=1), misfire_grace_time=1, args=[1])
scheduler.add_job(jobs.waits, "interval", seconds=1, next_run_time=now)
scheduler.start()
for _ in range(2): assert missed.acquire(timeout=60)
assert jobs.left_out.wait(60)
scheduler.shutdown()
"""


def test_jobs_of_apscheduler_whose_ids_are_made_up_are_named_by_their_functions(host, sentry):
    pytest.importorskip("apscheduler")
    waits = "import threading\nleft_out = threading.Event()\ndef waits(): left_out.wait(60)\n"
    host.write(jobs__py=APSCHEDULER + waits, main__py=UNNAMED, monitors__yaml=SETTINGS.replace("PACK", "apscheduler"))
    host.run("main.py", SENTRY_DSN=sentry.dsn)
    deliver(host, sentry)
    rules = [event for event in sentry.kept if event["tags"]["erp.report"] == "rule"]
    found = {(event["logentry"]["formatted"], *event["fingerprint"]) for event in rules}
    assert found == {
        ("A run of jobs.fine was missed, and does not take place", "apscheduler.missed", "jobs.fine"),
        ("A run of jobs:waits is left out, because earlier ones go on", "apscheduler.skipped", "jobs:waits"),
    }
    statuses, _ = check_ins(sentry)
    assert not any(character.isdigit() for slug in statuses for character in slug)


QCLUSTER = """
import os, sys
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django_q"], USE_TZ=True, TIME_ZONE="Europe/Berlin", SECRET_KEY="x",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "erp.sqlite3", "OPTIONS": {"timeout": 60}}},
    Q_CLUSTER={"name": "slow", "workers": 1, "orm": "default", "poll": 0.05, "max_attempts": 2, "retry": 600, "timeout": 1,
               "guard_cycle": 0.1},
)
import django
django.setup()
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""
PREPARE = """
import manage
from django_q.models import Schedule
from django_q.tasks import async_task, schedule
async_task("jobs.fine", 1), async_task("jobs.fails", "secret-argument"), async_task("jobs.third", "third.txt")
async_task("jobs.missing"), async_task("jobs.long", ack_failure=True)
schedule("jobs.nightly", name="nightly", schedule_type=Schedule.DAILY, cluster="slow")
"""
DJANGO_Q = """
import os, time
class Busy(Exception): pass
def fine(number):
    from django_q.scheduler import scheduler
    from django_q.tasks import async_task
    async_task("jobs.child")
    scheduler()  # which the cluster calls twice a minute
def child(): pass
def fails(secret): watched("broken")
def watched(why): raise Busy(why)
def third(path):
    with open(path, "a") as file: file.write(".")
    if os.path.getsize(path) < 2: watched("busy")
def long(): time.sleep(20)
def nightly(): pass
"""
#: What is printed once each task was run; and once those that are delivered again were run again.
ONCE = [f"Failed 'jobs.{name}'" for name in ("fails", "missing", "third", "long")]
ONCE += [f"Processed 'jobs.{name}'" for name in ("fine", "child", "nightly")]
FINISHED = [f"Failed 'jobs.{name}'" for name in ("fails", "missing", "fails", "missing", "long")]
FINISHED += [f"Processed 'jobs.{name}'" for name in ("fine", "child", "third", "nightly")]


def test_django_q(host, sentry):
    pytest.importorskip("django_q")
    host.write(
        jobs__py=DJANGO_Q, manage__py=QCLUSTER, prepare__py=PREPARE, monitors__yaml=SETTINGS.replace("PACK", "django_q")
    )
    host.run("prepare.py", "migrate", "-v0", agent=False)
    bare = host.folder / "bare"
    bare.mkdir()
    for name in ("manage.py", "jobs.py", "erp.sqlite3"):
        shutil.copy(host.folder / name, bare)
    with (
        Running(host, "manage.py", "qcluster", agent=False, cwd=bare) as without,
        Running(host, "manage.py", "qcluster", SENTRY_DSN=sentry.dsn) as cluster,
    ):
        for each, folder in ((without, bare), (cluster, host.folder)):
            each.until(lambda each=each: all(end in each.printed for end in ONCE))
            deliver_again(folder)
            each.until(lambda each=each: all(each.printed.count(end) >= FINISHED.count(end) for end in FINISHED))
            assert each.stop() == 0
    assert results(host.folder) == results(bare)
    assert "agent:" not in cluster.printed
    assert reported(host, sentry, "django_q") == [
        ("jobs.fails", "Busy", "error", "watched"),
        ("jobs.long", "TimeoutException", "error", "unmonitored.task"),
        ("jobs.missing", "TaskNotFound", "error", "unmonitored.task"),
    ]
    assert ("jobs.fine", "django_q.queue_wait") in waited(sentry)
    found = traces(sentry)
    assert found["jobs.child"]["trace_id"] == found["jobs.fine"]["trace_id"] != found["jobs.third"]["trace_id"]
    assert check_ins(sentry) == (
        {"nightly": ["in_progress", "ok"]},
        {"nightly": {"type": "interval", "value": 1, "unit": "day"}},
    )


def deliver_again(folder):
    """The tasks that failed, now: after a `retry` of seconds, a busy machine delivers what has not yet been run, too."""
    with contextlib.closing(sqlite3.connect(folder / "erp.sqlite3", timeout=60)) as database, database:
        database.execute("update django_q_ormq set lock = '2000-01-01 00:00:00'")


def results(folder):
    with contextlib.closing(sqlite3.connect(folder / "erp.sqlite3")) as database:
        query = 'select func, success, attempt_count, "group" from django_q_task order by func'
        return database.execute(query).fetchall(), database.execute("select count(*) from django_q_ormq").fetchall()
