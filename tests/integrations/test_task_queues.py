"""What each queue's library has of a task and of a schedule, read from its own objects."""

import datetime as dt
import json
import types

import pytest
from observe.making import sentry

from agent.base import guard
from agent.deliver import wire
from agent.integrations.tasks import adopted, check_ins, header, library, running
from agent.observe.around import work
from agent.observe.failure.attempts import Attempt
from agent.observe.failure.severity import is_control_flow
from agent.testing import reporting

NOON = dt.datetime(2027, 1, 15, 12, tzinfo=dt.timezone.utc)


# What is common to all.


def test_a_task_is_a_piece_of_work_except_inside_of_another():
    kind = running.Kind("rq", lambda _about, _name: None, lambda about: {"task": about})
    outer = running.begin("shop.outer", kind, tries=False)
    inner = running.begin("shop.inner", kind, tries=True)
    assert work.current().about == "shop.outer"
    assert running.provide() == {"rq": {"task": "shop.inner"}, "transaction": "shop.inner"}
    assert type(running.attempt()) is Attempt
    running.end(inner, pytest.fail)
    assert running.attempt() is None
    assert running.provide()["transaction"] == "shop.outer"
    outer.crashed = True
    now = work.current()
    running.end(outer, pytest.fail)
    assert (now.outcome, work.current(), running.provide()) == (work.CRASHED, None, {})


@pytest.mark.parametrize("again", [True, False])
def test_what_was_reported_in_an_attempt_is_settled_at_its_end(again):
    kind = running.Kind("rq", lambda _about, _name: None, lambda about: {"task": about})
    run = running.begin("shop.task", kind, tries=True)
    run.attempt.held["entry"] = "monitor"
    run.again = again
    settled = []
    running.end(run, lambda attempt, again: settled.append((attempt.held, again)))
    assert settled == [({"entry": "monitor"}, again)]


def test_a_check_in_of_one_process_states_its_schedule_twice_for_they_may_change_places():
    settings = {"queue_wait": [], "queues": {}, "check_ins": ["night*"], "margin": 90.0, "max_runtime": None}
    kept = []
    noted = []
    made = check_ins.CheckIns(settings, sentry(), kept.append, lambda *entry: noted.append(entry), lambda: 5.0)
    assert made.begin("weekly", check_ins.every(600), "UTC") is None  # no pattern
    assert made.begin("nightly", None, "UTC") is None  # no schedule
    one = made.begin("nightly", check_ins.crontab("5 4 * * *"), "Europe/Berlin")
    made.end(one, "ok", check_ins.crontab("5 4 * * *"), "Europe/Berlin")
    first, second = (json.loads(wire.decode(each.data).items[0].payload) for each in kept)
    schedule = {"type": "crontab", "value": "5 4 * * *"}
    assert first["monitor_config"] == {"schedule": schedule, "timezone": "Europe/Berlin", "checkin_margin": 2}
    assert second["monitor_config"] == first["monitor_config"]
    made.begin("nightly", check_ins.crontab("5 4 * * *"), "Europe/Berlin")
    made.begin("nightly", check_ins.crontab("5 5 * * *"), "Europe/Berlin")
    later = {"type": "crontab", "value": "5 5 * * *"}
    assert noted == [("nightly", schedule, "Europe/Berlin"), ("nightly", later, "Europe/Berlin")], (
        "once, and each change"
    )
    assert (first["status"], second["status"], first["check_in_id"]) == ("in_progress", "ok", second["check_in_id"])


def test_a_line_of_a_crontab_has_five_fields():
    assert check_ins.crontab(" 5  4 * * * ") == {"type": "crontab", "value": "5 4 * * *"}
    assert check_ins.crontab("* * * * * 30") is None  # with seconds
    assert check_ins.crontab("@daily") is None
    assert check_ins.every(59) is None
    assert check_ins.every(90) == {"type": "interval", "value": 2, "unit": "minute"}


def called_by_a_task():
    """Its caller deals with what it raises."""


def test_a_task_that_another_task_calls_is_left_to_its_caller():
    kind = running.Kind("rq", lambda _about, _name: None, lambda about: {"task": about})
    frame = types.SimpleNamespace(f_code=called_by_a_task.__code__)
    assert not adopted.is_called(frame)  # outside of any task
    run = running.begin("shop.task", kind, tries=False)
    try:
        assert not adopted.is_called(frame)  # whose function is not known
        run.places = frozenset([("shop.py", 1)])
        assert adopted.is_called(frame)
        run.places = frozenset([(frame.f_code.co_filename, frame.f_code.co_firstlineno)])
        assert not adopted.is_called(frame)  # it is the task itself
    finally:
        running.end(run, pytest.fail)


def test_only_functions_are_adopted_not_what_has_no_code():
    class Bound:
        def method(self):
            """A task may be one."""

        def __call__(self):
            """Not found."""

    assert adopted.function_of(Bound().method) is Bound.method
    assert adopted.function_of(Bound()) is None
    assert adopted.function_of(len) is None
    assert adopted.found_as(called_by_a_task).name == "called_by_a_task"


