"""Several requests at a time, to a Sentry that is slow to answer: how many, in which order, and what stops them."""

from __future__ import annotations

import os
import threading
import time

import pytest
from kit import envelope
from receiver import Answer, Receiver

from agent.deliver import wire
from agent.deliver.background.worker import await_end
from agent.deliver.http.transport import ACCEPTED, REJECTED, UNREACHABLE, Outcome
from agent.deliver.send import parallel
from agent.deliver.send.delivery import Delivery
from agent.deliver.send.flush import flush
from agent.deliver.send.parallel import MOST, ParallelRequests
from agent.deliver.send.resources import to_sentry
from agent.deliver.spool.names import make_name, parse_name


class Slow:
    """What all connections of a test share: answers that take `seconds` by its clock, given when it is told to."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.open = 0
        self.closed = 0
        self.began: list[bytes] = []
        self.flying = 0
        self.most = 0
        self.outcome = Outcome(ACCEPTED, 200)
        self.gate = threading.Event()
        self.gate.set()
        self.changed = threading.Condition()

    def tick(self) -> float:
        return self.now

    def connection(self) -> Slow.Connection:
        self.open += 1
        return Slow.Connection(self)

    class Connection:
        def __init__(self, shared: Slow) -> None:
            self.shared = shared

        def send(self, data: bytes) -> Outcome:
            shared = self.shared
            with shared.changed:
                shared.began.append(data)
                shared.flying += 1
                shared.most = max(shared.most, shared.flying)
                shared.changed.notify_all()
            assert shared.gate.wait(60)
            with shared.changed:
                shared.flying -= 1
                shared.now += shared.seconds
            if isinstance(shared.outcome, Exception):
                raise shared.outcome
            return shared.outcome

        def close(self) -> None:
            self.shared.closed += 1

    def wait_for(self, number: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.flying >= number, 20)


def entry(number: int = 0):
    return parse_name(make_name(number, "error", os.urandom(16).hex(), "t0", slow=False, trying=False))


def some(shared: Slow) -> ParallelRequests:
    return ParallelRequests(shared.connection(), shared.connection, shared.tick, await_end)


@pytest.mark.parametrize(("seconds", "width"), [(0.001, 1), (0.019, 1), (0.025, 2), (0.055, 5), (5.0, MOST)])
def test_the_response_time_determines_how_many_requests_are_in_flight(seconds, width):
    several = some(Slow(seconds))
    assert several.width == 1, "nothing is known yet"
    assert [outcome.kind for _, outcome in several.send(entry(), b"1")] == [ACCEPTED]
    assert several.width == width


def test_a_quick_sentry_is_sent_one_after_the_other_over_one_connection():
    shared = Slow(0.001)
    several = some(shared)
    for number in range(20):
        assert len(several.send(entry(), b"%d" % number)) == 1, "the answer is there when the call returns"
    assert (shared.open, shared.most) == (1, 1)
    assert shared.began == [b"%d" % number for number in range(20)]


def test_a_slow_one_gets_several_at_a_time_and_never_more_than_it_may():
    shared = Slow(0.2)
    several = some(shared)
    completed = several.send(entry(), b"first")
    shared.gate.clear()
    for number in range(MOST):
        completed += several.send(entry(), b"%d" % number)
    assert len(completed) == 1
    shared.wait_for(MOST)
    shared.gate.set()
    for number in range(30):
        completed += several.send(entry(), b"more %d" % number)
    completed += several.wait_for_all()
    assert len({each.event_id for each, _ in completed}) == len(completed) == MOST + 31
    assert shared.most == shared.open == MOST
    assert shared.flying == 0
    several.close()
    assert shared.closed == MOST


def test_without_a_response_one_request_at_a_time_is_sent():
    shared = Slow(0.2)
    several = some(shared)
    several.send(entry(), b"1")
    assert several.width == MOST
    shared.outcome = Outcome(UNREACHABLE, detail="refused")
    several.send(entry(), b"2")
    several.wait_for_all()
    assert several.width == 1


def test_a_connection_that_raises_counts_as_no_response():
    shared = Slow(0.2)
    several = some(shared)
    several.send(entry(), b"1")
    shared.outcome = ValueError("broken")
    several.send(entry(), b"2")
    ((_, outcome),) = several.wait_for_all()
    assert (outcome.kind, outcome.detail) == (UNREACHABLE, "ValueError: broken")


def test_where_no_more_threads_can_be_started_one_carries(monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    shared = Slow(0.2)
    several = some(shared)
    several.send(entry(), b"1")
    monkeypatch.setattr(parallel, "start_new_thread", refuse)
    assert len(several.send(entry(), b"2")) == 1
    assert several.wait_for_all() == []


def test_when_all_have_completed_no_thread_is_left(monkeypatch):
    monkeypatch.setattr("agent.deliver.background.worker.FORKS_ARE_WARNED_OF", True)
    shared = Slow(0.2)
    several = some(shared)
    several.send(entry(), b"1")
    before = set(os.listdir("/proc/self/task"))
    shared.gate.clear()
    for _ in range(4):
        several.send(entry(), b"x")
    shared.wait_for(4)
    assert len(set(os.listdir("/proc/self/task")) - before) == 4
    shared.gate.set()
    several.wait_for_all()
    assert set(os.listdir("/proc/self/task")) <= before


def delivery(kit, spool, shared, should_stop=lambda: False):
    resources = kit.resources(spool, connect=lambda _: shared.connection(), tick=shared.tick)
    return Delivery(resources, should_stop=should_stop)


def test_a_backlog_goes_out_whole_each_once_and_begins_in_order(kit, monkeypatch):
    begun = []
    send = ParallelRequests.send
    monkeypatch.setattr(
        ParallelRequests, "send", lambda self, one, data: (begun.append(one.event_id), send(self, one, data))[1]
    )
    spool = kit.spool()
    ids = []
    for _ in range(60):
        one = envelope()
        ids.append(one.event_id)
        spool.write(one)
    shared = Slow(0.1)
    turn = delivery(kit, spool, shared)
    assert turn.run() is None
    turn.disconnect()
    assert begun == ids
    assert sorted(wire.decode(data).headers["event_id"] for data in shared.began) == sorted(ids)
    assert kit.files() == []
    assert kit.counts.of("sent") == turn.delivered == 60


def test_a_delivery_that_must_stop_handles_every_response_in_flight(kit):
    spool = kit.spool()
    for _ in range(40):
        spool.write(envelope())
    shared = Slow(0.1)
    turn = delivery(kit, spool, shared, should_stop=lambda: len(shared.began) >= 10)
    assert turn.run() == 0.0
    assert shared.flying == 0
    assert len(kit.files()) == 40 - len(shared.began)
    assert turn.delivered == len(shared.began) < 20


def test_what_sentry_refuses_among_several_is_set_aside_alone(kit):
    spool = kit.spool()
    for _ in range(12):
        spool.write(envelope())
    shared = Slow(0.1)
    turn = delivery(kit, spool, shared)
    shared.outcome = Outcome(REJECTED, 413, "HTTP 413")
    assert turn.run() is None
    assert (turn.quarantined, len(kit.files("quarantine"))) == (12, 24)


def test_a_limit_stops_what_has_not_begun(kit):
    spool = kit.spool()
    for _ in range(40):
        spool.write(envelope())
    shared = Slow(0.1)
    turn = delivery(kit, spool, shared)
    shared.outcome = Outcome(ACCEPTED, 200, limits={"error": 60.0})
    assert turn.run() == pytest.approx(60.0)
    assert len(shared.began) == 1, "the first answer said so"
    assert len(kit.files()) == 39


def test_a_real_sentry_that_is_slow(kit):
    with Receiver(default=Answer(200), delay=0.05) as receiver:
        spool = kit.spool(clock=time.time)
        ids = {envelope().event_id for _ in range(40)}
        for each in ids:
            spool.write(envelope(each))
        summary = flush(to_sentry(spool, receiver.dsn, kit.counts), 60)
        assert (summary.delivered, summary.waiting) == (40, 0)
        assert sorted(receiver.ids) == sorted(ids)
        assert receiver.connections > 1
