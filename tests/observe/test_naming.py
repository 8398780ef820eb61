"""What a monitor's placeholders stand for, by the target and by the class of each call."""

import pytest
from support import Watch, module, monitor

from agent.hook.code import inject
from agent.measure.tallies import Tallies

MODELS = """
class Model:
    def save(self, bad=True):
        if bad: raise ValueError(1)
    @classmethod
    def load(cls): raise ValueError(2)
    @staticmethod
    def check(): raise ValueError(3)
    def wait(self, work): work()
    def around(self, work=None): return self.wait(work) if work else self.save()
class Order(Model): pass
class Invoice(Model):
    class Line(Model): pass
class Meta(type):
    def __getattribute__(cls, name): raise RuntimeError(name)
class Odd(Model, metaclass=Meta): pass
def book(model): raise ValueError(4)
def decorated(f):
    def wrapper(*args, **kwargs): return f(*args, **kwargs)
    return wrapper
class Doc:
    @decorated
    def post(self): raise ValueError(5)
class Bill(Doc): pass
"""


def fails(*calls):
    for call in calls:
        with pytest.raises(ValueError):
            call()


def operations(watch):
    return [item.operation for item in watch.observed]


@pytest.mark.parametrize("way", ["injected", "trampoline"])
def test_the_class_of_the_call_is_named(way, monkeypatch):
    if way == "injected" and not inject.AVAILABLE:
        pytest.skip("this interpreter's bytecode is not injected into")
    monkeypatch.setattr(inject, "AVAILABLE", way == "injected")
    shop = module(MODELS)
    targets = ["shop.Model.save", "shop.Model.load", "shop.Model.check", "shop.book", "shop.Doc.post"]
    watch = Watch(monitor(*targets, name="m", operation="{class}.{name}", rate_limit=None)).apply(shop)
    fails(
        shop.Model().save,
        shop.Order().save,
        shop.Invoice().save,
        shop.Invoice.Line().save,
        object.__new__(shop.Odd).save,
    )
    assert operations(watch) == ["Model.save", "Order.save", "Invoice.save", "Line.save", "Odd.save"]
    watch.observed.clear()
    fails(shop.Order.load, shop.Order().load, shop.Order.check, lambda: shop.book(shop.Order()), shop.Bill().post)
    fails(lambda: shop.Model.save(7))
    assert operations(watch) == ["Order.load", "Order.load", "Model.check", "shop.book", "Bill.post", "Model.save"]


def test_what_encloses_a_call_and_what_was_slow_inside_it_are_named_alike():
    shop = module(MODELS)
    slow = [(1.0, "warning")]
    watch = Watch(
        monitor("shop.Model.around", name="a", operation="{class}.{name}", thresholds=slow),
        monitor("shop.Model.save", name="s", operation="{class}.{name}"),
        monitor("shop.Model.wait", name="w", operation="{class}.{name}", thresholds=slow),
    ).apply(shop)
    fails(shop.Order().around)
    assert watch.observed[0].operations == ["Order.around", "Order.save"]
    watch.observed.clear()
    shop.Invoice().around(lambda: watch.clock.work(2))
    assert operations(watch) == ["Invoice.wait", "Invoice.around"]
    assert [each.operation for each in watch.observed[1].inside] == ["Invoice.wait"]


def test_the_kinds_own_words_are_filled_too_and_other_braces_stay():
    shop = module(MODELS)
    watch = Watch(
        monitor(
            "shop.Model.save", name="b", kind="business", operation="{class}", detail={"process": "{class} to cash"}
        ),
        monitor(
            "shop.book", name="e", kind="api", operation="{name}", detail={"endpoint": "/{name}/{number}/{module}"}
        ),
    ).apply(shop)
    fails(shop.Order().save, lambda: shop.book(1))
    assert [item.monitor["detail"] for item in watch.observed] == [
        {"process": "Order to cash"},
        {"endpoint": "/book/{number}/shop"},
    ]
    assert watch.monitors[0]["detail"] == {"process": "{class} to cash"}


def test_limits_count_each_class_separately():
    shop = module(MODELS)
    watch = Watch(monitor("shop.Model.save", operation="{class}", rate_limit=(60.0, 3600.0))).apply(shop)
    for _ in range(20):
        fails(shop.Order().save)
    before = len(watch.observed)
    fails(shop.Invoice().save)
    assert before < 20
    assert operations(watch)[before:] == ["Invoice"]


def test_calls_are_counted_for_the_class_that_they_were_made_on():
    shop = module(MODELS)
    watch = Watch(monitor("shop.Model.save", operation="{class}.{name}"))
    watch.tallies = Tallies(clock=watch.clock)
    watch.apply(shop)
    for cls, well in ((shop.Order, 3), (shop.Invoice, 1)):
        for _ in range(well):
            cls().save(bad=False)
        fails(cls().save)
    counted = {tally.operation: (got.calls, got.failures) for tally, got in watch.tallies.changes()}
    assert counted == {"Order.save": (4, 1), "Invoice.save": (2, 1)}
