"""A host's tests replace Python's clocks, as freezegun does: what the agent reads must not be seen there, nor be false."""

import time

SHOP = """
def fail(): raise ValueError("x")
def work(n): return n
"""
LATE = """
from shop import fail
def late(): return fail()
"""
MONITORS = """
version: 1
modules: {sales: {}}
sentry: {traces_sample_rate: 1.0}
monitors:
  - {target: shop.fail, module: sales, operation: fail}
  - {target: shop.work, module: sales, operation: work, threshold: 1h, span: always, rules: [{when: result == 7, message: Seven}]}
  - {target: late.late, module: sales, operation: late}
"""
#: Each look at a clock is noted, and takes an hour.
MAIN = """
import sys, time
import shop

def replaced(name, real):
    def clock():
        looks.append(name)
        return type(real())(3600 * len(looks))
    return clock

looks = []
new = {id(getattr(time, name)): replaced(name, getattr(time, name)) for name in ("monotonic", "perf_counter", "time")}
for module in list(sys.modules.values()):
    for name, value in list(vars(module).items()):
        if id(value) in new:
            setattr(module, name, new[id(value)])

import late  # what is imported now finds the replaced ones
for n in range(20):
    shop.work(n)
    for fails in shop.fail, late.late:
        try: fails()
        except ValueError: pass
print(time.time(), time.monotonic(), looks)
"""


def test_a_clock_that_advances_when_it_is_read_advances_as_without_the_agent(host):
    host.write(shop__py=SHOP, late__py=LATE, main__py=MAIN, monitors__yaml=MONITORS)
    bare = host.run("main.py", agent=False)
    began = time.time()
    watched = host.run("main.py", SENTRY_DSN="http://public@127.0.0.1:9/42")
    assert bare.stdout == "3600.0 7200.0 ['time', 'monotonic']\n"
    assert (watched.stdout, watched.stderr) == (bare.stdout, "")
    events = {event["tags"]["erp.operation"]: event for event in host.events() if "erp.operation" in event["tags"]}
    assert set(events) == {"fail", "work"}
    assert events["work"]["tags"]["erp.kind"] != "slow", "an hour has passed on the replaced clock alone"
    for event in events.values():
        assert began <= event["timestamp"] <= time.time()
