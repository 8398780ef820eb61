"""Which exceptions are failures, and how many: control flow, groups, singletons, other threads."""

import asyncio
import concurrent.futures
import multiprocessing.pool
import sys

import pytest
from support import Watch, module, monitor

from agent.measure.tallies import Tallies

groups = pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with 3.11")

SHOP = """
import asyncio, concurrent.futures
class Stock(Exception): pass
class Hold(Exception): pass
def reserve(x): raise Stock(x)
def hold(x): raise Hold(x)
def through_future(pool, x): return pool.submit(reserve, x).result()
def through_map(pool, x): return list(pool.map(reserve, [x]))
def through_pool(pool, x): return pool.apply(reserve, (x,))
async def areserve(x): raise Stock(x)
async def atask(x): await asyncio.ensure_future(areserve(x))
async def in_executor(x): await asyncio.get_running_loop().run_in_executor(None, reserve, x)
async def gather(x): await asyncio.gather(areserve(x), areserve(x))
async def cancelled():
    task = asyncio.ensure_future(asyncio.sleep(10)); task.cancel(); await task
def leaves(): raise SystemExit(3)
def interrupts(): raise KeyboardInterrupt
class Numbers:
    def __iter__(self): return self
    def __next__(self): raise StopIteration
def cancelled_future():
    future = concurrent.futures.Future(); future.cancel(); return future.result()
def generator():
    try: yield 1
    finally: pass
"""

GROUPS = """
async def taskgroup(x):
    async with asyncio.TaskGroup() as group:
        group.create_task(areserve(x)); group.create_task(areserve(x))
async def half(x):
    async with asyncio.TaskGroup() as group:
        group.create_task(areserve(x)); group.create_task(unwatched(x))
async def unwatched(x): raise KeyError(x)
def group_of(*errors): raise ExceptionGroup("several", errors)
def partly(x):
    try: group_of(Stock(1), KeyError(2))
    except* Stock: pass
"""


pytestmark = pytest.mark.usefixtures("no_shop_left")


def quiet(call, *args):
    try:
        return call(*args)
    except BaseException as error:
        return error


def watching(*names, source=SHOP, **settings):
    shop = module(source)
    return shop, Watch(*(monitor(f"shop.{name}", **settings) for name in names)).apply(shop)


@pytest.mark.parametrize("name", ["through_future", "through_map"])
def test_a_failure_that_a_future_hands_over_is_one(name):
    shop, watch = watching(name, "reserve")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        for _ in range(2):
            assert isinstance(quiet(getattr(shop, name), pool, 1), shop.Stock)
    assert [item.operation for item in watch.observed] == ["reserve", "reserve"]


def test_a_failure_that_a_pool_of_threads_hands_over_is_one():
    shop, watch = watching("through_pool", "reserve")
    with multiprocessing.pool.ThreadPool(1) as pool:
        quiet(shop.through_pool, pool, 1)
    assert [item.operation for item in watch.observed] == ["reserve"]


@pytest.mark.parametrize(("name", "number"), [("atask", 1), ("in_executor", 1), ("gather", 2)])
def test_a_failure_that_passes_from_task_to_task_is_one(name, number):
    shop, watch = watching(name, "areserve", "reserve")
    quiet(asyncio.run, getattr(shop, name)(1))
    assert [item.operation for item in watch.observed] == ["reserve" if name == "in_executor" else "areserve"] * number


def test_a_failure_of_a_future_that_nobody_watched_inside_is_reported_outside():
    shop, watch = watching("through_future")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        quiet(shop.through_future, pool, 1)
    assert watch.reports() == [("error", "through_future", "error")]


@pytest.mark.parametrize(
    "call",
    [lambda shop: asyncio.run(shop.cancelled()), lambda shop: shop.leaves(), lambda shop: shop.interrupts(),
     lambda shop: list(shop.Numbers()), lambda shop: shop.cancelled_future(),
     lambda shop: next(shop.generator())],
)  # fmt: skip
def test_control_flow_is_counted_and_not_reported(call):
    shop, watch = watching("cancelled", "leaves", "interrupts", "Numbers.__next__", "cancelled_future", "generator")
    quiet(call, shop)
    assert watch.observed == []
    assert {reason for reason, _ in watch.counted} == {"control-flow"}


def test_control_flow_that_a_monitor_names_is_a_failure():
    shop = module(SHOP)
    watch = Watch(monitor("shop.cancelled_future", errors={"concurrent.futures.CancelledError": "info"})).apply(shop)
    quiet(shop.cancelled_future)
    assert watch.reports() == [("error", "cancelled_future", "info")]


@groups
def test_a_group_of_what_was_reported_is_nothing_new():
    shop, watch = watching("taskgroup", "areserve", source=SHOP + GROUPS)
    assert type(quiet(asyncio.run, shop.taskgroup(1))).__name__ == "ExceptionGroup"
    assert [item.operation for item in watch.observed] == ["areserve"] * 2


@groups
def test_a_group_that_holds_something_new_is_reported():
    shop, watch = watching("half", "areserve", source=SHOP + GROUPS)
    quiet(asyncio.run, shop.half(1))
    assert [item.operation for item in watch.observed] == ["areserve", "half"]
    assert type(watch.observed[1].exception).__name__ == "ExceptionGroup"


