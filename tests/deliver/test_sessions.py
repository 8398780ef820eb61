"""Release health: requests by the minute they ended in and by how they ended."""

import json

import pytest
from support import at_once

from agent.deliver import wire
from agent.deliver.sessions import Sessions
from agent.observe.around import work
from agent.privacy import scrub


class Desk:
    def __init__(self):
        self.now = 1_700_000_040.0  # 22:14:00 UTC
        self.kept = []
        self.sessions = Sessions(self.kept.append, release="erp@1", environment="live", clock=lambda: self.now)

    def sent(self):
        found = []
        for envelope in self.kept:
            assert envelope.category == "session"
            ((headers, payload),) = wire.decode(envelope.data).items
            assert headers["type"] == "sessions"
            found.append(json.loads(payload))
        return found


@pytest.fixture
def desk():
    return Desk()


def test_a_full_minute_is_sent_with_the_first_request_after_it(desk):
    for outcome in (work.WELL, work.WELL, work.ERRORED, work.CRASHED):
        desk.sessions.add(outcome)
    desk.now += 59
    desk.sessions.add(work.WELL)
    assert desk.sent() == []
    desk.now += 1
    desk.sessions.add(work.WELL)
    assert desk.sent() == [{
        "attrs": {"release": "erp@1", "environment": "live"},
        "aggregates": [{"started": "2023-11-14T22:14:00Z", "exited": 3, "errored": 1, "crashed": 1}],
    }]  # fmt: skip


def test_what_is_counted_when_the_process_ends_goes_too_and_once(desk):
    desk.sessions.add(work.WELL)
    desk.now += 60
    desk.sessions.add(work.CRASHED)
    desk.sessions.close()
    desk.sessions.close()
    assert [each_sent["aggregates"] for each_sent in desk.sent()] == [
        [{"started": "2023-11-14T22:14:00Z", "exited": 1}], [{"started": "2023-11-14T22:15:00Z", "crashed": 1}],
    ]  # fmt: skip


def test_a_clock_that_is_set_back_loses_nothing(desk):
    desk.sessions.add(work.WELL)
    desk.now -= 3600
    desk.sessions.add(work.WELL)
    desk.now += 3600
    desk.sessions.add(work.WELL)
    desk.sessions.close()
    assert sum(each["exited"] for each_sent in desk.sent() for each in each_sent["aggregates"]) == 3


def test_a_child_sends_no_counts_of_its_parent(desk):
    desk.sessions.add(work.WELL)
    desk.sessions.after_fork()
    desk.sessions.close()
    assert desk.sent() == []


def test_the_release_is_the_one_of_events():
    kept = []
    sessions = Sessions(kept.append, release="anna@example.com", environment=None)
    sessions.add(work.WELL)
    sessions.close()
    assert json.loads(wire.decode(kept[0].data).items[0].payload)["attrs"] == scrub.scrub(
        {"release": "anna@example.com"}
    )


def test_no_request_is_lost_between_threads(desk):
    def serve():
        for number in range(2_000):
            desk.now += number % 500 == 0 and 60
            desk.sessions.add(work.WELL)

    at_once(4, serve)
    desk.sessions.close()
    assert sum(each["exited"] for each_sent in desk.sent() for each in each_sent["aggregates"]) == 8_000
