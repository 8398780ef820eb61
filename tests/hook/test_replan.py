"""A plan that changes while the process runs: monitors are exchanged in place, added, and undone to bare speed."""

import functools
import sys
import threading

import pytest
from support import Watch, module, monitor

from agent.hook.code import patch

SOURCE = """
import functools
def order(n): raise ValueError(n)
def price(n): raise KeyError(n)
class Base:
    def book(self): raise ValueError("base")
class Derived(Base):
    def book(self): raise ValueError("derived")
part = functools.partial(order, 1)
"""


@pytest.fixture
def shop():
    made = module(SOURCE)
    sys.modules["shop"] = made
    yield made
    sys.modules.pop("shop", None)


def replanned(watch, *monitors, **options):
    watch.monitors = list(monitors)
    watch.applier.replan(lambda name: watch.monitors, ["shop"], **options)


def fails(call, *arguments):
    with pytest.raises((ValueError, KeyError)):
        call(*arguments)


def patched(watch):
    return sorted((name, path) for what, name, path, _ in watch.applier.records() if what == "patched")


def test_a_monitor_that_changed_counts_from_the_next_call_on(shop):
    held, bare = shop.order, shop.order.__code__
    watch = Watch(monitor("shop.order", operation="order")).apply(shop)
    fails(shop.order, 1)
    replanned(watch, monitor("shop.order", operation="order", severity="fatal"))
    fails(held, 2)
    assert watch.reports() == [("error", "order", "error"), ("error", "order", "fatal")]
    assert shop.order is held
    assert shop.order.__code__ is not bare
    watch.undo()
    assert shop.order.__code__ is bare


def test_one_that_is_gone_leaves_the_functions_own_code(shop):
    bare = {name: getattr(shop, name).__code__ for name in ("order", "price")}
    watch = Watch(monitor("shop.order"), monitor("shop.price")).apply(shop)
    assert shop.order.__code__ is not bare["order"]
    replanned(watch, monitor("shop.price"))
    assert shop.order.__code__ is bare["order"]
    assert shop.price.__code__ is not bare["price"]
    assert patched(watch) == [("shop.price", "shop.price")]
    replanned(watch)
    assert shop.price.__code__ is bare["price"]


def test_a_new_one_is_applied_to_what_is_imported_already(shop):
    watch = Watch().apply(shop)
    replanned(watch, monitor("shop.order", operation="order"))
    fails(shop.order, 1)
    assert watch.reports() == [("error", "order", "error")]


def test_equal_monitors_keep_their_code(shop):
    watch = Watch(monitor("shop.order")).apply(shop)
    code = shop.order.__code__
    replanned(watch, monitor("shop.order"), monitor("shop.price"), everything=False)
    replanned(watch, monitor("shop.order"), monitor("shop.price"), everything=False)
    again = shop.price.__code__
    replanned(watch, monitor("shop.order"), monitor("shop.price"), everything=False)
    assert shop.price.__code__ is again
    replanned(watch, monitor("shop.order"), monitor("shop.price"), everything=True)
    assert shop.price.__code__ is not again
    assert code is not shop.order.__code__


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        (monitor("shop.order", name="old"), monitor("shop.order", name="new"), "new"),
        (monitor("shop.*", name="all"), monitor("shop.order", name="one"), "one"),
        (monitor("shop.order", name="one"), monitor("shop.*", name="all"), "all"),
    ],
)
def test_a_function_that_stays_monitored_is_never_without_a_monitor(shop, monkeypatch, before, after, name):
    watch = Watch(before).apply(shop)
    install, bare = patch.Patch._install, []

    def installing(self, layers):
        done = install(self, layers)
        if not layers:
            bare.append(self().__name__)
        return done

    monkeypatch.setattr(patch.Patch, "_install", installing)
    replanned(watch, after)
    assert "order" not in bare
    fails(shop.order, 1)
    assert [each.monitor["name"] for each in watch.observed] == [name]


def test_a_pattern_stays_beside_a_target_of_its_own(shop):
    watch = Watch(monitor("shop.*", name="all")).apply(shop)
    replanned(watch, monitor("shop.order", name="one"), monitor("shop.*", name="all"))
    assert patched(watch) == [("all", "shop.price"), ("one", "shop.order")]
    replanned(watch, monitor("shop.*", name="all"))
    assert patched(watch) == [("all", "shop.order"), ("all", "shop.price")]


def test_methods_that_override_follow_too(shop):
    bare = shop.Derived.book.__code__
    watch = Watch(monitor("shop.Base.book", subclasses=True, operation="{class}")).apply(shop)
    replanned(watch, monitor("shop.Base.book", subclasses=True, operation="{class}", severity="fatal"))
    fails(shop.Derived().book)
    assert watch.reports() == [("error", "Derived", "fatal")]

    class Later(shop.Base):
        def book(self):
            raise ValueError("later")

    watch.applier.imported("elsewhere", module("", name="elsewhere"))
    fails(Later().book)
    assert watch.reports()[-1] == ("error", "Later", "fatal")
    replanned(watch)
    assert shop.Derived.book.__code__ is bare
    fails(shop.Derived().book)
    assert len(watch.observed) == 2


def test_what_was_replaced_follows_and_is_put_back(shop):
    raw, inner = shop.part, shop.part.func
    watch = Watch(monitor("shop.part", operation="part")).apply(shop)
    replanned(watch, monitor("shop.part", operation="part", severity="fatal"))
    fails(shop.part)
    assert watch.reports() == [("error", "part", "fatal")]
    replanned(watch)
    assert shop.part is raw
    assert shop.part.func is inner
    replanned(watch, monitor("shop.part", operation="part"))
    fails(shop.part)
    assert watch.reports()[1:] == [("error", "part", "error")]
    assert isinstance(raw, functools.partial)


def test_a_target_that_was_not_there_may_be_waited_for_anew(shop):
    watch = Watch(monitor("shop.late", name="late")).apply(shop)
    replanned(watch, monitor("shop.later", name="late"))
    assert [line[:3] for line in watch.applier.records()] == [("waiting", "late", "shop.later")]
    shop.later = lambda: None
    assert watch.applier.retry()
    assert patched(watch) == [("late", "shop.later")]


def test_code_that_another_tool_has_replaced_stays(shop):
    watch = Watch(monitor("shop.order")).apply(shop)
    theirs = (lambda n: n).__code__
    shop.order.__code__ = theirs
    replanned(watch, monitor("shop.order", severity="fatal"))
    assert shop.order.__code__ is theirs
    assert "restart" in next(line[3] for line in watch.applier.records() if line[0] == "failed")


def test_while_threads_call_each_call_is_seen_once(shop):
    """Calls run on other threads while the plan changes; each failure is reported by the old monitor or by the new."""
    plans = [[monitor("shop.order", operation="a")], [monitor("shop.order", operation="b", severity="fatal")]]
    watch = Watch(*plans[0]).apply(shop)
    seen = []
    watch._report = lambda observation: seen.append(observation.exception.args[0]) or "id"
    ends = threading.Event()
    done = [0, 0, 0]

    def call(which):
        while not ends.is_set():
            number = (which, done[which])
            fails(shop.order, number)
            done[which] += 1

    threads = [threading.Thread(target=call, args=(which,)) for which in range(3)]
    watch.apply(shop)
    replanned(watch, *plans[1])
    for thread in threads:
        thread.start()
    for turn in range(60):
        replanned(watch, *plans[turn % 2])
    ends.set()
    for thread in threads:
        thread.join()
    counted = len(seen) + watch.counted.get(("rate", "shop.order"), 0)
    assert counted == sum(done)
    assert len(set(seen)) == len(seen)
