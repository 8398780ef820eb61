"""Equal events of monitors with `repeat_interval`: the first, and others after times that double, with all counted."""

from __future__ import annotations

import json
import os

import pytest
from deliver.kit import Time
from observe.making import a_monitor, an_observation, sentry

from agent.base.health import Health
from agent.base.model import HELD
from agent.deliver import groups, wire
from agent.deliver.groups import CALM, Groups, tidy
from agent.deliver.sink import Sink
from agent.observe.around import people

MINUTE, HOUR = 60.0, 3600.0
ALL = dict.fromkeys(("error", "slow", "rule", "repeats"), 10 * MINUTE)


@pytest.fixture
def clock():
    return Time()


@pytest.fixture
def group(tmp_path, clock):
    return Groups(str(tmp_path), clock)


def seen(report="slow", suppressed=0, **changed):
    return an_observation(monitor=a_monitor(repeat_interval=ALL, **changed), report=report, suppressed=suppressed)


def made(page="/orders/", level="warning", release="1"):
    return {"fingerprint": ["request", "slow", page], "level": level, "environment": "production", "release": release}


def a_day(group, clock, every, observation=None, day=24 * HOUR):
    """(hours, held before) of the events of a day on which the same happens again and again."""
    began, passed = clock(), []
    while clock() < began + day:
        held = group.admit(made(), observation or seen())
        if held is not None:
            passed.append((round((clock() - began) / HOUR, 1), held))
        clock.sleep(every)
    return passed


def test_what_happens_each_minute_of_a_day_is_nine_events_that_count_all_of_it(group, clock):
    passed = a_day(group, clock, MINUTE)
    assert [hours for hours, _ in passed] == [0.0, 0.2, 0.5, 1.2, 2.5, 5.2, 10.5, 16.6, 21.2], (
        "one of them is the 1,000th"
    )
    group.admit(made(), seen())
    held = sum(number for _, number in passed)
    clock.sleep(CALM)
    assert len(passed) + held + group.admit(made(), seen()) == 24 * 60 + 1, "nothing is lost from the sum"


def test_what_happens_once_an_hour_does_not_begin_anew_each_time(group, clock):
    assert len(a_day(group, clock, HOUR)) == 7


def test_after_a_calm_day_it_is_new(group, clock):
    a_day(group, clock, MINUTE, day=HOUR)
    clock.sleep(CALM + 2 * HOUR)
    assert [hours for hours, _ in a_day(group, clock, MINUTE, day=HOUR)] == [0.0, 0.2, 0.5]


def test_another_group_level_or_release_is_new(group):
    assert group.admit(made(), seen()) == 0
    assert group.admit(made(), seen()) is None
    others = [made(page="/customers/"), made(level="error"), made(release="2")]
    assert [group.admit(each, seen()) for each in others] == [0, 0, 0]


def test_what_the_rate_dropped_before_it_is_counted_too(group, clock):
    group.admit(made(), seen())
    assert group.admit(made(), seen(suppressed=3)) is None
    clock.sleep(HOUR)
    assert group.admit(made(), seen(suppressed=2)) == 3 + 1 + 2


def test_processes_count_together(tmp_path, clock):
    workers = [Groups(str(tmp_path), clock) for _ in range(8)]
    assert [each.admit(made(), seen()) for each in workers] == [0, *[None] * 7]
    clock.sleep(HOUR)
    assert workers[3].admit(made(), seen()) == 7


def test_a_flood_passes_at_its_thousandth(group):
    passed = [group.admit(made(), seen()) for _ in range(2_500)]
    assert [(index, held) for index, held in enumerate(passed) if held is not None] == [(0, 0), (999, 998)]


def test_the_first_failures_of_five_users_pass(group, clock, monkeypatch):
    user = {}
    monkeypatch.setattr(people, "current", {"test": lambda: user})
    passed = []
    for number in (1, 1, 2, None, 2, 3, 4, 5, 6, 1):
        user["id"] = number
        passed.append(group.admit(made(), seen("error")))
    assert passed == [0, None, 1, 0, None, 1, 0, None, None, None]
    user["id"] = 1
    clock.sleep(10 * MINUTE)
    assert group.admit(made(), seen("error")) == 3


