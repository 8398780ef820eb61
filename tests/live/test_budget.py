"""A monitor that costs more than its budget is sampled, then taken out of its functions, and comes back by itself."""

import sys

import pytest
from support import Watch, module, monitor

from agent.base import guard
from agent.live import budget as budgets
from agent.live import price
from agent.live.budget import Budget
from agent.measure.tallies import Tallies
from agent.observe.call.cost import GIVEN_UP
from agent.observe.call.probe import Probe
from agent.observe.event import wording

SHOP = """
work = int
def order(n):
    work()
    if n < 0: raise KeyError(n)
    return n
def other(n): return n
"""
RULE = [("expensive(n)", "a rule", "error")]


class Budgeted:
    """Monitors with costs, and looks that are taken when the test says so."""

    def __init__(self, *monitors, tallies=False):
        self.shop = module(SHOP)
        self.before = {name: getattr(self.shop, name).__code__ for name in ("order", "other")}
        self.watch = Watch(*monitors)
        if tallies:
            self.watch.tallies = Tallies(clock=self.watch.clock)
        self.watch.apply(self.shop)
        self.shown = {}
        self.budget = Budget(
            self.watch.costs, substitute=self.watch.applier.substitute,
            tallies=lambda: self.watch.tallies.all() if tallies else (),
            report=self.watch.observed.append, record=self.shown.__setitem__, look=int, clock=lambda: self.now,
        )  # fmt: skip
        self.budget.thread.wake = lambda: None

    now = 1000.0

    def look(self, later=1.0):
        self.now += later
        self.budget.look()

    def spend(self, share, looks, *, checked=True, name="shop.order"):
        """`looks`, before each of which a share of the time was spent."""
        cost = self.watch.costs[name]
        for _ in range(looks):
            if checked:
                cost.check(share)
            else:
                cost.spent += share
            self.look()

    def level(self, name="shop.order"):
        return self.budget.watched[name].level

    def reports(self):
        return [each.report for each in self.watch.observed]


@pytest.fixture
def made():
    made = Budgeted(
        monitor("shop.order", rules=[("n == 7", "seven", "error")], thresholds=[(1.0, "warning")]),
        monitor("shop.other"),
    )
    yield made
    made.watch.undo()


def test_within_its_budget_nothing_happens(made):
    code = made.shop.order.__code__
    made.spend(0.009, 30)
    made.spend(0.5, 2)  # not for long
    made.spend(0.0, 1)
    made.spend(0.5, 2)
    assert made.level() == budgets.FULL
    assert made.shown == {}
    assert made.shop.order.__code__ is code


def test_first_only_each_nth_success_is_looked_at(made):
    made.spend(0.1, 3)
    assert made.level() == budgets.SAMPLED
    assert made.shown["shop.order"].startswith(
        "cost 10% of this process's time (budget 1%): of its successes, 1 in 10 is looked at until "
    )
    for _ in range(40):
        made.shop.order(7)
    assert made.reports() == ["rule"] * 4
    with pytest.raises(KeyError):
        made.shop.order(-1)
    assert made.reports()[-1] == "error", "failures stay"
    assert "shop.other" not in made.shown


def worded(report):
    values = wording.placeholders(report, report.captured.values)
    return wording.message(report, values, "")["formatted"], wording.fingerprint(report, values, "", report.operation)


def test_what_a_monitor_costs_is_one_issue_whenever_and_however_much():
    reports = []
    for share in (0.3, 0.5):
        made = Budgeted(monitor("shop.order", kind="api", operation="{route}", detail={"endpoint": "{route}"}))
        made.now += 7200.0 * share
        made.spend(share, 5, checked=False)
        reports += made.watch.observed
        made.watch.undo()
    first, second = map(worded, reports)
    assert first[0] != second[0]
    assert first[1] == second[1]
    assert reports[0].monitor["detail"]["endpoint"] == reports[0].operation == "request"


