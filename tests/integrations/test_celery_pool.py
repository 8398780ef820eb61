"""A worker's pool, looked at as its main process looks at it, with a clock that moves only when told."""

import sys
import types

import pytest
from support import FakeClock

billiard_pool = pytest.importorskip("billiard.pool")

from agent.integrations.celery import pool as celery_pool  # noqa: E402


class Job:
    def __init__(self, began=None, ready=False):
        self._time_accepted = began
        self._ready = ready

    def ready(self):
        return self._ready


class Pool:
    _processes = 2
    _maxtasksperchild = None
    _max_memory_per_child = 200_000

    def __init__(self, *jobs):
        self._cache = dict(enumerate(jobs))


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def told():
    return []


@pytest.fixture(autouse=True)
def state(monkeypatch):
    """Three tasks run here, and one more was sent."""
    running = [types.SimpleNamespace(name=name) for name in ("shop.a", "shop.b", "shop.a")]
    module = types.SimpleNamespace(active_requests=running, reserved_requests=[*running, running[0]])
    monkeypatch.setitem(sys.modules, "celery.worker.state", module)


@pytest.fixture
def processes(clock, told):
    settings = {"pool_full": [(60.0, "warning"), (600.0, "error")], "worker_stalled": [(30.0, "error")],
                "memory_recycles": (2.0, 3600.0)}  # fmt: skip
    return celery_pool.Processes(settings, told.append, clock=clock)


def look(processes, pool):
    assert processes.maintained(lambda given: given, pool) is pool


def test_a_pool_that_stays_full_is_told_at_each_step_once(processes, clock, told):
    pool = Pool(Job(clock.now - 30), Job(clock.now), Job())
    for _ in range(200):
        look(processes, pool)
        clock.work(5)
    assert [(each.severity, each.threshold, each.duration) for each in told] == [
        ("warning", 60.0, 65.0), ("error", 600.0, 605.0),
    ]  # fmt: skip
    assert told[0].captured.values == {"processes": 2, "waiting": 1, "tasks": {"shop.a": 2, "shop.b": 1}}


def test_a_pool_in_which_anything_begins_is_not_full_for_long(processes, clock, told):
    for _ in range(100):
        look(processes, Pool(Job(clock.now - 5000), Job(clock.now), Job(), Job()))
        clock.work(5)
    look(processes, Pool(Job(clock.now - 5000)))  # one of two
    look(processes, Pool(Job(clock.now - 5000), Job(clock.now - 5000, ready=True)))
    look(processes, Pool())
    assert told == []


def test_a_pool_that_has_been_free_is_told_again(processes, clock, told):
    for _ in range(2):
        look(processes, Pool(Job(clock.now - 100), Job(clock.now - 100)))
        look(processes, Pool())
    assert len(told) == 2


def test_a_main_process_that_stood_still_is_told_once_it_goes_on(processes, clock, told):
    for seconds in (5, 5, 0.1, 34, 5, 36, 5):
        look(processes, Pool())
        clock.work(seconds)
    look(processes, Pool())
    assert [(each.operation, each.severity, each.duration) for each in told] == [
        ("celery.worker_stalled", "error", 31.0)
    ]


def test_only_processes_that_were_replaced_for_their_memory_count(processes, clock, told):
    recycled = billiard_pool.EX_RECYCLE
    for statuses in ([], [0], [-9], [recycled], [recycled, 1]):
        assert processes.ended(lambda pool, given=statuses: given, Pool()) == statuses
    assert told == []
    both = Pool()
    both._maxtasksperchild = 10
    processes.ended(lambda pool: [recycled], both)
    assert told == []
    processes.ended(lambda pool: [recycled, recycled], Pool())
    assert [each.severity for each in told] == ["warning"]
    assert told[0].captured.values == {"limit": 200_000}
