"""The header of messages, the wait in a queue and the words of a check-in, with Celery's own signals and schedules."""

import datetime as dt
import json
import types

import pytest
from observe.making import sentry

celery = pytest.importorskip("celery")
from celery import schedules, signals  # noqa: E402

from agent.deliver import wire  # noqa: E402
from agent.integrations.celery import check_ins, messages  # noqa: E402
from agent.integrations.celery import queue as celery_queue  # noqa: E402
from agent.integrations.signals import Receiver  # noqa: E402
from agent.integrations.tasks.check_ins import slug_of  # noqa: E402

NOW = 1_800_000_000.0
RUN = messages.CheckIn("nightly", "a" * 32, NOW)


@pytest.fixture
def labels():
    made = messages.add_headers(signals, clock=lambda: NOW)
    yield made
    made.undo()


def published(**headers):
    signals.before_task_publish.send(sender="shop.task", headers=headers)
    return headers.get(messages.HEADER)


def test_a_message_has_the_time_when_it_is_due(labels):
    assert published(id="1") == "1800000000.000"
    assert published(id="1", eta="2027-01-15T08:00:30+00:00") == "1800000030.000"
    assert published(id="1", eta="2027-01-15T09:00:30+01:00") == "1800000030.000"
    assert published(id="1", eta="whenever") == "1800000000.000"
    labels.undo()
    assert published(id="1") is None


def test_what_beat_publishes_names_its_check_in(labels):
    token = messages.publishing.set(RUN)
    text = published(id="1")
    messages.publishing.reset(token)
    assert messages.parse(text) == (NOW, RUN)
    assert published(id="1") == "1800000000.000"


@pytest.mark.parametrize("text", [None, 5, b"1", "", "soon", "1 2 3", "1 2 3 4 5", "1 slug id soon", "9" * 400])
def test_what_is_not_ours_is_passed_over(text):
    assert messages.parse(text) is None


class Request:
    """As Celery's: an object with a dictionary."""


def waits(queue_wait, queues, *requests):
    """What is reported of tasks that begin `waited` seconds after they were due, in a queue."""
    reported, counted = [], []
    settings = {"queue_wait": queue_wait, "queues": queues, "check_ins": [], "margin": None, "max_runtime": None}
    measured = celery_queue.Waits(
        "celery", settings, reported.append, lambda *what: counted.append(what), clock=lambda: NOW
    )
    made = Receiver(signals.task_prerun, measured.begin, "waiting")
    try:
        for waited, queue in requests:
            request = Request()
            request.__dict__.update(erp_agent="%.3f" % (NOW - waited), delivery_info={"routing_key": queue})
            stack = types.SimpleNamespace(top=request)
            signals.task_prerun.send(sender=None, task=types.SimpleNamespace(name="shop.task", request_stack=stack))
    finally:
        made.undo()
    return [(each.captured.values["queue"], each.duration, each.threshold, each.severity) for each in reported], counted


STEP = [(30, "warning")]


def test_only_what_waited_longer_than_its_queue_may_is_reported():
    assert waits(STEP, {}, (29, "celery"), (31, "celery"), (-5, "celery")) == ([("celery", 31, 30, "warning")], [])
    queues = {"patient": [(3600, "error")], "any": []}
    found, _ = waits(STEP, queues, (31, "patient"), (9e9, "any"), (4000, "patient"))
    assert found == [("patient", 4000, 3600, "error")]
    assert waits([], {"hasty": [(1, "info")]}, (100, "celery"), (2, "hasty"))[0] == [("hasty", 2, 1, "info")]


def test_a_backlog_is_reported_once():
    found, counted = waits(STEP, {}, *[(31, "celery")] * 50)
    assert len(found) == 1
    assert counted == [("rate", "celery.queue_wait")] * 49


def test_each_task_of_a_backlog_is_reported_up_to_a_bound():
    found, counted = waits(STEP, {}, *[(31, f"queue{number}") for number in range(50)])
    assert [each[0] for each in found[:10]] == [f"queue{number}" for number in range(10)]
    assert len(found) + len(counted) == 50
    assert len(found) <= 20


