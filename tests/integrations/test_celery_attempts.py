"""A task that succeeds at its third try is not two errors; one that fails for good is one."""

import pytest
from acceptance.host import Host
from receiver import Receiver

pytest.importorskip("celery")
pytestmark = pytest.mark.slow(reason="starts a host in each test")

APP = """
import celery
app = celery.Celery("shop", broker="memory://", backend="cache+memory://")
app.conf.update(task_always_eager=True, task_eager_propagates=False, broker_connection_retry_on_startup=True)
class Busy(Exception): pass
tries = []
def connect(until):
    tries.append(1)
    if len(tries) < until: raise Busy(len(tries))
    return "sent"
@app.task(autoretry_for=(Busy,), max_retries=3, retry_backoff=False, default_retry_delay=0)
def automatic(until): return connect(until)
@app.task(bind=True, max_retries=3, default_retry_delay=0)
def by_hand(self, until):
    try: return connect(until)
    except Busy as error: raise self.retry(exc=error)
@app.task
def plain(until): return connect(until)
@app.task(bind=True)
def ignored(self): raise celery.exceptions.Ignore()
@app.task(bind=True)
def rejected(self): raise celery.exceptions.Reject("no")
"""
MONITORS = """
version: 1
monitors:
  - {target: shop.connect, operation: connect}
  - {targets: [shop.automatic, shop.by_hand, shop.plain, shop.ignored, shop.rejected], operation: "task.{name}"}
"""
MAIN = """
import sys, shop
task, until = sys.argv[1], sys.argv[2:]
result = getattr(shop, task).apply(args=[int(each) for each in until])
print(result.state, len(shop.tries))
"""


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path)
    host.write(shop__py=APP, main__py=MAIN, monitors__yaml=MONITORS)
    return host


def outcome(host, *words, **extra):
    done = host.run("main.py", *words, **extra)
    assert done.stderr == "" or "agent" not in done.stderr, done.stderr
    bare = host.run("main.py", *words, agent=False)
    assert done.stdout == bare.stdout
    return done.stdout.split()


@pytest.mark.parametrize("task", ["automatic", "by_hand"])
def test_a_task_that_succeeds_at_its_third_try_is_no_error(host, task):
    outcome(host, task, "3")
    assert host.events() == []
    assert "'tried-again'" in "".join(path.read_text() for path in (host.state / "run").iterdir())


@pytest.mark.parametrize("task", ["automatic", "by_hand"])
def test_a_task_that_fails_for_good_is_one(host, task):
    assert outcome(host, task, "99")[1] == "4"
    (event,) = host.events()
    assert event["tags"]["erp.operation"] == "connect"
    assert event["contexts"]["erp"]["operations"][-2:] == [f"task.{task}", "connect"]
    assert event["contexts"]["celery"]["retries"] == 3


def test_a_task_that_does_not_retry_is_reported_at_once(host):
    outcome(host, "plain", "2")
    (event,) = host.events()
    assert event["contexts"]["erp"]["operations"] == ["task.plain", "connect"]


@pytest.mark.parametrize("task", ["ignored", "rejected"])
def test_ignore_and_reject_are_no_failures(host, task):
    outcome(host, task)
    assert host.events() == []


@pytest.mark.parametrize(
    ("task", "until", "number"), [("by_hand", "3", 0), ("by_hand", "99", 1), ("automatic", "99", 1)]
)
def test_the_same_with_a_sentry_and_its_own_integration(host, task, until, number):
    with Receiver() as sentry:
        host.run("main.py", task, until, SENTRY_DSN=sentry.dsn, SENTRY_TRACES_SAMPLE_RATE="0")
        host.agent("spool", "flush", SENTRY_DSN=sentry.dsn)
        assert len(sentry.events) == number
        if number:
            assert sentry.events[0]["tags"]["erp.operation"] == "connect"
