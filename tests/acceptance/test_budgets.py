"""A real process in which a monitor would cost more than its budget: a rule of 10 ms, and a function called in a loop."""

import pytest

from agent.measure.figures import Figures

SHOP = """
import time
class Order:
    @property
    def total(self):
        global evaluated
        evaluated += 1
        time.sleep(0.01)
        return 1
evaluated = 0
ORDER = Order()
def ruled(order): return order
def tiny(): pass
"""
MAIN = """
import time
import shop
def until_exchanged(function, number, *arguments):
    code, end, calls = function.__code__, time.monotonic() + 40, 0
    while function.__code__ is code and time.monotonic() < end:
        for _ in range(number): function(*arguments)
        calls += number
    return calls
until_exchanged(shop.tiny, 100_000)
calls = until_exchanged(shop.ruled, 1, shop.ORDER) + 60_000
before = shop.evaluated
for _ in range(60_000): shop.ruled(shop.ORDER)
print(before, shop.evaluated - before, calls)
"""
MONITORS = """
version: 1
budget: 0.5%
monitors:
  - {target: shop.tiny, threshold: off}
  - {target: shop.ruled, rules: [{when: order.total < 0, message: never}]}
"""


@pytest.mark.slow(reason="the agent waits for seconds before it believes what it measures")
@pytest.mark.parametrize("injection", ["1", "0"])
def test_what_costs_too_much_is_taken_out_and_its_rule_is_evaluated_no_more(host, injection):
    host.write(shop__py=SHOP, main__py=MAIN, monitors__yaml=MONITORS)
    done = host.run("main.py", AGENT_INJECTION=injection)
    assert "agent:" not in done.stderr, done.stderr
    before, afterwards, calls = map(int, done.stdout.split())
    assert before > 0
    assert afterwards == 0, "each takes 10 ms"
    events = [event for event in host.events() if event["tags"]["erp.report"] == "budget"]
    assert {event["tags"]["erp.monitor"] for event in events} == {"ruled", "tiny"}
    assert len(events) == 2
    words = {event["tags"]["erp.monitor"]: event["logentry"]["formatted"] for event in events}
    assert "of this process's time (budget 0.5%): successes are only counted until " in words["ruled"]
    assert "of this process's time (budget 0.5%): only failures are reported and counted until " in words["tiny"]
    counted = {key.monitor: counts for key, counts in Figures(str(host.state)).totals().items()}
    assert (counted["ruled"].calls, counted["ruled"].uncounted) == (calls, 0)
    assert counted["tiny"].uncounted > 0
    (process,) = host.status()
    assert {each["monitor"] for each in process["reduced"]} == {"ruled", "tiny"}
    assert sum(problem.startswith(("ruled: cost", "tiny: cost")) for problem in process["problems"]) == 2
