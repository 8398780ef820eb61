"""Counting calls in the functions themselves: each once, whatever threads do, and what is flushed of them."""

import asyncio
import sys
import threading

import pytest
from agent.observe.call.tally import Tallies
from support import FakeClock, Watch, module, monitor

from agent.hook.code import inject
from agent.observe.call import tally

SHOP = """
def f(a):
    if a < 0: raise ValueError(a)
    if a == 0: raise KeyError(a)
    clock.work(a)
    return a
def g(a):
    for n in range(a):
        clock.work(1)
        yield n
async def c(a):
    clock.work(a)
    return a
class Base:
    def save(self): clock.work(1)
class Own(Base): pass
class Other(Base): pass
"""


@pytest.fixture(params=["injected", "trampoline"])
def how(request, monkeypatch):
    if request.param == "injected" and not inject.AVAILABLE:
        pytest.skip("this interpreter's bytecode is not injected into")
    monkeypatch.setattr(inject, "AVAILABLE", request.param == "injected")
    yield request.param
    sys.modules.pop("shop", None)


def counting(*monitors, source=SHOP, flushed=None):
    watch = Watch(*monitors)
    shop = module(source, clock=watch.clock)
    watch.tallies = Tallies(
        (lambda: flushed.append(watch.clock.now)) if flushed is not None else int, clock=watch.clock
    )
    return shop, watch.apply(shop)


def test_calls_failures_and_durations(how):
    shop, watch = counting(
        monitor("shop.f", expect=["KeyError"], thresholds=[[1000.0, "warning"]]),
        monitor("shop.g", "shop.c", name="others"),
    )
    for seconds in (1, 1, 1, 4, 100):
        assert shop.f(seconds) == seconds
    for a, error in ((-1, ValueError), (-2, ValueError), (0, KeyError)):
        with pytest.raises(error):
            shop.f(a)
    for _ in shop.g(3):
        watch.clock.work(50)  # the consumer's time, not the generator's
    assert asyncio.run(shop.c(3)) == 3
    found = watch.tallies.by_monitor()
    assert (found["shop.f"].calls, found["shop.f"].failures) == (8, 2)
    assert 1 / 1.2 < found["shop.f"].p50 < 1.2
    assert 100 / 1.2 < found["shop.f"].p95 < 120
    assert 100 <= found["shop.f"].longest < 142
    assert found["others"].calls == 2
    assert 3 / 1.2 < found["others"].p95 < 3.6


def test_a_method_that_several_classes_share_is_counted_for_the_one_that_is_meant(how):
    shop, watch = counting(monitor("shop.Own.save", name="own"))
    for _ in range(3):
        shop.Own().save()
        shop.Other().save()
        shop.Base().save()
    assert watch.tallies.by_monitor()["own"].calls == 3


def test_every_duration_has_a_bucket_whose_bounds_hold_it():
    tallies = Tallies(int, clock=FakeClock())
    for power in range(-9, 11):
        for factor in (1.0, 1.4, 2.0, 3.3, 9.99):
            duration = factor * 10.0**power
            one = tallies.of({"name": str(duration)}, "")
            one.ended(duration, failed=False)
            found = tallies.by_monitor()[str(duration)]
            assert found.calls == 1
            assert duration <= found.longest * 1.0001
            assert found.longest <= max(duration * 1.4143, 1e-7)
            if duration >= 1e-7:
                assert duration / 1.2 < found.p50 < duration * 1.2
    one = tallies.of({"name": "backwards"}, "")  # a clock that was set back
    one.ended(-5.0, failed=False)
    one.ended(float("-inf"), failed=False)  # there was no room to read it when the call began
    assert tallies.by_monitor()["backwards"].calls == 2


@pytest.mark.parametrize("settings", [{}, {"thresholds": [[1000.0, "warning"]]}])
def test_no_call_is_lost_or_counted_twice_between_threads(how, settings):
    """Also where all of them count in one bucket, and what is counted is read all the time."""
    shop, watch = counting(monitor("shop.f", "shop.g", "shop.c", expect=["KeyError"], name="m", **settings))
    watch.clock.work = lambda _: None
    rounds, threads = 5_000, 4
    flushed = [0]

    def call():
        for n in range(rounds):
            shop.f(1)
            list(shop.g(1))
            try:
                shop.c(1).send(None)
            except StopIteration:
                pass
            if n % 10 == 0:
                try:
                    shop.f(0)
                except KeyError:
                    pass

    def read():
        for _, measured in watch.tallies.changes():
            flushed[0] += measured.calls

    running = [threading.Thread(target=call) for _ in range(threads)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in running:
            thread.start()
        while any(thread.is_alive() for thread in running):
            read()
    finally:
        sys.setswitchinterval(interval)
        for thread in running:
            thread.join()
    read()
    calls = threads * (3 * rounds + rounds // 10)
    assert watch.tallies.by_monitor()["m"].calls == calls
    assert flushed == [calls]


def test_the_calls_themselves_flush_the_counts_from_time_to_time(how):
    flushed = []
    shop, watch = counting(monitor("shop.f"), flushed=flushed)
    shop.f(1)
    assert flushed == []
    watch.clock.work(60)
    shop.f(1)
    shop.f(1)
    assert flushed == [1062.0]
    watch.clock.work(61)
    with pytest.raises(ValueError):
        shop.f(-1)
    assert flushed == [1062.0, 1124.0]


def test_changes_are_what_was_counted_since_the_last_time(how):
    shop, watch = counting(monitor("shop.f"))

    def changes():
        return [(each.operation, measured.calls, measured.failures) for each, measured in watch.tallies.changes()]

    shop.f(1)
    shop.f(2)
    assert changes() == [("f", 2, 0)]
    assert changes() == []
    with pytest.raises(ValueError):
        shop.f(-1)
    assert changes() == [("f", 1, 1)]
    watch.tallies.after_fork()
    assert watch.tallies.by_monitor() == {}
    shop.f(1)
    assert changes() == [("f", 1, 0)]
    assert watch.tallies.by_monitor()["shop.f"].calls == 1


def test_functions_that_share_a_name_for_what_they_do_share_their_numbers(how):
    shop, watch = counting(monitor("shop.f", "shop.c", name="m", operation="reading"))
    shop.f(1)
    asyncio.run(shop.c(1))
    ((one, measured),) = watch.tallies.changes()
    assert (one.operation, measured.calls) == ("reading", 2)


def test_a_function_that_counts_nothing_holds_nothing_for_it(how):
    shop, watch = counting(monitor("shop.f"))
    counts = watch.tallies.of(watch.monitors[0], "f").counts
    assert any(each is counts for each in shop.f.__code__.co_consts)
    watch.undo()
    watch.tallies = None
    watch._terms.clear()
    watch.apply(shop)
    assert not any(type(each) in (list, dict) for each in shop.f.__code__.co_consts)


def test_no_duration_is_beyond_the_last_bucket():
    """The code in a function looks an item up by it: one too few would be an IndexError in the host."""
    millennia = 10_000 * 365 * 86_400.0
    assert tally.bits(tally.whole(millennia * millennia * tally.SCALE)) < tally.BUCKETS