def test_what_has_begun_is_ended_whatever_goes_wrong_at_its_beginning(monkeypatch):
    monkeypatch.setattr(guard, "swallow", lambda _where: None)
    kind = running.Kind("rq", lambda _about, _name: None, lambda about: {"task": about})

    def begins(error):
        running.begin("shop.task", kind, tries=True)
        raise error

    run = library.beginning(begins)(ValueError("of ours"))
    assert run is running.current()
    running.end(run, pytest.fail)
    with pytest.raises(KeyboardInterrupt):
        library.beginning(begins)(KeyboardInterrupt())
    assert running.current() is None
    assert work.current() is None
    assert library.beginning(lambda: {}["nothing has begun"])() is None


# RQ.


def test_rq_is_read_without_unpickling():
    rq = pytest.importorskip("agent.integrations.tasks.rq")
    job_class = pytest.importorskip("rq.job").Job
    job = job_class("1", connection=object())
    job.description, job.origin, job.enqueued_at = "shop.tasks.ship(12, 'secret')", "low", NOON
    assert rq.facts(job) == {"task": "shop.tasks.ship", "id": "1", "queue": "low"}
    job.description = "Ships the order of anna@example.com"
    assert rq.facts(job)["task"] == "job"
    job._func_name, job.number_of_retries = "shop.tasks.bill", 2
    assert rq.facts(job) == {"task": "shop.tasks.bill", "id": "1", "queue": "low", "retries": 2}
    assert rq.due(job) == NOON.timestamp()
    job.enqueued_at = NOON.replace(tzinfo=None)  # before RQ 2
    assert rq.due(job) == NOON.timestamp()
    job.enqueued_at = None
    assert rq.due(job) is None


# Huey.


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"minute": "5", "hour": "4"}, "5 4 * * *"),
        ({"minute": "*/20"}, "0,20,40 * * * *"),
        ({"minute": "0", "hour": "6-8", "day_of_week": "1-5"}, "0 6,7,8 * * 1,2,3,4,5"),
        ({"minute": "0", "hour": "0", "day": "1", "month": "1,7"}, "0 0 1 1,7 *"),
        ({"minute": "0", "hour": "0", "day": "13", "day_of_week": "5"}, None),  # both must match
    ],
)
def test_hueys_periodic_tasks(given, line):
    huey = pytest.importorskip("huey")
    from agent.integrations.tasks import huey as read

    app = huey.MemoryHuey("shop")

    @app.periodic_task(huey.crontab(**given), retries=3)
    def nightly():
        """A task."""

    task = nightly.s()
    assert read.schedule(task) == (check_ins.crontab(line) if line else None)
    task.retries = 1
    assert read.facts(task) == {"task": f"{__name__}.nightly", "id": task.id, "retries": 2}
    assert read.closed_over(type(task).execute, "func").__name__ == "nightly"
    task.eta = NOON.replace(tzinfo=None)
    assert read.due(task, utc=True) == NOON.timestamp()


def test_a_huey_task_with_a_schedule_of_its_own_has_none_for_sentry():
    huey = pytest.importorskip("huey")
    from agent.integrations.tasks import huey as read

    @huey.MemoryHuey("shop").periodic_task(lambda moment: moment.minute == 5)
    def own():
        """A task."""

    assert read.schedule(own.s()) is None


# APScheduler.


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"hour": 4, "minute": 5}, "5 4 * * *"),
        ({"hour": 4, "minute": 5, "day_of_week": "0-4"}, "5 4 * * mon-fri"),  # which begin with Monday
        ({"hour": "*/6", "day_of_week": "mon,fri"}, "0 */6 * * mon,fri"),
        ({"day": 1, "hour": 0}, "0 0 1 * *"),
        ({"day": 1, "day_of_week": "mon", "hour": 0}, None),  # both must match
        ({"day": "last", "hour": 0}, None),
        ({"second": "*/10"}, None),
        ({"week": 3, "hour": 1}, None),
        ({"year": 2030, "hour": 1}, None),
    ],
)
def test_apschedulers_cron_triggers(given, expected):
    cron = pytest.importorskip("apscheduler.triggers.cron")
    from agent.integrations.tasks import apscheduler as read

    trigger = cron.CronTrigger(**given, timezone="UTC")
    assert read.schedule(trigger) == (check_ins.crontab(expected) if expected else None)


def test_apschedulers_other_triggers_and_names():
    pytest.importorskip("apscheduler")
    from apscheduler.triggers.date import DateTrigger
    from apscheduler.triggers.interval import IntervalTrigger

    from agent.integrations.tasks import apscheduler as read

    assert read.schedule(IntervalTrigger(hours=2, timezone="UTC")) == {"type": "interval", "value": 2, "unit": "hour"}
    assert read.schedule(IntervalTrigger(seconds=5, timezone="UTC")) is None
    assert read.schedule(DateTrigger(NOON, timezone="UTC")) is None
    job = types.SimpleNamespace(func_ref="shop.tasks:ship", id="0" * 32, executor="default")
    assert read.facts(job) == {"task": "shop.tasks.ship", "id": "0" * 32, "queue": "default"}
    assert read.name_of(job) == "shop.tasks.ship"  # nobody has chosen the id
    job.id = "nightly"
    assert read.name_of(job) == "nightly"


