"""A line that somebody watches: what is shown of it, what that may cost, and that the function does not notice."""

import gc
import sys
import weakref

import pytest
from making import a_monitor
from support import FakeClock

from agent.language import expressions
from agent.observe.call.terms import Terms
from agent.observe.call.watched_line import WatchedLine, variables

LINE = {"file": "shop.py", "path": "", "number": 7, "function": ""}


class Watching:
    """A line; `come` is called where a function comes to it."""

    def __init__(self, *, when=None, capture=None, budget=0.01, rate=(50.0, 1.0)):
        self.clock = FakeClock()
        self.shown, self.failed, self.turns, self.given_up = [], [], [], []
        rule = (
            {"when": expressions.parse(when), "message": when, "severity": "info", "escalate": None, "each": None}
            if when
            else None
        )
        monitor = a_monitor(
            name="live-1", thresholds=[], live=True, line=LINE, budget=budget, rate_limit=rate, metrics=False,
            rules=[rule] if rule else [],
            capture={name: expressions.parse(text) for name, text in (capture or {}).items()},
        )  # fmt: skip
        terms = Terms(
            monitor, report=self.report, count=lambda *_: None, failed=lambda *given: self.failed.append(given),
            clock=self.clock,
        )  # fmt: skip
        self.costs = 0.0
        self.line = WatchedLine(
            terms,
            LINE,
            look=lambda: None,
            counted=lambda: self.turns.append(self.line.seen),
            give_up=self.given_up.append,
        )
        self.come = self.line.come

    def report(self, observation):
        self.clock.now += self.costs
        self.shown.append(observation)

    @property
    def values(self):
        return [dict(each.captured.values) for each in self.shown]


def order(come, total, customer="C-1"):
    result = {"total": total}
    come()
    del result
    return total


def test_all_local_variables_are_shown_where_none_are_named():
    watching = Watching()
    order(watching.come, 3)
    assert watching.values == [{"come": watching.come, "total": 3, "customer": "C-1", "result": {"total": 3}}]
    shown = watching.shown[0]
    assert (shown.report, shown.operation, shown.message) == ("line", "order", "shop.py:7")
    assert shown.function == f"{__name__}.order"
    assert shown.frame.f_code is order.__code__
    assert shown.monitor["live"]


def test_what_is_named_is_shown_and_why_the_rest_is_not():
    watching = Watching(capture={"t": "total * 2", "r": "result['total']", "late": "customer.name", "later": "late"})

    def other(come, total, customer):
        result = {"total": 1}
        come()
        late = result
        late.clear()

    other(watching.come, 3, "C-1")
    assert watching.values == [{"t": 6, "r": 1}]
    failed = watching.shown[0].captured.failed
    assert failed["later"] == "late is not set here yet"
    assert failed["late"].startswith("AttributeError")


def test_only_what_the_condition_holds_for_is_shown():
    watching = Watching(when="total < 0 and customer != 'C-2'")
    for total, customer in ((1, "C-1"), (-1, "C-2"), (-2, "C-3")):
        assert order(watching.come, total, customer) == total
    assert [each["total"] for each in watching.values] == [-2]
    assert (watching.line.seen, watching.line.looked) == (3, 3)


def test_a_condition_that_raises_harms_nobody_and_is_shown_to_who_watches():
    watching = Watching(when="total.amount < 0")
    assert order(watching.come, 1) == 1
    assert watching.shown == []
    assert watching.line.failure.startswith("AttributeError")
    assert [each[:2] for each in watching.failed] == [("rule-raised", "live-1")]


def test_a_condition_on_a_variable_that_is_not_set_yet_does_not_hold():
    watching = Watching(when="late is None")

    def other():
        watching.come()
        late = None
        print(late)

    other()
    assert watching.shown == []
    assert watching.line.failure == ""


def test_an_expression_that_names_no_variable_of_the_function_is_refused():
    watching = Watching(capture={"t": "totl"}, when='argument("result") is None')
    assert watching.line.why_not(order.__code__) == (
        "'totl' names no local variable of order: it has come, customer, result, total"
    )
    assert Watching(when="result is None").line.why_not(order.__code__) == ""


def test_what_the_function_drops_is_dropped():
    """Reading its variables leaves nothing in its frame that would keep them."""
    watching = Watching()

    class Held:
        pass

    def other():
        held = Held()
        gone = weakref.ref(held)
        watching.come()
        watching.shown.clear()
        del held
        return gone()

    gc.disable()
    try:
        assert other() is None
    finally:
        gc.enable()


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="each call of locals() makes a new dictionary from 3.13 on")
def test_what_the_function_itself_looks_up_stays_its_own():
    def other():
        first = locals()
        found = variables(sys._getframe())
        return first, found

    first, found = other()
    assert first["first"] is first
    assert found["first"] is first


def test_a_line_costs_no_more_than_its_budget_of_each_second():
    watching = Watching(rate=None)
    watching.costs = 0.004
    for _ in range(10):
        order(watching.come, 1)
    assert (len(watching.shown), watching.line.seen) == (3, 10)
    watching.clock.now += 1.0
    order(watching.come, 1)
    assert len(watching.shown) == 4
    assert watching.turns == [11]


def test_a_line_that_is_come_to_too_often_is_given_up():
    watching = Watching(rate=(1.0, 60.0))
    for second in range(4):
        for _ in range(50_000):
            watching.come()
        watching.clock.now += 1.0
        assert len(watching.given_up) == (second == 3)
        watching.come()
    assert "50,001 times a second" in watching.given_up[0]
    assert "(budget 1.00%)" in watching.given_up[0]
    shown = len(watching.shown)
    order(watching.come, 1)
    assert len(watching.shown) == shown


def test_a_line_in_what_looking_at_it_runs_is_not_shown_again():
    watching = Watching(capture={"name": "customer.name"})

    class Customer:
        @property
        def name(self):
            watching.come()
            return "C-1"

    order(watching.come, 1, Customer())
    assert watching.values == [{"name": "C-1"}]
    assert watching.line.seen == 2


def test_a_forked_child_counts_from_zero():
    watching = Watching()
    order(watching.come, 1)
    watching.line.begin()
    order(watching.come, 1)
    assert watching.line.seen == 1
