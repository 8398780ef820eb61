"""The bounds of a spool from which nothing is delivered: held without a thread of the host's listing a folder."""

from __future__ import annotations

import os
import threading

import pytest
from kit import envelope

from agent.deliver.background.sweeper import Sweeper
from agent.deliver.spool import age, files
from agent.deliver.spool.fill_level import FillLevel
from agent.deliver.spool.layout import Maximum


@pytest.fixture
def listed(monkeypatch):
    """The threads that have listed a folder."""
    found = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda *given: found.append(threading.get_ident()) or scandir(*given))
    return found


@pytest.fixture
def keep(kit, monkeypatch):
    """A spool of a process without a DSN, with its sweeper."""
    kept = []
    monkeypatch.setattr("agent.deliver.background.sweeper.LINGER", 0.0)

    def make(**options):
        spool = kit.spool(held=True, **options)
        sweeper = Sweeper(spool, lambda: None)
        spool.sweeper = sweeper.wake
        kept.append(sweeper)
        return spool, sweeper

    yield make
    for sweeper in kept:
        sweeper.close(10)


def test_what_exceeds_the_bounds_is_dropped_and_counted_one_by_one(kit, keep, listed):
    spool, sweeper = keep(max_files=10)
    for _ in range(57):
        spool.write(envelope(size=10))
    sweeper.close(10)
    assert len(kit.files("held")) == 10
    assert kit.counts.all == {("spool-full", "error"): 47}
    assert threading.get_ident() not in listed


def test_the_size_is_held_as_well(kit, keep, listed):
    spool, sweeper = keep(max_size=50_000)
    for _ in range(40):
        spool.write(envelope(size=5_000))
    sweeper.close(10)
    size = sum(os.path.getsize(f"{kit.directory}/held/{name}") for name in kit.files("held"))
    assert 44_000 < size <= 50_000
    assert kit.counts.of("spool-full") == 40 - len(kit.files("held"))
    assert threading.get_ident() not in listed


def test_few_events_start_no_thread(keep, monkeypatch):
    spool, _ = keep()
    started = []
    monkeypatch.setattr("agent.deliver.background.worker.start_new_thread", lambda *given: started.append(given))
    for _ in range(200):
        spool.write(envelope(size=10))
    assert started == []


def test_processes_that_write_one_event_each_are_noticed_too(kit, clock):
    """Nobody of them knows of the others but by the length of a file."""
    for _ in range(150):
        spool = kit.spool(held=True, max_files=20)
        spool.write(envelope(size=10))
    assert len(kit.files("held")) == 20
    assert kit.counts.of("spool-full") == 130


def test_old_envelopes_are_removed_if_no_process_has_swept_for_a_part_of_the_age(kit, clock):
    def write():
        kit.spool(held=True, max_age=86400.0).write(envelope(size=10))

    write()
    assert os.path.exists(f"{kit.directory}/swept")
    clock.now += 86400 * 1.5
    write()
    assert kit.counts.all == {("too-old", "error"): 1}
    assert len(kit.files("held")) == 1


def test_what_memory_holds_at_the_end_is_counted(kit, keep):
    os.makedirs(os.path.dirname(kit.directory))
    with open(kit.directory, "w"):
        pass  # no folder, and so no disk
    spool, sweeper = keep()
    for _ in range(3):
        spool.write(envelope())
    sweeper.close(1)
    assert kit.counts.of("lost-at-exit") == 3


def test_where_no_thread_can_be_started_the_end_of_the_process_holds_the_bounds(kit, keep, monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr("agent.deliver.background.worker.start_new_thread", refuse)
    spool, sweeper = keep(max_files=5)
    for _ in range(9):
        spool.write(envelope(size=10))
    sweeper.close(1)
    assert len(kit.files("held")) == 5
    assert kit.counts.of("spool-full") == 4


def test_a_sweep_that_is_cut_short_goes_on_the_next_time(kit):
    spool = kit.spool(held=True, max_files=1000)
    for _ in range(30):
        spool.write(envelope(size=10))
    spool = kit.spool(held=True, max_files=10)
    asked = []
    spool.sweep(lambda: asked.append(1) or len(asked) > 40)
    left = len(kit.files("held"))
    assert 10 < left < 30
    spool.sweep()
    assert len(kit.files("held")) == 10
    assert kit.counts.of("spool-full") == 20


def test_more_than_one_listing_drops_is_dropped_too(kit, monkeypatch):
    monkeypatch.setattr("agent.deliver.spool.bounds.AT_A_TIME", 7)
    spool = kit.spool(held=True, max_files=1000)
    for number in range(60):
        spool.write(envelope(category="error" if number % 2 else "transaction", size=10))
    kit.spool(held=True, max_files=25).sweep()
    assert len(kit.files("held")) == 25
    assert all("-error-" in name for name in kit.files("held")), "the light ones go first"


def test_one_byte_pays_for_many_envelopes(tmp_path, clock):
    mark = age.SweptMark(str(tmp_path / "swept"), clock, clock.uptime)
    fill = FillLevel(str(tmp_path), mark, Maximum(size=1 << 40, age=1e6, files=50_000))
    appended = []
    real = files.append
    files_append = lambda *given: appended.append(given[0]) or real(*given)
    try:
        files.append = files_append
        assert not any(fill.add(100) for _ in range(5_000))
    finally:
        files.append = real
    assert len(appended) <= 102  # 100 for 5,000, one for the mark
    assert os.path.getsize(tmp_path / "unswept") == pytest.approx(100, abs=1)


def test_in_a_process_that_forks_all_the_time_a_look_comes_to_its_end_all_the_same(kit, keep, monkeypatch):
    spool, sweeper = keep(max_files=10)
    state = sweeper.state()
    looks = []
    sweep = spool.sweep

    def fork_meanwhile(ends):
        looks.append(state.stays)
        sweeper.park()
        sweep(ends)

    monkeypatch.setattr(spool, "sweep", fork_meanwhile)
    monkeypatch.setattr("agent.deliver.background.worker.PARK_WAIT", 0.0)
    spool.sweeper = None
    for _ in range(30):
        name = spool._process().name(envelope(), 1.0, slow=False, trying=False)
        spool.folders.put(spool.folders.held, name, b"{}")
    for _ in range(4):
        state.alive.acquire(False)
        sweeper.serve(state)
        state.parking = False
        state.alarm.acquire(False)
    if state.alive.locked():
        state.alive.release()
    assert looks == [False, False, False, True]
    assert len(kit.files("held")) == 10