# django-q2.


def test_django_q2s_schedules_and_attempts(monkeypatch):
    pytest.importorskip("django_q")
    from agent.integrations.tasks import django_q as read

    def schedule(kind, **more):
        return read.schedule(types.SimpleNamespace(schedule_type=kind, **more))

    assert schedule("C", cron="5 4 * * *") == check_ins.crontab("5 4 * * *")
    assert schedule("I", minutes=15) == {"type": "interval", "value": 15, "unit": "minute"}
    assert schedule("BW") == {"type": "interval", "value": 2, "unit": "week"}
    assert schedule("O") is None
    assert schedule("I", minutes=None) is None
    monkeypatch.setitem(
        __import__("sys").modules, "django_q.conf", types.SimpleNamespace(Conf=types.SimpleNamespace(MAX_ATTEMPTS=3))
    )
    assert read.attempts_of({"ack_id": 1}) == 3
    assert read.attempts_of({"ack_id": 1, "ack_failure": True}) == 0
    assert read.attempts_of({}) == 0  # a broker that waits for no receipt
    assert read.facts({"func": called_by_a_task, "id": "1", "args": ("secret",)}) == {
        "task": f"{__name__}.called_by_a_task",
        "id": "1",
    }


# Dramatiq.


def test_dramatiqs_messages_that_may_be_sent_again():
    dramatiq = pytest.importorskip("dramatiq")
    from dramatiq.brokers.stub import StubBroker

    from agent.integrations.tasks import dramatiq as read

    broker = StubBroker()

    @dramatiq.actor(broker=broker, max_retries=2)
    def ship(number):
        """An actor."""

    message = ship.message_with_options(args=("secret",), retries=1)
    assert read.facts(message) == {"task": "ship", "id": message.message_id, "queue": "default", "retries": 1}
    assert read.may_retry(broker, message, ship)
    message.options["retries"] = 2
    assert not read.may_retry(broker, message, ship)
    ship.options["retry_when"] = lambda _retries, _error: True
    assert read.may_retry(broker, message, ship)
    assert not read.may_retry(StubBroker(middleware=[]), message, ship)
    assert read.due(message) == message.message_timestamp / 1000
    message.options["eta"] = message.message_timestamp + 5_000
    assert read.due(message) == message.message_timestamp / 1000 + 5


# Processes of workers that are gone.


def test_what_is_reported_of_workers_that_died(tmp_path, monkeypatch):
    consumer, cli = pytest.importorskip("huey.consumer"), pytest.importorskip("dramatiq.cli")
    config = tmp_path / "monitors.yaml"
    config.write_text("version: 1\npacks: [huey, dramatiq]\n")
    arguments = types.SimpleNamespace(
        path=[], use_spawn=False, pid_file="taken", log_file=None, skip_logging=True, verbose=0
    )

    def taken(_name):
        raise RuntimeError("already running")

    monkeypatch.setattr(cli, "setup_pidfile", taken)
    alive, dead = (lambda: True), (lambda: False)
    processes = [(alive, None), (dead, 0), (dead, -9)]  # `max_tasks` ends one in order
    with reporting(config) as reported:
        for is_alive, code in processes:
            process = types.SimpleNamespace(name="Worker-1", is_alive=is_alive, exitcode=code)
            assert consumer.ProcessEnvironment.is_alive(None, process) is is_alive()
        for status in (0, 1, 2):
            monkeypatch.setattr(cli, "RET_PIDFILE", status)
            assert cli.main(arguments) == status
    assert not reported.errors
    assert [(event["tags"]["erp.monitor"], event["logentry"]["formatted"]) for event in reported.rules] == [
        ("huey.worker_died", "Worker-1 of Huey died (exit status -9): its task is lost"),
        ("dramatiq.ended", "Dramatiq has stopped: a worker process was killed, or ended by itself"),
        ("dramatiq.ended", "Dramatiq has stopped with exit status 2 (2: an import, 3: the broker, 4: the PID file)"),
    ]


def test_time_limits_that_no_except_exception_catches_are_failures():
    middleware = pytest.importorskip("dramatiq.middleware")
    assert not is_control_flow(middleware.TimeLimitExceeded)
    assert not is_control_flow(middleware.Shutdown)
    assert is_control_flow(KeyboardInterrupt)
    assert is_control_flow(pytest.importorskip("huey.exceptions").RetryTask)


def test_a_header_is_read_from_anything():
    assert header.parse(header.compose(5.0, header.CheckIn("a", "b", 1.0))) == (5.0, ("a", "b", 1.0))
    assert header.parse({"erp_agent": 5}) is None
