"""RQ runs each job in a fork of its worker, which ends with `os._exit`: nothing that a job reported is lost with it."""

import sys

import pytest

pytest.importorskip("rq")

SHOP = "import os\ndef f(x):\n    raise ValueError('%s in %d' % (x, os.getpid()))\n"
MONITORS = "version: 1\nmodules: {m: {description: M}}\nmonitors:\n  - {target: shop.f, module: m, operation: op}\n"
MAIN = """
import sys
from redis import Redis
from rq import Queue, Worker
import shop
connection = Redis.from_url(sys.argv[1])
queue = Queue("erp", connection=connection)
jobs = [queue.enqueue(shop.f, n) for n in range(3)]
Worker([queue], connection=connection).work(burst=True, logging_level="CRITICAL")
for job in jobs:
    print(job.latest_result().exc_string.strip().splitlines()[-1].partition(": ")[2])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_each_job_reports_under_the_pid_of_its_own_process(host, redis_server):
    host.write(shop__py=SHOP, monitors__yaml=MONITORS, main__py=MAIN)
    done = host.run("main.py", redis_server.url())
    lines = sorted(done.stdout.splitlines())
    assert [line.partition(" in ")[0] for line in lines] == ["0", "1", "2"]
    assert sorted(event["exception"]["values"][-1]["value"] for event in host.events()) == lines
    pids = {int(line.rpartition(" ")[2]) for line in lines}
    assert len(pids) == 3
    assert pids == {int(path.name.partition("-")[0]) for path in (host.state / "run").glob("*.state")} & pids
    assert "agent:" not in done.stderr


IMPORT = """
import time
class BadRow(Exception):
    pass
def parse(row):
    raise BadRow(row)
def rows():
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            parse(1)
        except BadRow:
            pass
"""
WORKER = """
import sys
from redis import Redis
from rq import Queue
from rq.worker import SimpleWorker
import rows
connection = Redis.from_url(sys.argv[1])
queue = Queue("limited", connection=connection)
job = queue.enqueue(rows.rows, job_timeout=1)
SimpleWorker([queue], connection=connection).work(burst=True, logging_level="CRITICAL")
print(job.latest_result().exc_string.strip().splitlines()[-1])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_job_that_reports_without_end_is_stopped_by_its_time_limit(host, redis_server):
    monitors = MONITORS.replace("shop.f", "rows.parse").replace("operation: op", "operation: op, rate_limit: off")
    host.write(rows__py=IMPORT, monitors__yaml=monitors, main__py=WORKER)
    done = host.run("main.py", redis_server.url(1))
    assert done.stdout.startswith("rq.timeouts.JobTimeoutException: Task exceeded maximum timeout value (1 seconds)")
    assert "agent:" not in done.stderr
    assert host.envelopes()
