"""Workers of queues that the agent does not know, and a loop of the ERP's own: what they log as an error is reported once."""

import pytest

SECRET = "s3cret-argument"
SETTINGS = """
version: 1
modules: {shop: {description: Orders}}
monitors:
  - {target: jobs.watched, module: shop, operation: watched}
  - {target: jobs.expects, module: shop, operation: expects, expect: [LookupError]}
  - {target: library.fails_quietly, operation: library, threshold: off}
"""
JOBS = """
class Busy(Exception): pass
def watched(): raise Busy("watched")
def expects(): raise KeyError("a part that is no longer made")
def ship(secret):
    private = secret
    raise ValueError("no stock for " + "anna@" + "example.com")
def handled():
    import logging
    try: watched()
    except Busy: logging.getLogger("erp").error("tried %s", "s3cret-" + "argument")
"""

LIBRARY = """
import logging
def fails_quietly():
    try: raise OSError("the library goes on")
    except OSError: logging.getLogger("library").exception("it has failed")
"""
LOOP = """
import logging, sys, jobs
sys.path.append("site-packages")
import library
log = logging.getLogger("erp.worker")
def run(job, *given):
    try: job(*given)
    except Exception: log.exception("the job of %s failed", "s3cret-" + "argument")
run(jobs.ship, "s3cret-" + "argument")
run(jobs.watched)
run(jobs.handled)
run(jobs.expects)
library.fails_quietly()
try: jobs.ship("")
except ValueError as error: log.error(f"failed: {error}")
try: jobs.ship("")
except ValueError: log.warning("it goes on", exc_info=True)
log.error("an error without an exception")
"""
ARQ = """
import asyncio, os, jobs
from arq import create_pool, worker
from arq.connections import RedisSettings
settings = RedisSettings.from_dsn(os.environ["REDIS"])
async def ship(ctx, secret): jobs.ship(secret)
async def watched(ctx): jobs.watched()
async def later(ctx):
    if ctx["job_try"] < 2: raise worker.Retry()
async def main():
    pool = await create_pool(settings)
    await pool.flushdb()
    for name, *given in (("ship", "s3cret-" + "argument"), ("watched",), ("later",)): await pool.enqueue_job(name, *given)
    made = worker.Worker([ship, watched, later], redis_settings=settings, burst=True, poll_delay=0, handle_signals=False)
    await made.main()
    print("=", made.jobs_complete, made.jobs_failed, made.jobs_retried)
    await made.close()
    await pool.aclose()
asyncio.run(main())
"""
TASKIQ = """
import asyncio, logging, jobs
from taskiq import InMemoryBroker
logging.basicConfig()
broker = InMemoryBroker()
@broker.task
async def ship(secret): jobs.ship(secret)
@broker.task
async def watched(): jobs.watched()
async def main():
    await broker.startup()
    for task, *given in ((ship, "s3cret-" + "argument"), (watched,)):
        result = await (await task.kiq(*given)).wait_result()
        print("=", result.is_err, type(result.error).__name__)
    await broker.shutdown()
asyncio.run(main())
"""
SAQ = """
import asyncio, os, jobs
from saq import Queue, Worker
async def ship(ctx, *, secret): jobs.ship(secret)
async def watched(ctx): jobs.watched()
async def main():
    queue = Queue.from_url(os.environ["REDIS"])
    await queue.redis.flushdb()
    await queue.sweep(lock=600)  # or the worker's own, as it starts, may abort a job that it has just taken
    sent = [await queue.enqueue("ship", secret="s3cret-" + "argument"), await queue.enqueue("watched")]
    worker = Worker(queue, functions=[ship, watched], burst=True, dequeue_timeout=0.1)
    await worker.start()
    for job in sent:
        await job.refresh()
        print("=", job.status)
    await queue.disconnect()
asyncio.run(main())
"""
PROCRASTINATE = """
import asyncio, os, jobs
from procrastinate import App, PsycopgConnector
app = App(connector=PsycopgConnector(conninfo=os.environ["POSTGRES"]))
@app.task
def ship(secret): jobs.ship(secret)
@app.task
async def watched(): jobs.watched()
@app.task(retry=1, pass_context=True)
def later(context):
    if not context.job.attempts: raise ValueError("not yet")
async def main():
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await ship.defer_async(secret="s3cret-" + "argument")
        await watched.defer_async()
        await later.defer_async()
        await app.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False)
        print("=", [(job.task_name, job.status) for job in await app.job_manager.list_jobs_async()])
asyncio.run(main())
"""
DJANGO_TASKS = """
import sys, django
from django.conf import settings
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    INSTALLED_APPS=["django_tasks", "django_tasks_db"], DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    TASKS={"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}, USE_TZ=True,
)
django.setup()
from django.core.management import call_command
import work
call_command("migrate", verbosity=0)
sent = [work.ship.enqueue("s3cret-" + "argument"), work.watched.enqueue()]
call_command("db_worker", batch=True, interval=0)
for each in sent:
    each.refresh()
    print("=", each.status)
"""
OF_DJANGO = """
import jobs
from django_tasks import task
@task()
def ship(secret): jobs.ship(secret)
@task()
def watched(): jobs.watched()
"""


