"""Celery in the example ERP, whose settings alone know the DSN: worker and beat find it as web processes do."""

import json

import pytest
from acceptance.host import ROOT, Host
from acceptance.running import Running, deliver
from receiver import Receiver

for needed in ("celery", "django", "redis"):
    pytest.importorskip(needed)

ERP = ROOT / "examples" / "erp"
SETTINGS = """
import datetime, os
from erp.settings import *
SENTRY_DSN = os.environ["OTHER_DSN"]
past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
CELERY_BEAT_SCHEDULE = {
    "gauges": {"task": "quality.tasks.gauges_due", "schedule": 3600.0, "args": ["not a number"], "last_run_at": past},
}
"""
MONITORS = """
version: 1
sentry: {traces_sample_rate: 1.0}
celery: {check_ins: ["*"]}
monitors: [{target: quality.tasks.nothing_of_that_name, operation: nothing}]
"""
WORKER = ("worker", "-l", "INFO", "--without-gossip", "--without-mingle", "-c", "1")


def items(sentry, kind):
    return [json.loads(data) for each in list(sentry.envelopes) for head, data in each.items if head["type"] == kind]


def test_a_dsn_in_djangos_settings_is_that_of_worker_and_beat(tmp_path, redis_server):
    host = Host(tmp_path)
    host.write(installation__py=SETTINGS, monitors__yaml=MONITORS)
    beat = ("beat", "-s", str(tmp_path / "schedule"), "--pidfile=", "-l", "INFO", "--max-interval", "1")
    with Receiver() as sentry:
        extra = {
            "OTHER_DSN": sentry.dsn, "DJANGO_SETTINGS_MODULE": "installation", "ERP_DB": str(tmp_path / "erp.sqlite3"),
            "PYTHONPATH": f"{ROOT}:{host.folder}", "CELERY_BROKER_URL": redis_server.url(5),
        }  # fmt: skip
        celery = ("-m", "celery", "-A", "erp")
        with Running(host, *celery, *WORKER, cwd=ERP, **extra) as worker:
            with Running(host, *celery, *beat, cwd=ERP, **extra) as scheduler:
                worker.until(lambda: sentry.events and items(sentry, "transaction"), what="an event and a transaction")
                assert scheduler.stop() == 0
            assert worker.stop() == 0
        deliver(host, sentry)
        assert "agent:" not in worker.printed + scheduler.printed
        (event,) = sentry.events
        assert (event["transaction"], event["tags"]["erp.monitor"]) == ("quality.tasks.gauges_due", "unmonitored.task")
        assert event["exception"]["values"][-1]["type"] == "TypeError"
        assert event["contexts"]["celery"]["queue"] == "celery"
        assert {each["transaction"] for each in items(sentry, "transaction")} >= {"quality.tasks.gauges_due"}
        came = items(sentry, "check_in")
        assert [(each["monitor_slug"], each["status"]) for each in came] == [
            ("gauges", "in_progress"),
            ("gauges", "error"),
        ]
    assert not list((host.state / "spool" / "held").glob("*.envelope"))
