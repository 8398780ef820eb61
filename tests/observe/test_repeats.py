"""An operation that runs more often inside one piece of work than its monitor's `repeats` is reported, once."""

import asyncio
import gc
import sys
import threading
import time
import types

import pytest
from support import Watch, monitor

from agent.observe.around import work
from agent.observe.call.repeats import Inside

SOURCE = """
import asyncio
def select(n):
    work(1.0)
    if n < 0: raise KeyError(n)
    return n
def order_list(numbers):
    for n in numbers:
        try: select(n)
        except KeyError: pass
def two_lines():
    for n in range(4): select(n)
    select(4); work(5.0)
    select(5)
def export():
    order_list(range(3)); order_list(range(3))
async def fetch(n):
    await asyncio.sleep(0)
    select(n)
async def listing(n):
    for each in range(n): await fetch(each)
async def both(): await asyncio.gather(*[listing(4) for _ in range(5)])
async def one_of_them(): await asyncio.gather(listing(6), *[listing(4) for _ in range(5)])
def breaks(numbers):
    for n in numbers: select(n)
    1 / 0
def steps():
    for n in range(6):
        select(n)
        yield n
"""


class Shop:
    def __init__(self, *monitors):
        self.shop = types.ModuleType("shop")
        sys.modules["shop"] = self.shop
        exec(compile(SOURCE, "/srv/erp/shop.py", "exec"), self.shop.__dict__)
        self.watch = Watch(*monitors)
        self.shop.work = self.watch.clock.work
        self.watch.apply(self.shop)

    def told(self):
        return [(each.message, each.severity) for each in self.watch.observed]

    def lines(self):
        return [
            (line["function"], line["line"], line["times"]) for line in self.watch.observed[-1].more["repeats"]["lines"]
        ]


def line_of(text):
    return SOURCE[: SOURCE.index(text)].count("\n") + 1


@pytest.fixture
def shop():
    made = Shop(
        monitor("shop.select", operation="select", repeats=5),
        monitor("shop.order_list"), monitor("shop.two_lines"), monitor("shop.listing"), monitor("shop.steps"),
        monitor("shop.breaks"),
    )  # fmt: skip
    yield made
    made.watch.undo()


TOLD = "{operation} ran 6 times in %s"


def test_as_often_as_allowed_is_no_report(shop):
    for _ in range(3):
        shop.shop.order_list(range(5))
    assert shop.told() == []


def test_one_more_is_reported_once_for_each_enclosing_call(shop):
    for _ in range(3):
        shop.shop.order_list(range(20))
    assert shop.told() == [(TOLD % "order_list", "warning")] * 3
    report = shop.watch.observed[0]
    assert (report.report, report.operation, list(report.operations)) == ("repeats", "select", ["order_list", "select"])
    facts = report.more["repeats"]
    assert (facts["times"], facts["limit"], facts["inside"], facts["duration_ms"]) == (6, 5, "order_list", 6000.0)
    assert shop.lines() == [("order_list", line_of("try: select"), 6)]


def test_the_lines_that_call_and_the_share_of_the_time(shop):
    shop.shop.two_lines()
    assert shop.lines() == [
        ("two_lines", line_of("for n in range(4): select"), 4), ("two_lines", line_of("    select(4)"), 1),
        ("two_lines", line_of("    select(5)"), 1),
    ]  # fmt: skip
    assert shop.watch.observed[0].more["repeats"]["share"] == round(6 / 11, 3)


def test_calls_that_raise_count_too(shop):
    shop.shop.order_list([-1] * 6)
    assert TOLD % "order_list" in [each.message for each in shop.watch.observed]


def test_without_anything_around_it_nothing_repeats(shop):
    for n in range(20):
        shop.shop.select(n)
    assert shop.told() == []


def test_the_outermost_call_counts():
    shop = Shop(
        monitor("shop.select", operation="select", repeats=5), monitor("shop.order_list"), monitor("shop.export")
    )
    shop.shop.export()
    assert shop.told() == [(TOLD % "export", "warning")]
    shop.watch.undo()


def test_a_milder_monitor_reports_more_mildly():
    shop = Shop(monitor("shop.select", severity="info", repeats=5), monitor("shop.order_list"))
    shop.shop.order_list(range(6))
    assert [severity for _, severity in shop.told()] == ["info"]
    shop.watch.undo()


def test_rules_of_the_same_monitor_apply():
    shop = Shop(monitor("shop.select", repeats=5, rules=[("n == 2", "it is two", "error")]), monitor("shop.order_list"))
    shop.shop.order_list(range(6))
    assert [report for report, *_ in shop.watch.reports()] == ["rule", "repeats"]
    shop.watch.undo()


def test_tasks_that_take_turns_are_told_apart(shop):
    asyncio.run(shop.shop.both())
    assert shop.told() == []
    asyncio.run(shop.shop.one_of_them())
    assert shop.told() == [(TOLD % "listing", "warning")]


def test_threads_are_told_apart(shop):
    barrier = threading.Barrier(4)
    shop.shop.work = lambda _: barrier.wait(10)  # all are inside at once
    threads = [threading.Thread(target=shop.shop.order_list, args=(range(4),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shop.told() == []


def test_a_generator_is_one_call_however_often_it_is_resumed(shop):
    list(shop.shop.steps())
    assert shop.told() == [(TOLD % "steps", "warning")]


def test_inside_a_request_the_request_counts(shop):
    entered = work.enter(None)
    shop.shop.order_list(range(3))
    assert shop.told() == []
    shop.shop.order_list(range(3))
    shop.shop.order_list(range(30))
    work.leave(entered)
    assert shop.told() == [(TOLD % "order_list", "warning")]
    assert entered[0].inside is None, "a context that is kept keeps nothing alive"
    entered = work.enter(None)
    shop.shop.order_list(range(5))
    work.leave(entered)
    assert len(shop.told()) == 1


def test_the_lines_of_tracebacks_stay_right(shop):
    with pytest.raises(ZeroDivisionError) as caught:
        shop.shop.breaks(range(6))
    assert caught.traceback[-1].lineno + 1 == line_of("    1 / 0")


def test_a_frame_that_something_traces_is_left_alone(shop):
    seen = []

    def trace(frame, event, _):
        seen.append((frame.f_code.co_name, event))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        shop.shop.order_list(range(6))
    finally:
        sys.settrace(before)
    assert shop.told() == []
    assert [event for name, event in seen if name == "order_list"][-1] == "return", "traced to its end"


@pytest.mark.skipif(sys.version_info < (3, 10), reason="kept by the address of the frame there")
def test_what_is_kept_goes_with_the_call(shop):
    def kept():
        return sum(type(each) is Inside for each in gc.get_objects())

    gc.collect()
    before = kept()
    shop.shop.order_list(range(3))
    assert kept() == before


def test_counting_costs_little_beside_a_rule():
    """A ratio within one run: both are a Python callback for each call."""

    def cost(made):
        entered = work.enter(None)
        best = float("inf")
        for _ in range(30):
            began = time.perf_counter()
            made.shop.order_list(range(200))
            best = min(best, time.perf_counter() - began)
        work.leave(entered)
        return best

    ruled = Shop(monitor("shop.select", rules=[("n == -2", "never", "error")]), monitor("shop.order_list"))
    ruled.shop.work = int
    with_rule = cost(ruled)
    ruled.watch.undo()
    counted = Shop(monitor("shop.select", repeats=10**6), monitor("shop.order_list"))
    counted.shop.work = int
    repeated = cost(counted)
    counted.watch.undo()
    assert repeated < 2 * with_rule
