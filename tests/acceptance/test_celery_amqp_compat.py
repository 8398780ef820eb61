"""A worker on RabbitMQ instead of Redis, and what becomes of it without: `pytest -m compat`, with rabbitmq-server installed."""

import contextlib

import pytest
from acceptance.running import deliver
from acceptance.services import free_port, run_rabbitmq
from acceptance.test_celery_health import MONITORS, SEND, monitors, told, worker
from receiver import Receiver

pytestmark = pytest.mark.compat
pytest.importorskip("celery")
pytest.importorskip("amqp")

SHOP = """
import os, celery
app = celery.Celery("shop", broker=os.environ["BROKER"].split())
app.conf.update(broker_connection_retry_on_startup=True, task_ignore_result=True)
@app.task
def works(): print("it works", flush=True)
@app.task
def fails(): raise ValueError("broken")
"""


@pytest.fixture
def shop(host, request):
    if "compat" not in request.config.option.markexpr:
        pytest.skip("starts RabbitMQ: run with -m compat")
    host.write(shop__py=SHOP, send__py=SEND, monitors__yaml=MONITORS)
    return host


def test_a_worker_loses_rabbitmq(shop):
    with Receiver() as sentry, contextlib.ExitStack() as rabbitmq:
        extra = {"BROKER": " ".join([rabbitmq.enter_context(run_rabbitmq())] * 6), "SENTRY_DSN": sentry.dsn}
        with worker(shop, **extra) as celery:
            shop.run("send.py", "works", "fails", **extra)
            celery.wait_for("it works")
            rabbitmq.close()
            celery.until(lambda: len(sentry.kept) >= 4, what="what the worker tells")
            assert shop.run("send.py", "works", check=False, **extra).returncode == 1
        deliver(shop, sentry)
        assert "agent:" not in celery.printed
        assert sorted(monitors(each for each in sentry.kept if "exception" in each)) == [
            "celery.publish", "celery.task",
        ]  # fmt: skip
        words = told(each for each in sentry.kept if "exception" not in each)
    assert [each[:2] for each in words] == [
        ("celery.connection_lost", "warning"), ("celery.no_connection", "error"), ("celery.no_connection", "warning"),
    ]  # fmt: skip
    assert "ConnectionRefusedError" in words[1][2]


def test_nobody_listens(shop):
    extra = {"BROKER": " ".join([f"amqp://guest:secret-pass@127.0.0.1:{free_port()}//"] * 6)}
    with worker(shop, **extra) as celery:
        celery.until(lambda: len(shop.events()) >= 2, what="what the worker tells")
    assert shop.run("send.py", "works", check=False, **extra).returncode == 1
    assert sorted(monitors(shop.events())) == ["celery.no_connection", "celery.no_connection", "celery.publish"]
    assert b"secret-pass" not in b"".join(shop.envelopes())
