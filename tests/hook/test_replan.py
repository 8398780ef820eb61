"""A plan that changes while the process runs: monitors are exchanged in place, added, and undone to bare speed."""

import functools
import sys
import threading
import time

import pytest
from support import Watch, found, module, monitor

from agent.hook.code import patch
from agent.measure.tallies import Tallies

CALLS = 1_000_000 if sys.version_info >= (3, 10) else 200_000

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
    install, bare = patch.Patch.install, []

    def installing(self, layers):
        done = install(self, layers)
        if not layers:
            bare.append(self().__name__)
        return done

    monkeypatch.setattr(patch.Patch, "install", installing)
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
    watch = Watch(*plans[0])
    seen = []
    watch.report = lambda observation: seen.append(observation.exception.args[0]) or "id"
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
    for turn in range(20):
        replanned(watch, *plans[turn % 2])
        ends.wait(0.001)  # and the others run
    ends.set()
    for thread in threads:
        thread.join()
    counted = len(seen) + watch.counted.get(("rate", "shop.order"), 0)
    assert counted == sum(done)
    assert len(set(seen)) == len(seen)


def test_what_was_found_after_another_import_is_undone_with_its_module(shop):
    """The names of monitors stay, and what they name does not."""
    late = module("", name="elsewhere")
    watch = Watch(monitor("shop.later", "shop.order", name="m"), monitor("shop.Base.book", name="b", subclasses=True))
    watch.apply(shop)
    shop.later = functools.partial(shop.price, 1).func  # price, by another name
    bare = [each.__code__ for each in (shop.order, shop.price)]

    class Later(shop.Base):
        def book(self):
            return "later"

    code = Later.book.__code__
    watch.applier.imported("elsewhere", late)
    assert Later.book.__code__ is not code
    plans = {"shop": [monitor("shop.order", name="m"), monitor("shop.price", name="b")]}
    watch.applier.replan(lambda name: plans.get(name, watch.monitors), ["shop"])
    assert Later.book.__code__ is code
    assert sorted(path for _, path in patched(watch)) == ["shop.order", "shop.price"]
    assert bare[0] is not shop.order.__code__


def test_what_a_framework_made_is_undone_with_the_targets_that_named_it(shop):
    watch = Watch().apply(shop)
    both = [monitor("frame.Task.run", "shop.none", name="tasks"), monitor("shop.price", name="price")]
    plans = {"frame": both[:1], "shop": both[1:]}
    watch.applier.replan(plans.get, ["shop"])
    bare = shop.order.__code__

    def adopt():
        watch.applier.adopt(found(shop, "order"), "frame", "Task.run")

    watch.applier.again.append(adopt)
    adopt()
    assert shop.order.__code__ is not bare
    plans["frame"] = [monitor("shop.none", name="tasks")]
    watch.applier.replan(plans.get, ["shop", "frame"])
    assert shop.order.__code__ is bare
    assert patched(watch) == [("price", "shop.price")]


def test_a_module_that_comes_back_is_monitored_again(shop):
    """Hosts take modules out of sys.modules, and put them back."""
    plan = [monitor("shop.order", operation="order")]
    watch = Watch(*plan).apply(shop)
    bare = patch.original_code(shop.order)
    del sys.modules["shop"]
    replanned(watch)
    assert shop.order.__code__ is bare
    sys.modules["shop"] = shop
    replanned(watch, *plan)
    fails(shop.order, 1)
    assert watch.reports() == [("error", "order", "error")]


def test_a_million_calls_while_the_plan_changes_are_all_counted(shop):
    plans = [
        [monitor("shop.order", name="m", operation="m", expect=["builtins.ValueError"])],
        [monitor("shop.order", name="m", operation="m", expect=["builtins.ValueError"], severity="fatal")],
    ]
    shop.__dict__.update(module("def order(n): return n").__dict__)
    sys.modules["shop"] = shop
    watch = Watch(*plans[0])
    watch.tallies, watch.clock = Tallies(), time.perf_counter
    watch.apply(shop)
    wrong = []

    def call(times, order=shop.order):
        wrong.extend(number for number in range(times) if order(number) != number)

    threads = [threading.Thread(target=call, args=(CALLS // 2,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    turns = 0
    while turns < 100 or any(thread.is_alive() for thread in threads):
        turns += 1
        replanned(watch, *plans[turns % 2])
        time.sleep(0.001)
    for thread in threads:
        thread.join()
    watch.tallies.settle()
    assert wrong == []
    assert watch.tallies.of(plans[0][0], "m").counts().calls == CALLS