@groups
def test_a_group_is_as_severe_as_its_worst_member_and_expected_if_all_are():
    shop = module(SHOP + GROUPS)
    watch = Watch(monitor("shop.group_of", errors={"shop.Stock": "info"}, expect=["shop.Hold"])).apply(shop)
    quiet(shop.group_of, shop.Stock(1), shop.Hold(1))
    quiet(shop.group_of, shop.Hold(1), shop.Hold(2))
    quiet(shop.group_of, shop.Hold(1), KeyError(2), shop.Stock(3))
    assert [item.severity for item in watch.observed] == ["info", "error"]
    assert watch.counted == {("expected", "shop.group_of"): 1}


@groups
def test_what_is_left_of_a_group_after_except_star_is_the_same_failure():
    shop, watch = watching("group_of", "partly", source=SHOP + GROUPS)
    quiet(shop.partly, 1)
    assert [item.operation for item in watch.observed] == ["group_of"]


def test_expected_errors_that_come_too_often_become_one_event():
    shop = module(SHOP)
    watch = Watch(monitor("shop.hold", expect=["shop.Hold"], escalate=(10, 60.0))).apply(shop)
    for _ in range(100):
        quiet(shop.hold, 1)
    (seen,) = watch.observed
    assert (seen.report, seen.severity) == ("rule", "error")
    assert seen.message == "Hold is expected, but came more than 10 times in 60 s"
    assert watch.counted == {("expected", "shop.hold"): 100}


def test_a_rule_with_escalate_becomes_one_event_where_it_holds_too_often():
    shop = module("def late(days): return days\n")
    rules = [("days > 3", "{days} days late", "error", (10, 60.0)), ("days > 50", "Lost", "fatal")]
    watch = Watch(monitor("shop.late", rules=rules, capture={"days": "days"}, rate_limit=None)).apply(shop)
    for days in range(30):
        shop.late(days)
    (seen,) = watch.observed
    assert (seen.report, seen.severity, seen.captured.values["days"]) == ("rule", "error", 14)
    assert seen.message == "{days} days late (more than 10 times in 60 s)"
    assert watch.counted == {("expected", "shop.late"): 25}
    shop.late(60)
    assert watch.observed[-1].message == "Lost"


def test_a_rule_with_each_counts_each_value_apart():
    shop = module("def sign_in(login): return None\n")
    rules = [("result is None", "Sign-in failed", "warning", (10, 60.0), "login['name'] if login else None")]
    watch = Watch(monitor("shop.sign_in", rules=rules, rate_limit=(2, 60.0))).apply(shop)
    for name in [*range(20), *range(20)] * 5:  # ten times each: a crowd of people who mistype
        shop.sign_in({"name": f"user {name}"})
    for nobody in [None] * 100 + [{}] * 100 + [{"nam": 1}] * 100:  # no login is known, or it cannot be read
        shop.sign_in(nobody)
    assert watch.observed == []
    assert watch.counted == {("expected", "shop.sign_in"): 500, ("rule-raised", "shop.sign_in"): 100}
    for name in range(10):  # one time more
        shop.sign_in({"name": f"user {name}"})
    assert [seen.message for seen in watch.observed] == ["Sign-in failed (more than 10 times in 60 s)"] * 2
    assert watch.counted["rate", "shop.sign_in"] == 8, "an attack on many is within the monitor's rate"


def test_a_call_that_several_rules_match_is_counted_once():
    shop = module("def sign_in(login): return None\n")
    rules = [
        ("result is None", "One", "warning", (10, 60.0), "login"),
        ("result is None", "Many", "warning", (25, 60.0)),
    ]
    watch = Watch(monitor("shop.sign_in", rules=rules, rate_limit=None))
    watch.tallies = Tallies(clock=watch.clock)
    watch.apply(shop)
    for name in range(30):
        shop.sign_in(name)
    assert [seen.message for seen in watch.observed] == ["Many (more than 25 times in 60 s)"]
    assert watch.counted == {("expected", "shop.sign_in"): 29}
    assert [counts.rules for _, counts in watch.tallies.changes()] == [30]


def test_what_a_call_has_caught_and_raises_again_is_its_failure():
    shop = module(
        "def deep(): raise ValueError\n"
        "def again():\n  try: deep()\n  except ValueError as error: raise error\n"
        "def once_more():\n  try: again()\n  except ValueError as error: raise error\n"
    )
    watch = Watch(monitor("shop.again"), monitor("shop.once_more")).apply(shop)
    for function in (shop.again, shop.once_more):
        with pytest.raises(ValueError):
            function()
    assert [each[1] for each in watch.reports()] == ["again", "again"]


def test_a_thread_of_an_executor_that_raises_it_once_more_has_reported_nothing():
    """As asgiref does it for an exception's handler: its frames then come before the call's own."""
    handler = module("def handle(error):\n  try: raise error\n  except ValueError: pass\n", "asgiref.of_tests")
    shop = module(
        "def deep(): raise ValueError\n"
        "def call():\n  try: deep()\n  except ValueError as error:\n    handle(error)\n    raise\n",
        handle=handler.handle,
    )
    watch = Watch(monitor("shop.call")).apply(shop)
    with pytest.raises(ValueError):
        shop.call()
    assert [each[1] for each in watch.reports()] == ["call"]
