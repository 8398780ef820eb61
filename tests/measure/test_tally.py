"""Counting calls in the functions themselves: each once, whatever threads do."""

import asyncio
import contextlib
import sys
import threading

import pytest
from support import FakeClock, Watch, module, monitor

from agent.hook.code import inject, trampoline
from agent.measure import layout
from agent.measure.tallies import Tallies
from agent.measure.tally import MOST

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
async def pages(a):
    for n in range(a):
        clock.work(1)
        yield n
class Base:
    def save(self): clock.work(1)
class Own(Base): pass
class Other(Base): pass
"""
PLAIN, SLOW, RULE = {}, {"thresholds": [[1000.0, "warning"]]}, {"rules": [("result == 5", "five", "info")]}


@pytest.fixture(params=["injected", "trampoline"])
def how(request, monkeypatch):
    if request.param == "injected" and not inject.AVAILABLE:
        pytest.skip("this interpreter's bytecode is not injected into")
    monkeypatch.setattr(inject, "AVAILABLE", request.param == "injected")
    yield request.param
    sys.modules.pop("shop", None)


def counting(*monitors, source=SHOP, clock=None):
    watch = Watch(*monitors)
    if clock is not None:
        watch.clock = clock
    shop = module(source, clock=watch.clock)
    watch.tallies = Tallies(clock=watch.clock)
    return shop, watch.apply(shop)


def by_monitor(watch):
    """Monitor → Counts since the last time."""
    found = {}
    for tally, counts in watch.tallies.changes():
        name = tally.monitor["name"]
        found[name] = found[name] + counts if name in found else counts
    return found


@pytest.mark.parametrize("settings", [PLAIN, SLOW, RULE])
def test_calls_failures_and_durations(how, settings):
    shop, watch = counting(monitor("shop.f", "shop.c", expect=["KeyError"], name="m", **settings))
    for seconds in (1, 1, 1, 4, 100):
        assert shop.f(seconds) == seconds
        assert asyncio.run(shop.c(seconds)) == seconds
    for a, error in ((-1, ValueError), (-2, ValueError), (0, KeyError)):
        with pytest.raises(error):
            shop.f(a)
    found = by_monitor(watch)["m"]
    assert (found.calls, found.untimed) == (13, 0)
    assert (found.by_severity, found.expected) == ({"error": 2}, 1)
    assert found.total == 214
    assert found.longest == 100
    assert 1 / 1.42 < found.quantile(0.5) < 1.42
    assert 100 / 1.42 < found.quantile(0.9) <= 100
    assert found.last_failure is not None


@pytest.mark.parametrize("settings", [PLAIN, SLOW])
def test_generators(how, settings):
    """With a threshold, the time that they run themselves; without one, they are counted, and not timed."""
    shop, watch = counting(monitor("shop.g", name="g", **settings), monitor("shop.pages", name="pages", **settings))

    async def read():
        async for _ in shop.pages(3):
            watch.clock.work(50)

    for _ in shop.g(3):
        watch.clock.work(50)  # the consumer's time, not the generator's
    asyncio.run(read())
    found = by_monitor(watch)
    assert {name: counts.calls for name, counts in found.items()} == {"g": 1, "pages": 1}
    timed = {name: counts.total for name, counts in found.items() if not counts.untimed}
    assert timed == ({"g": 3, "pages": 3} if settings else {})


def test_a_method_that_several_classes_share_is_counted_for_the_one_that_is_meant(how):
    shop, watch = counting(monitor("shop.Own.save", name="own"))
    for _ in range(3):
        shop.Own().save()
        shop.Other().save()
        shop.Base().save()
    assert by_monitor(watch)["own"].calls == 3


def test_slow_calls_rules_and_what_limits_hold_back(how):
    settings = {"rate_limit": (2, 1e9), "rules": [("result == 7", "seven", "info")], "thresholds": [[50.0, "warning"]]}
    shop, watch = counting(monitor("shop.f", name="m", **settings))
    for seconds in (60, 60, 60, 60, 7, 7, 1):
        shop.f(seconds)
    found = by_monitor(watch)["m"]
    assert (found.calls, found.slow, found.rules) == (7, 4, 2)
    assert found.held["rate"] + found.reported == 6
    assert found.reported == len(watch.observed)


def test_what_sample_and_unless_leave_out_is_counted_as_such(how):
    shop, watch = counting(monitor("shop.f", name="m", sample=0.0), monitor("shop.c", name="c", unless="a == -1"))
    for _ in range(3):
        with pytest.raises(ValueError):
            shop.f(-1)
    watch.undo()
    found = by_monitor(watch)["m"]
    assert (found.held, found.reported) == ({"sample": 2}, 1)


def test_every_duration_has_a_bucket_whose_bounds_hold_it():
    clock = FakeClock()
    clock.now = 1e6
    tallies = Tallies(clock=clock)
    for power in range(-6, 6):
        for factor in (1.0, 1.4, 2.0, 3.3, 9.99):
            duration = factor * 10.0**power
            one = tallies.of({"name": str(duration)}, "")
            one.count(clock.now - duration)
            ((_, found),) = tallies.changes()
            assert found.calls == 1
            (bucket,) = [index for index, number in enumerate(found.buckets) if number]
            assert bucket == layout.BUCKETS - 1 or duration < layout.bound(bucket) * 1.0001
            assert duration > layout.bound(bucket - 1) / 1.0001
    one = tallies.of({"name": "unknown"}, "")
    one.count(float("inf"))  # there was no room to read it when the call began
    one.count(0.0)
    ((_, found),) = tallies.changes()
    assert (found.calls, found.untimed) == (2, 2)


class TestBatches:
    def at_rate(self, rate, calls, settings=PLAIN):
        shop, watch = counting(monitor("shop.f", name="m", **settings), source="def f(a): clock.work(a)\n")
        for _ in range(calls):
            shop.f(1 / rate)
        return shop, watch, watch.tallies.of(watch.monitors[0], "f")

    @pytest.mark.parametrize("settings", [PLAIN, SLOW])
    def test_an_operation_that_is_not_hot_is_counted_at_once(self, how, settings):
        _, watch, tally = self.at_rate(4000, 600, settings)
        counts = tally.counts()  # without `settle`
        assert counts.calls == 600
        assert counts.total == pytest.approx(600 / 4000, rel=0.011)
        assert next(watch.tallies.changes())[1].total == pytest.approx(600 / 4000)

    @pytest.mark.parametrize("settings", [PLAIN, SLOW])
    def test_a_hot_one_in_batches_and_its_total_is_right(self, how, settings):
        _, watch, tally = self.at_rate(100_000, 20_001, settings)
        assert 20_001 - MOST <= tally.counts().calls <= 20_001
        counts = by_monitor(watch)["m"]
        assert counts.calls == 20_001
        assert counts.total == pytest.approx(20_001 / 100_000)

    def test_count_is_called_a_few_thousand_times_a_second_at_any_rate(self):
        for rate in (1_000, 5_100, 50_000, 500_000):
            clock = FakeClock()
            tallies = Tallies(clock=clock)
            tally = tallies.of({"name": "m"}, "")
            called = 0
            for number in range(40_000):
                clock.now += 1 / rate
                for _ in tally.batch:
                    break
                else:
                    tally.count(clock.now - 1 / rate)
                    called += number >= 20_000
            assert called / (20_000 / rate) <= 5_200

    def test_when_the_rate_falls_each_call_is_counted_at_once_again(self, how):
        shop, _, tally = self.at_rate(100_000, 20_000)
        for _ in range(MOST + 1):
            shop.f(1.0)
        before = tally.counts().calls
        shop.f(1.0)
        assert tally.counts().calls == before + 1

    def test_the_end_of_a_request_counts_what_is_left(self, how):
        _, watch, tally = self.at_rate(100_000, 20_000)
        watch.tallies.work_ended()
        assert tally.counts().calls == 20_000
        assert not watch.tallies.hot

    def test_a_pattern_of_the_hosts_is_not_sampled_in_step(self):
        """Each tenth call takes a hundred times as long."""
        clock = FakeClock()
        tallies = Tallies(clock=clock)
        tally = tallies.of({"name": "m"}, "")
        spent = 0.0
        for number in range(200_000):
            duration = 1e-4 if number % 10 == 0 else 1e-6
            spent += duration
            clock.now += duration
            for _ in tally.batch:
                break
            else:
                tally.count(clock.now - duration)
        ((_, counts),) = tallies.changes()
        assert counts.calls == 200_000
        assert counts.total == pytest.approx(spent, rel=0.1)
        slow = sum(counts.buckets[i] for i in range(layout.BUCKETS) if layout.bound(i) > 5e-5)
        assert 0.09 < slow / 200_000 < 0.11

    def test_whoever_is_struck_while_it_has_the_token_loses_a_batch_and_no_more(self):
        shop, watch, tally = self.at_rate(100_000, 20_000)
        by_monitor(watch)
        tally.granted.pop()  # an alarm of the host's, between taking and giving back
        for _ in range(100):
            shop.f(1 / 10)
        assert by_monitor(watch)["m"].calls == 100
        assert tally.granted == [0]


@pytest.mark.parametrize("settings", [PLAIN, SLOW, RULE])
def test_no_call_is_lost_or_counted_twice_between_threads(how, settings):
    """Also where all of them count in one bucket, and what is counted is read and settled all the time."""
    import time

    class Clock:
        __call__ = staticmethod(time.perf_counter)
        work = staticmethod(lambda _: None)

    shop, watch = counting(
        monitor("shop.f", "shop.g", "shop.c", expect=["KeyError"], name="m", **settings), clock=Clock()
    )
    rounds, threads = 5_000, 4
    read = [0]

    def call():
        for n in range(rounds):
            shop.f(1)
            list(shop.g(1))
            with contextlib.suppress(StopIteration):
                shop.c(1).send(None)
            if n % 10 == 0:
                with contextlib.suppress(KeyError):
                    shop.f(0)

    def look():
        for _, counts in watch.tallies.changes():
            read[0] += counts.calls

    running = [threading.Thread(target=call) for _ in range(threads)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in running:
            thread.start()
        while any(thread.is_alive() for thread in running):
            look()
    finally:
        sys.setswitchinterval(interval)
        for thread in running:
            thread.join()
    look()
    assert read == [threads * (3 * rounds + rounds // 10)]


def test_recursion_and_calls_inside_calls(how):
    source = "def f(a): return f(a - 1) + 1 if a else 0\ndef deep(a): return deep(a + 1)\n"
    shop, watch = counting(monitor("shop.f", "shop.deep", name="{name}", operation="{name}"), source=source)
    assert [shop.f(50) for _ in range(100)] == [50] * 100
    with pytest.raises(RecursionError):
        shop.deep(0)
    found = {tally.operation: counts for tally, counts in watch.tallies.changes()}
    assert found["f"].calls == 5100
    assert found["deep"].calls > 100


def test_a_forked_child_begins_at_zero(how):
    shop, watch = counting(monitor("shop.f", name="m"))
    for _ in range(3000):
        shop.f(1e-5)
    watch.tallies.after_fork()
    assert by_monitor(watch) == {}
    shop.f(1)
    assert by_monitor(watch)["m"].calls == 1


def test_functions_that_share_a_name_for_what_they_do_share_their_numbers(how):
    shop, watch = counting(monitor("shop.f", "shop.c", name="m", operation="reading"))
    shop.f(1)
    asyncio.run(shop.c(1))
    ((one, counts),) = watch.tallies.changes()
    assert (one.operation, counts.calls) == ("reading", 2)


def test_a_function_that_counts_nothing_holds_nothing_for_it(how):
    shop, watch = counting(monitor("shop.f", name="m", metrics=False))
    assert not any(type(each).__name__ == "BytesIO" for each in shop.f.__code__.co_consts)
    shop.f(1)
    assert by_monitor(watch) == {}


def test_code_that_counts_stays_hashable(how):
    """Debuggers and profilers keep code objects in dictionaries."""
    shop, _ = counting(monitor("shop.f", name="m"))
    assert {shop.f.__code__: 1}[shop.f.__code__] == 1


def test_the_item_is_the_one_that_a_batch_yields():
    assert next(Tallies().of({"name": "m"}, "").batch.__class__(trampoline.ITEM * 2)) is trampoline.ITEM


def test_an_id_counts_a_user_once(how):
    from agent.observe.around import people

    shop, watch = counting(monitor("shop.f", name="m", expect=["KeyError"]))
    watch.tallies.salt = lambda: 42
    user = [0]
    people.current["test"] = lambda: {"id": user[0]}
    try:
        for user[0] in [*range(20), *range(20)]:
            with pytest.raises(ValueError):
                shop.f(-1)
        for user[0] in range(100, 200):
            shop.f(1)
            with pytest.raises(KeyError):
                shop.f(0)
    finally:
        del people.current["test"]
    ((_, counts),) = watch.tallies.changes()
    assert counts.users in (19, 20, 21)