def test_a_backlog_that_grows_is_reported_at_each_step():
    steps = [(30, "warning"), (300, "error"), (3600, "fatal")]
    found, counted = waits(steps, {}, *[(waited, "celery") for waited in range(20, 4000, 10)])
    assert found == [
        ("celery", 40, 30, "warning"), ("celery", 310, 300, "error"), ("celery", 3610, 3600, "fatal"),
    ]  # fmt: skip
    assert set(counted) == {("rate", "celery.queue_wait")}


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (schedules.crontab("5", "*/3"), {"type": "crontab", "value": "5 */3 * * *"}),
        (schedules.crontab(minute=[30, 0], hour="8, 9"), {"type": "crontab", "value": "0,30 8,9 * * *"}),
        (schedules.crontab(0, 4, day_of_month=1), {"type": "crontab", "value": "0 4 1 * *"}),
        (schedules.schedule(60), {"type": "interval", "value": 1, "unit": "minute"}),
        (schedules.schedule(5400.0), {"type": "interval", "value": 90, "unit": "minute"}),
        (schedules.schedule(dt.timedelta(seconds=61)), {"type": "interval", "value": 2, "unit": "minute"}),
        (schedules.schedule(dt.timedelta(days=7)), {"type": "interval", "value": 7, "unit": "day"}),
        (schedules.schedule(59), None),
        (object(), None),
    ],
)
def test_schedules_in_sentrys_words(schedule, said):
    assert check_ins.schedule_of(schedule) == said


def test_slugs():
    assert slug_of("Nightly  Invoices (SE)") == "nightly-invoices-se"
    assert slug_of("shop.tasks.sum") == "shop-tasks-sum"
    assert slug_of("2024") == "entry-2024"  # a number alone is refused
    assert slug_of("кадры").startswith("entry-")
    private = [slug_of(f"Report for {each}@example.com") for each in ("anna", "bob")]
    assert private[0] != private[1], "two entries are two monitors"
    assert all(each.startswith("report-for-email-") for each in private)
    long = [slug_of("a" * 60 + end) for end in ("b", "c")]
    assert len(set(long)) == 2
    assert all(len(slug) == 50 for slug in long)


def scheduled(entry, publish, **settings):
    """Beat publishes an entry; the payloads of the check-ins."""
    kept = []
    all_settings = {
        "check_ins": ["*"],
        "margin": 90.0,
        "max_runtime": None,
        "queue_wait": None,
        "queues": {},
        **settings,
    }
    made = check_ins.CheckIns(all_settings, sentry(), kept.append, clock=lambda: NOW)
    try:
        made.scheduling(publish, None, entry)
    except OSError:
        pass
    assert all(each.category == "monitor" for each in kept)
    items = [item for each in kept for item in wire.decode(each.data).items]
    assert all(item.type == "check_in" for item in items)
    return [json.loads(item.payload) for item in items]


ENTRY = types.SimpleNamespace(name="nightly", schedule=schedules.schedule(3600))


def test_an_entry_that_cannot_be_published_has_failed():
    def publish(scheduler, entry):
        raise OSError("the broker is away")

    begun, ended = scheduled(ENTRY, publish)
    assert begun["status"] == "in_progress"
    assert begun["monitor_config"] == {
        "schedule": {"type": "interval", "value": 1, "unit": "hour"},
        "checkin_margin": 2,
        "timezone": "UTC",
    }
    assert (ended["status"], ended["check_in_id"]) == ("error", begun["check_in_id"])


def test_entries_that_nobody_asked_for_are_left_alone():
    seen = []
    publish = lambda *_: seen.append(messages.publishing.get())
    assert scheduled(ENTRY, publish, check_ins=["daily*"]) == []
    often = types.SimpleNamespace(name="often", schedule=schedules.schedule(5))
    assert scheduled(often, publish) == []
    assert seen == [None, None]
    (begun,) = scheduled(ENTRY, publish)
    assert seen[2] == ("nightly", begun["check_in_id"], NOW)