def test_then_it_is_taken_out_and_that_is_one_event(made):
    made.spend(0.1, 3)
    made.spend(0.5, 2, checked=False)
    assert made.level() == budgets.FAILURES
    assert made.reports() == ["budget"]
    report = made.watch.observed[0]
    assert report.severity == "info", "failures are reported"
    text, _ = worded(report)
    assert text.startswith("the monitor shop.order cost 50% of this process's time (budget 1%): only failures")
    made.watch.observed.clear()
    for _ in range(40):
        made.shop.order(7)
    assert made.reports() == []
    if sys.version_info >= (3, 11):
        with pytest.raises(KeyError):
            made.shop.order(-1)
        assert made.reports() == ["error"]


def test_where_failures_alone_cost_too_much_nothing_of_it_is_left(made):
    made.spend(0.5, 3, checked=False)
    assert made.level() == budgets.FAILURES
    made.spend(0.5, 2, checked=False)
    assert made.level() == budgets.OUT
    assert [each.severity for each in made.watch.observed] == ["info", "warning"], "failures are not"
    made.watch.observed.clear()
    with pytest.raises(KeyError):
        made.shop.order(-1)
    assert made.reports() == []
    assert made.shop.order.__code__ == made.before["order"]
    made.watch.undo()
    assert made.shop.order.__code__ is made.before["order"]


@pytest.fixture
def counted(monkeypatch):
    monkeypatch.setattr(price, "of_a_counted_call", lambda: 600e-9)
    monkeypatch.setattr(price, "of_a_call", lambda monitor: 40e-9)
    monkeypatch.setattr(price, "of_an_item", lambda: 20e-9)
    made = Budgeted(
        monitor("shop.order", rules=[("n == 7", "seven", "error")], thresholds=[(1.0, "warning")]), tallies=True
    )
    made.shop.work = lambda: made.watch.clock.work(0.01)
    made.shop.order(1)
    made.look()
    yield made
    made.watch.undo()


def calls(made):
    """(calls, failures, seconds without counting)"""
    (counts,) = [tally.counts() for tally in made.watch.tallies.all() if tally.operation == "order"]
    return counts.calls, counts.failures, counts.uncounted


def test_calls_are_counted_for_as_long_as_that_is_cheap(counted):
    for look in range(3):
        counted.shop.order(look)
        counted.spend(0.5, 1, checked=False)
    assert counted.level() == budgets.COUNTED
    assert "50% of this process's time (budget 1%): successes are only counted until" in counted.shown["shop.order"]
    counted.watch.observed.clear()
    for _ in range(40):
        counted.shop.order(7)
    with pytest.raises(KeyError):
        counted.shop.order(-1)
    counted.look(10.0)
    assert calls(counted) == (45, 1, 0)
    assert counted.reports() == ["error"], "nothing else is looked at"


def test_for_how_long_calls_are_not_counted_is_counted(counted):
    for look in range(3):
        counted.shop.order(look)
        counted.spend(0.5, 1, checked=False)
    counted.spend(0.5, 2, checked=False)
    assert counted.level() == budgets.FAILURES
    assert "only failures are reported and counted until" in counted.shown["shop.order"]
    for _ in range(40):
        counted.shop.order(7)
    counted.look(10.5)
    assert calls(counted) == (4, 0, 10.5)
    counted.spend(0.5, 2, checked=False)
    assert counted.level() == budgets.OUT
    counted.look(budgets.PAUSES[0])
    assert counted.level() == budgets.FULL
    missed = 10.5 + 2.0 + budgets.PAUSES[0]
    counted.look(100.0)
    counted.shop.order(1)
    assert calls(counted) == (5, 0, missed)


def test_what_a_report_waits_for_is_not_its_monitors_cost(monkeypatch):
    monkeypatch.setattr(Watch, "report", lambda self, observation: self.clock.work(0.5) or "an id")
    made = Budgeted(monitor("shop.order"))
    with pytest.raises(KeyError):
        made.shop.order(-1)
    assert made.watch.costs["shop.order"].spent < 0.1
    made.watch.undo()


