"""The report of a slow call names the slow monitored calls inside it, and their share."""

import pytest
from support import Watch, module, monitor

SHOP = """
def order():
    reserve(); reserve(); quick(); work(1.0)
def reserve():
    query(); work(1.0)
def query(): work(3.0)
def quick(): work(0.1)
"""


def slow(watch, operation):
    return [item for item in watch.observed if item.operation == operation][-1]


@pytest.fixture
def watch():
    shop = module(SHOP)
    watch = Watch(
        *(monitor(f"shop.{name}", thresholds=[(1.0, "warning")]) for name in ("order", "reserve", "query", "quick"))
    ).apply(shop)
    shop.work = watch.clock.work
    watch.shop = shop
    return watch


def test_what_was_inside_and_its_share(watch):
    watch.shop.order()
    assert [tuple(each) for each in slow(watch, "reserve").inside] == [("query", 1, 3.0, 0.75)]
    (share,) = slow(watch, "order").inside
    assert (share.operation, share.times, share.seconds) == ("reserve", 2, 8.0)
    assert round(share.share, 3) == round(8 / 9.1, 3)
    assert slow(watch, "query").inside == []


def test_what_was_before_is_not_inside(watch):
    watch.shop.query()
    watch.shop.order()
    assert [each.times for each in slow(watch, "order").inside] == [2]


TASKS = """
import asyncio
async def inner(n):
    await asyncio.sleep(0)
    work(2.0)
async def outer(n):
    await inner(n)
    await asyncio.sleep(0)
    work(1.0)
async def many(): await asyncio.gather(*[outer(n) for n in range(10)])
"""


def test_tasks_that_take_turns_are_not_inside_one_another():
    import asyncio

    shop = module(TASKS)
    watch = Watch(*(monitor(f"shop.{name}", thresholds=[(1.5, "warning")]) for name in ("outer", "inner"))).apply(shop)
    shop.work = watch.clock.work
    asyncio.run(shop.many())
    outers = [item for item in watch.observed if item.operation == "outer"]
    assert len(outers) == 10
    assert [[(each.operation, each.times) for each in item.inside] for item in outers] == [[("inner", 1)]] * 10
    assert all(each.share <= 1 for item in outers for each in item.inside)


def a_shop(where, **limits):
    shop = module("def page():\n    query(); work(rest)\ndef query(): work(4.0)\n")
    given = {"page": [(5.0, "warning")], "query": [(1.0, "warning")], **limits}
    watch = Watch(
        *(monitor(f"shop.{name}", thresholds=given[name], where=where if name == "page" else "") for name in given)
    ).apply(shop)
    shop.work = watch.clock.work
    watch.shop = shop
    return watch


def reports(watch, rest):
    watch.shop.rest = rest
    watch.shop.page()
    return [item.operation for item in watch.observed if item.report == "slow"]


def test_a_slow_call_of_a_pack_is_left_to_the_slow_call_inside_that_it_was_slow_because_of():
    watch = a_shop("packs/django.yaml:1")
    assert reports(watch, rest=1.5) == ["query"]
    assert watch.counted == {("left-to-another", "shop.page"): 1}


def test_it_is_reported_where_it_would_be_slow_without_that_call_or_that_call_is_the_smaller_part():
    assert reports(a_shop("packs/django.yaml:1"), rest=5.5) == ["query", "page"]
    assert reports(a_shop("packs/django.yaml:1", page=[(7.0, "warning")]), rest=4.5) == ["query", "page"]


def test_it_is_reported_where_it_is_more_severe_or_a_monitor_of_the_erps():
    assert reports(a_shop("packs/django.yaml:1", page=[(5.0, "error")]), rest=1.5) == ["query", "page"]
    assert reports(a_shop("monitors.yaml:1"), rest=1.5) == ["query", "page"]


def test_of_three_slow_calls_with_one_cause_the_innermost_is_reported():
    shop = module("def page(): view()\ndef view(): query()\ndef query(): work(6.0)\n")
    names = ("page", "view", "query")
    watch = Watch(
        *(monitor(f"shop.{name}", thresholds=[(1.0, "warning")], where="packs/django.yaml:1") for name in names)
    ).apply(shop)
    shop.work = watch.clock.work
    shop.page()
    assert [item.operation for item in watch.observed] == ["query"]
