"""Equal failures that the rate drops one upon the other: each is counted and remembered as if it were judged alone."""

import contextlib
import random

import pytest
from support import Watch, module, monitor

from agent.measure.tallies import Tallies
from agent.observe.around import people, work
from agent.observe.call import limits
from agent.observe.failure import bursts

SHOP = """
class Stock(Exception): pass
class Slotted(Stock):
    __slots__ = ()
def reserve(how):
    if how == "here": raise Stock(how)
    if how == "there": raise Stock(how)
    if how == "slotted": raise Slotted(how)
    if how == "built-in": raise KeyError(how)
    if how == "no failure": raise LookupError(how)
    if how == "below": return helper(how)
    if how == "deep": return deep(3)
    if how == "the same": raise SINGLE
    if how == "from": raise Stock(how) from KeyError(how)
    if how == "group": raise GROUP("two", [Stock(how), KeyError(how)])
    return how
def helper(how): raise Stock(how)
def deep(n): return deep(n - 1) if n else helper(n)
def order(how): return reserve(how)
def forgets(how):
    try: return reserve(how)
    except Exception as error: raise error.with_traceback(None)
SINGLE = Stock("one object for all")
GROUP = __builtins__.get("ExceptionGroup", None) or Stock
"""
WAYS = ["here", "there", "slotted", "built-in", "no failure", "below", "deep", "the same", "from", "group", "fine"]


pytestmark = pytest.mark.usefixtures("no_shop_left")


def watched(monkeypatch, clock, *monitors):
    monkeypatch.setattr(limits, "monotonic", clock)
    monkeypatch.setattr(limits.Limiter.__init__, "__defaults__", (1.0, clock, lambda: 0.5, limits.HANDFUL))
    shop = module(SHOP)
    watch = Watch(*monitors)
    watch.clock = clock
    watch.tallies = Tallies(clock=clock)
    return shop, watch.apply(shop)


def outcome(monkeypatch, seed, *, possible):
    """All that can be seen of some hundred calls, in which most failures are dropped."""
    monkeypatch.setattr(bursts, "POSSIBLE", possible and bursts.POSSIBLE)
    chance = random.Random(seed)
    now = [1000.0]
    monkeypatch.setattr("agent.base.clocks.time", lambda: now[0])
    shop, watch = watched(
        monkeypatch,
        lambda: now[0],
        monitor("shop.reserve", rate_limit=(2, 10.0), expect=["LookupError"], errors={"KeyError": "warning"}),
        monitor("shop.order", rate_limit=(2, 10.0)),
        monitor("shop.forgets", rate_limit=(30, 10.0)),
    )
    kept = []
    for _ in range(300):
        call = chance.choice([shop.reserve, shop.reserve, shop.order, shop.forgets])
        how = chance.choice(WAYS)
        if chance.random() < 0.05:
            monkeypatch.setitem(people.current, "test", lambda: {"id": 7})
        for _ in range(chance.choice([1, 3, 40])):
            try:
                call(how)
            except Exception as error:
                if chance.random() < 0.1:
                    kept.append(error)
            now[0] += chance.choice([0.0, 0.001])
        now[0] += chance.choice([0.0, 0.0, 1.0, 20.0])
    monkeypatch.delitem(people.current, "test", raising=False)
    tallies = {tally.operation: list(tally.row) for tally in watch.tallies.all()}
    reports = [
        (one.report, one.operation, type(one.exception).__name__, one.severity, one.suppressed)
        for one in watch.observed
    ]
    return reports, watch.counted, tallies


@pytest.mark.parametrize("seed", range(5))
def test_what_is_seen_of_a_burst_is_what_would_be_seen_of_single_failures(monkeypatch, seed):
    with monkeypatch.context() as patched:
        single = outcome(patched, seed, possible=False)
    with monkeypatch.context() as patched:
        assert outcome(patched, seed, possible=True) == single
    assert single[1]["rate", "shop.reserve"] > 1000


def drops(monkeypatch):
    """The calls of `Burst.drops`: what each returned."""
    found = []
    usual = bursts.Burst.drops
    monkeypatch.setattr(bursts.Burst, "drops", lambda *given: found.append(usual(*given)) or found[-1])
    return found


def failing(call, how):
    with contextlib.suppress(Exception):
        call(how)


@pytest.mark.skipif(not bursts.POSSIBLE, reason="before Python 3.10 each failure is judged by itself")
def test_the_third_of_a_burst_is_not_judged(monkeypatch):
    seen = drops(monkeypatch)
    shop, watch = watched(monkeypatch, lambda: 1000.0, monitor("shop.reserve", rate_limit=(1, 60.0)))
    for _ in range(5):
        failing(shop.reserve, "deep")
    assert seen == [True, True, True]
    assert len(watch.observed) == 1
    assert watch.counted == {("rate", "shop.reserve"): 4}


@pytest.mark.skipif(not bursts.POSSIBLE, reason="before Python 3.10 each failure is judged by itself")
def test_one_of_a_burst_is_reported_by_no_call_further_out(monkeypatch):
    seen = drops(monkeypatch)
    shop, watch = watched(
        monkeypatch, lambda: 1000.0, monitor("shop.reserve", rate_limit=(1, 60.0)), monitor("shop.forgets")
    )
    for _ in range(5):
        failing(shop.forgets, "here")
    assert seen == [True, True, True]
    assert [one.function for one in watch.observed] == ["shop.reserve"]


@pytest.mark.skipif(not bursts.POSSIBLE, reason="before Python 3.10 each failure is judged by itself")
def test_a_burst_ends_when_there_is_a_token(monkeypatch):
    now = [1000.0]
    shop, watch = watched(monkeypatch, lambda: now[0], monitor("shop.reserve", rate_limit=(1, 60.0)))
    for _ in range(5):
        failing(shop.reserve, "here")
    now[0] += 61.0
    failing(shop.reserve, "here")
    assert [one.suppressed for one in watch.observed] == [0, 4]


@pytest.mark.skipif(not bursts.POSSIBLE, reason="before Python 3.10 each failure is judged by itself")
def test_one_that_a_task_declares_is_none_of_the_burst(monkeypatch):
    shop, watch = watched(monkeypatch, lambda: 1000.0, monitor("shop.reserve", rate_limit=(1, 60.0)))
    for _ in range(5):
        failing(shop.reserve, "here")
    monkeypatch.setattr(work, "declares", lambda kind: kind is shop.Stock)
    failing(shop.reserve, "here")
    assert watch.counted == {("rate", "shop.reserve"): 4, ("expected", "shop.reserve"): 1}