def test_of_slow_calls_users_make_no_difference(group, monkeypatch):
    user = {"id": 1}
    monkeypatch.setattr(people, "current", {"test": lambda: user})
    group.admit(made(), seen())
    user["id"] = 2
    assert group.admit(made(), seen()) is None


@pytest.mark.parametrize("set_to", [-HOUR, 3 * 24 * HOUR])
def test_a_clock_that_was_set_holds_nothing(group, clock, set_to):
    group.admit(made(), seen())
    group.admit(made(), seen())
    clock.leap(set_to)
    assert group.admit(made(), seen()) == 1


def test_nobody_waits_for_the_lock_and_the_count_is_kept(tmp_path, group, clock):
    fcntl = pytest.importorskip("fcntl")
    group.admit(made(), seen())
    (name,) = os.listdir(tmp_path / groups.FOLDER)
    with open(tmp_path / groups.FOLDER / name, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        clock.sleep(HOUR)
        assert [group.admit(made(), seen()) for _ in range(2)] == [None, None]
    assert group.admit(made(), seen()) == 2


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"1 2", b"nan x 3"])
def test_a_file_that_cannot_be_read_begins_anew(tmp_path, group, content):
    group.admit(made(), seen())
    (name,) = os.listdir(tmp_path / groups.FOLDER)
    (tmp_path / groups.FOLDER / name).write_bytes(content)
    assert [group.admit(made(), seen()) for _ in range(2)] == [0, None]


def test_where_nothing_can_be_written_each_process_counts_by_itself(tmp_path, clock):
    (tmp_path / groups.FOLDER).write_text("no folder")
    one, other = (Groups(str(tmp_path), clock) for _ in range(2))
    assert [each.admit(made(), seen()) for each in (one, one, other)] == [0, None, 0]
    clock.sleep(HOUR)
    assert one.admit(made(), seen()) == 1


def test_files_that_nobody_needs_are_removed(tmp_path, group, clock):
    group.admit(made(), seen())
    (path,) = (tmp_path / groups.FOLDER).iterdir()
    os.utime(path, (clock(), clock()))
    tidy(str(tmp_path), clock() + groups.STALE)
    assert path.exists()
    tidy(str(tmp_path), clock() + groups.STALE + 1)
    assert not path.exists()
    tidy(str(tmp_path / "none"), clock())


class Quiet(Health):
    def flush(self, final=False, calls=None):
        pass


SPOOL = {
    "directory": None, "max_size": 1 << 20, "max_age": 86400.0, "max_files": 100, "max_rate": 0.0, "durable": False,
    "keep_interpreter": True, "courier": False, "host_client": False,
}  # fmt: skip


def test_a_sink_keeps_the_first_counts_the_others_and_the_next_event_has_their_number(tmp_path, clock):
    sink = Sink(sentry(), SPOOL, str(tmp_path), Quiet("", ""), clock=clock)
    kept = [sink.report(seen()) for _ in range(4)]
    assert kept[0] not in (HELD, None)
    assert kept[1:] == [HELD] * 3
    assert sink.health.counts["rate", "create_order"] == 3
    clock.sleep(HOUR)
    sink.report(seen())
    events = [
        json.loads(item.payload)["contexts"]["erp"]
        for entry in sink.spool.entries()
        for item in wire.decode(sink.spool.read(entry).data).items
    ]
    assert sorted(event.get("suppressed", 0) for event in events) == [0, 3]


def test_a_monitor_without_an_interval_writes_nothing_there(tmp_path):
    sink = Sink(sentry(), SPOOL, str(tmp_path), Quiet("", ""))
    slow = an_observation(report="slow")
    assert all(sink.report(slow) for _ in range(3))
    assert not (tmp_path / groups.FOLDER).exists()
