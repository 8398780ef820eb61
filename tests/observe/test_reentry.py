"""What a report calls is not monitored; what runs beside it in the same thread is."""

import asyncio

import pytest
from support import Watch, module, monitor

SHOP = """
class Customer: name = "x"
class Order:
    def __init__(self, number, load): self.number, self._load = number, load
    @property
    def customer(self):
        self._load()
        return Customer
    @property
    def late(self):
        self._load()
        return True
def fail(order): raise ValueError(order.number)
def check(order): return order
class Spoken(Exception):
    def __str__(self): return str(fail(Order(1, int)))
"""


def watched():
    shop = module(SHOP)
    settings = {"capture": {"name": "order.customer.name", "number": "order.number"}}
    rules = [("result.late", "late", "warning")]
    return shop, Watch(monitor("shop.fail", **settings), monitor("shop.check", rules=rules, **settings)).apply(shop)


def calls(shop, number, load):
    with pytest.raises(ValueError):
        shop.fail(shop.Order(number, load))
    shop.check(shop.Order(number, load))


def test_greenlets_that_take_turns_while_a_report_reads_the_hosts_objects():
    """As with gevent where the ERP is imported before its monkey patch: all greenlets share the thread's variables."""
    greenlet = pytest.importorskip("greenlet")
    shop, watch = watched()
    main = greenlet.getcurrent()
    ready = []

    def load():
        ready.append(greenlet.getcurrent())
        main.switch()

    ready += [greenlet.greenlet(lambda number=number: calls(shop, number, load)) for number in range(10)]
    while ready:
        ready.pop(0).switch()
    numbers = sorted(each.captured.values["number"] for each in watch.observed)
    assert numbers == sorted([*range(10), *range(10)])
    assert watch.counted == {}


def test_what_a_report_itself_calls_is_counted_and_not_reported():
    shop, watch = watched()

    def load():
        with pytest.raises(ValueError):
            shop.fail(shop.Order(99, int))
        shop.check(shop.Order(99, int))

    calls(shop, 1, load)
    assert [each.captured.values["number"] for each in watch.observed] == [1, 1]
    assert set(watch.counted) == {("inside-a-report", "shop.fail")}


def test_a_task_that_a_report_starts_is_monitored_when_it_runs():
    shop, watch = watched()

    async def main():
        tasks = []

        async def later():
            calls(shop, 2, int)

        def load():
            tasks.append(asyncio.ensure_future(later()))

        calls(shop, 1, load)
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert [each.captured.values["number"] for each in watch.observed] == [1, 1] + [2, 2] * 3