def test_it_comes_back_by_itself_later_each_time(made):
    for pause in (*budgets.PAUSES, budgets.PAUSES[-1]):
        made.spend(0.5, 3, checked=False)
        assert made.level() == budgets.FAILURES
        made.look(pause - 2)
        assert made.level() == budgets.FAILURES
        made.look(3.0)
        assert made.level() == budgets.FULL
        assert made.shown["shop.order"] == ""
        made.shop.order(7)
        assert made.reports()[-1] == "rule", "all of it is back"
    assert made.reports().count("budget") == 4
    made.look(budgets.WELL + 1)
    made.spend(0.5, 3, checked=False)
    made.look(budgets.PAUSES[0] + 1)
    assert made.level() == budgets.FULL, "after a good hour the pause is short again"


def test_a_function_that_is_patched_meanwhile_is_reduced_too(made):
    made.spend(0.5, 3, checked=False)
    again = module(SHOP)
    made.watch.apply(again)
    whole = again.order.__code__
    made.spend(0.5, 2, checked=False)
    assert made.level() == budgets.FAILURES
    assert again.order.__code__ is not whole


def test_counting_that_costs_too_much_stops(monkeypatch):
    monkeypatch.setattr(price, "of_a_call", lambda monitor: 20e-9)
    monkeypatch.setattr(price, "of_a_counted_call", lambda: 600e-9)
    made = Budgeted(monitor("shop.order"), monitor("shop.other", budget=None), tallies=True)
    made.shop.order(1)
    made.shop.other(1)
    made.look()
    for _ in range(3):
        for operation in ("order", "other"):
            for tally in made.watch.tallies.all():
                if tally.operation == operation:
                    tally.calls += 10_000_000
                    tally.size = 255
        made.look()
    assert made.level() == budgets.FAILURES
    assert made.shown.keys() == {"shop.order"}
    assert made.shown["shop.order"].startswith("cost 20% of")
    made.watch.undo()
    assert made.shop.order.__code__ is made.before["order"]


def test_a_changed_plan_brings_everything_back(made):
    made.spend(0.5, 3, checked=False)
    made.budget.bring_all_back()
    assert (made.level(), made.shown["shop.order"]) == (budgets.FULL, "")
    made.shop.order(7)
    assert made.reports()[-1] == "rule"


def test_a_rule_that_always_raises_is_not_evaluated_any_more():
    made = Budgeted(monitor("shop.order", rules=[("n.nothing == 1", "never", "error"), ("n == 7", "seven", "error")]))
    for _ in range(GIVEN_UP * 2):
        made.shop.order(1)
    made.shop.order(7)
    made.look()
    assert made.watch.counted["rule-raised", "shop.order"] == GIVEN_UP
    assert made.reports() == ["rule"], "the other rule goes on"
    (words,) = made.shown.values()
    assert list(made.shown) == ["shop.order, when n.nothing == 1"]
    assert words.startswith(f"not evaluated any more in this process: it raised {GIVEN_UP} times in a row, last: Attr")
    made.watch.undo()


def test_a_monitor_whose_own_code_fails_again_and_again_is_switched_off(made, monkeypatch, capfd):
    monkeypatch.setattr(guard, "TESTING", False)
    monkeypatch.setattr(Probe, "_apply_rules", lambda *_: 1 / 0)
    for _ in range(GIVEN_UP):
        assert made.shop.order(1) == 1
    made.look()
    assert made.level() == budgets.OUT
    assert made.shown["shop.order"].startswith(f"switched off in this process: the agent's own code failed {GIVEN_UP}")
    assert made.reports() == ["budget"]
    made.look(budgets.PAUSES[-1] + 10)
    assert made.level() == budgets.OUT, "until a restart"
    assert capfd.readouterr().err.count("agent:") == 1


def test_prices_are_of_the_right_size():
    counted, skipped = price.of_a_counted_call(), price.of_a_skipped_call()
    one, clocked = price.of_a_call(monitor("a.b")), price.of_a_call(monitor("a.b", thresholds=[(1.0, "warning")]))
    assert 0 <= one < counted < 1e-3
    assert 0 < clocked < counted
    assert 0 < skipped < 1e-3
