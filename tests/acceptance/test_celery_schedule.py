"""Real beat, real workers: scheduled tasks check in at Sentry, and tasks that waited too long in their queue are told."""

import json

import pytest
from acceptance.running import Running, deliver
from receiver import Receiver

pytest.importorskip("celery")
pytest.importorskip("redis")

SHOP = """
import datetime, os, sys, celery
from celery.schedules import crontab
app = celery.Celery("shop", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
def entry(task, schedule, *arguments):
    return {"task": "shop." + task, "schedule": schedule, "last_run_at": past, "args": arguments}
app.conf.update(
    broker_connection_retry_on_startup=True, timezone="Europe/Stockholm", task_default_queue=os.environ["QUEUE"],
    beat_schedule={
        "Nightly Invoices": entry("works", crontab("*/2", "*", "mon-sun", "29", "2")),
        "stock": entry("fails", datetime.timedelta(hours=6)),
        "third": entry("third", 90.0),
        "killed": entry("killed", 86400),
        "often": entry("works", 30.0),
        "private": entry("works", 3600.0, "secret" "-argument"),
    },
)
class Busy(Exception): pass
@app.task
def works(*arguments): return "secret" "-result"
@app.task
def fails(): raise ValueError("broken")
@app.task(bind=True, max_retries=3, default_retry_delay=0)
def third(self):
    if self.request.retries < 2: raise self.retry(exc=Busy("busy"))
@app.task
def killed(): os.kill(os.getpid(), 9)
@app.task(bind=True)
def headers(self): return sorted(vars(self.request))
"""
MONITORS = """
version: 1
celery: {check_ins: [Night*, stock, third, killed, often], check_in_margin: 90s, check_in_max_runtime: 2h}
monitors: [{target: shop.nothing, operation: nothing}]
"""
WORKER = ("-m", "celery", "-A", "shop", "worker", "-l", "WARNING", "--without-gossip", "--without-mingle", "-c", "1")


def checked_in(sentry):
    return [
        json.loads(data) for each in list(sentry.envelopes) for head, data in each.items if head["type"] == "check_in"
    ]


def test_scheduled_tasks_check_in(host, redis_server, tmp_path):
    host.write(shop__py=SHOP, monitors__yaml=MONITORS)
    schedule = ("-s", str(tmp_path / "schedule"), "--pidfile=", "-l", "INFO", "--max-interval", "1")
    with Receiver() as sentry:
        extra = {"BROKER": redis_server.url(), "QUEUE": "beat", "SENTRY_DSN": sentry.dsn, "SENTRY_ENVIRONMENT": "test"}
        with (
            Running(host, *WORKER, **extra) as worker,
            Running(host, "-m", "celery", "-A", "shop", "beat", *schedule, **extra) as beat,
        ):
            beat.wait_for("Sending due task", times=6)
            beat.until(
                lambda: sum(each["status"] != "in_progress" for each in checked_in(sentry)) >= 4, what="four ends"
            )
            assert beat.stop() == 0
            assert worker.stop() == 0
        deliver(host, sentry)
        assert "agent:" not in worker.printed + beat.printed
        raw = b"".join(data for each in sentry.envelopes for _, data in each.items)
        assert b"secret-" not in raw  # (source lines are there)
        came = checked_in(sentry)
    assert {each["environment"] for each in came} == {"test"}
    begun = {each["monitor_slug"]: each for each in came if each["status"] == "in_progress"}
    assert {slug: each["monitor_config"] for slug, each in begun.items()} == {
        slug: {"schedule": schedule, "timezone": "Europe/Stockholm", "checkin_margin": 2, "max_runtime": 120}
        for slug, schedule in [
            ("nightly-invoices", {"type": "crontab", "value": "*/2 * 29 2 mon-sun"}),
            ("stock", {"type": "interval", "value": 6, "unit": "hour"}),
            ("third", {"type": "interval", "value": 2, "unit": "minute"}),
            ("killed", {"type": "interval", "value": 1, "unit": "day"}),
        ]
    }
    ended = {
        each["check_in_id"]: (each["status"], each["duration"] >= 0) for each in came if each["status"] != "in_progress"
    }
    assert {slug: ended.get(each["check_in_id"]) for slug, each in begun.items()} == {
        "nightly-invoices": ("ok", True),
        "stock": ("error", True),
        "third": ("ok", True),  # at its third try
        "killed": ("error", True),  # which its main process tells
    }
    assert len({each["check_in_id"] for each in came}) == 4


WAITS = "version: 1\nsentry: {}\ncelery: {queue_wait: {info: 100ms, error: 200ms, fatal: 5h}, queues: {patient: 1h}}\nmonitors: []\n"
SEND = """
import shop, sys
for queue in sys.argv[1:]: shop.works.apply_async(queue=queue)
shop.headers.apply_async(queue=sys.argv[1]).forget()
print("sent")
"""
RESULT = "import shop\nprint(shop.works.apply_async(queue='patient').get(timeout=60))\n"


def test_a_task_that_waited_too_long_is_told(host, redis_server):
    """It was published before there was a worker. Of many equal ones, one event tells."""
    host.write(shop__py=SHOP, send__py=SEND, result__py=RESULT, monitors__yaml=WAITS)
    extra = {"BROKER": redis_server.url(), "QUEUE": "waiting"}
    host.run("send.py", *["hasty"] * 30, *["patient"] * 3, **extra)
    with Running(host, *WORKER, "-Q", "hasty,patient", **extra) as worker:
        assert host.run("result.py", **extra).stdout == "secret-result\n"
        worker.until(lambda: len(host.events()) >= 2)
        assert worker.stop() == 0
    assert "agent:" not in worker.printed
    works, headers = sorted(host.events(), key=lambda event: event["transaction"], reverse=True)
    assert (works["transaction"], headers["transaction"]) == ("shop.works", "shop.headers")
    assert works["tags"]["erp.report"] == "slow"
    assert works["logentry"]["formatted"].startswith("shop.works waited ")
    assert works["logentry"]["formatted"].endswith(" in the queue hasty")
    assert works["fingerprint"] == ["celery.queue_wait", "hasty", "shop.works"]
    assert (works["contexts"]["erp"]["threshold_ms"], works["level"]) == (200, "error")
    assert works["contexts"]["celery"]["queue"] == "hasty"


def test_nothing_is_added_to_messages_unless_asked_for(host, redis_server):
    host.write(shop__py=SHOP, send__py="import shop\nprint(shop.headers.delay().get(timeout=60))\n")
    extra = {"BROKER": redis_server.url(), "QUEUE": "plain"}
    host.config.write_text("version: 1\npacks: [celery]\nmonitors: []\n")
    with Running(host, *WORKER, **extra):
        assert "erp_agent" not in host.run("send.py", **extra).stdout
        host.config.write_text("version: 1\ncelery: {queue_wait: 1h}\nmonitors: []\n")
        assert "erp_agent" in host.run("send.py", **extra).stdout