def reported(host):
    found = [
        (
            event["tags"]["erp.monitor"],
            event["tags"]["erp.operation"],
            event["level"],
            event["exception"]["values"][-1]["type"],
        )
        for event in host.events()
    ]
    assert SECRET.encode() not in b"".join(host.envelopes())
    assert b"anna@example.com" not in b"".join(host.envelopes())
    return sorted(found)


WATCHED = ("watched", "watched", "error", "Busy")


@pytest.mark.parametrize(
    ("library", "program", "where"),
    [
        ("arq", ARQ, "main.ship"),
        ("taskiq", TASKIQ, "main.ship"),
        ("saq", SAQ, "main.ship"),
        ("procrastinate", PROCRASTINATE, "main.ship"),
        ("django_tasks_db", DJANGO_TASKS, "work.ship"),
    ],
    ids=["arq", "taskiq", "saq", "procrastinate", "django-tasks"],
)
def test_a_job_that_fails_in_a_queue_nobody_knows(host, request, library, program, where, tmp_path):
    pytest.importorskip(library)
    extra = {}
    if "REDIS" in program:
        extra["REDIS"] = request.getfixturevalue("redis_server").url(7)
    host.write(jobs__py=JOBS, work__py=OF_DJANGO, monitors__yaml=SETTINGS, main__py=program)
    host.write(start__py="import main")  # its functions are those of a module with a name
    printed = []
    for agent in (False, True):
        if "POSTGRES" in program:
            postgres = request.getfixturevalue("postgres_server")
            extra["POSTGRES"] = postgres.create(f"logged_{agent}".lower())
        done = host.run("start.py", str(tmp_path / f"{agent}.sqlite"), agent=agent, **extra)
        printed.append([line for line in done.stdout.splitlines() if line.startswith("=")])
    assert printed[0] == printed[1]
    assert printed[0]
    assert reported(host) == [("unmonitored.logged", where, "error", "ValueError"), WATCHED]


def test_a_loop_of_the_erps_own(host):
    host.write(jobs__py=JOBS, monitors__yaml=SETTINGS, main__py=LOOP, **{"site-packages___library__py": LIBRARY})
    plain, watched = host.run("main.py", agent=False), host.run("main.py")
    assert (watched.stdout, watched.stderr) == (plain.stdout, plain.stderr)
    logged = ("unmonitored.logged", "jobs.ship", "error", "ValueError")
    assert reported(host) == [logged, logged, WATCHED, WATCHED]
    lines = [event["contexts"]["erp"].get("logged") for event in host.events()]
    assert [line for line in lines if line] == [
        {"logger": "erp.worker", "message": "the job of %s failed"},
        {"logger": "erp.worker", "message": "failed: {error}"},
    ]


@pytest.mark.parametrize("setting", ["ignore_loggers: [erp]", "ignore_loggers: ['*']", "integrations: [django]"])
def test_loggers_that_are_not_followed(host, setting):
    host.write(
        **{"site-packages___library__py": LIBRARY},
        jobs__py=JOBS,
        main__py=LOOP,
        monitors__yaml=SETTINGS + "sentry: {" + setting + "}\n",
    )
    host.run("main.py")
    assert reported(host) == [WATCHED, WATCHED]
