"""A time limit that the host raises strikes in the agent's code, wherever that is: it ends what it was to end."""

import json
import sys

import pytest
from acceptance.host import summary

SHOP = """
import logging, os, time
log = logging.getLogger("shop")

def book(order, lines=()):
    raise ValueError("no stock")

def price(n):
    return n

def pay(n):
    log.info("paying %d", n)
    time.sleep(0.002)
    return {"paid": n}

def export(n):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return n
"""
MONITORS = """
version: 1
modules: {sales: {}}
defaults: {rate_limit: off, budget: off}
sentry: {dsn: "http://k@127.0.0.1:9/1"}
monitors:
  - {target: shop.book, module: sales, capture: {order: order.id, lines: len(lines)}}
  - {target: shop.price, module: sales, rules: [{when: result > 100, message: dear}]}
  - {target: shop.pay, module: sales, threshold: 1ms, capture: [n]}
  - {target: shop.export, module: sales, threshold: 30s}
  - {target: late.f, module: sales}
"""

WORK = """
import collections, json, logging, os, sys, threading, time
import shop
logging.getLogger("shop").addHandler(logging.NullHandler())  # others swallow an exception themselves
logging.getLogger("shop").propagate = False
logging.getLogger("shop").setLevel(logging.INFO)

class Limit(Exception):
    pass

class Order:
    id = 7

def book():
    try:
        shop.book(Order(), [1, 2])
    except ValueError:
        pass

def late():
    sys.modules.pop("late", None)
    import late

WORK = {"book": book, "price": lambda: shop.price(101), "pay": lambda: shop.pay(3), "export": lambda: shop.export(3),
        "log": lambda: shop.log.info("n %d", 3), "late": late}
for work in [*WORK.values(), *WORK.values()]:
    work()

def goes_on_well():
    done = []
    def again():
        for work in WORK.values():
            work()
        done.append(True)
    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    thread.join(30)
    return bool(done)
"""

#: Lines and calls of the agent's code are struck in turn, by a trace function.
TRACED = """
here = sys.modules["_erp_agent"].__path__[0]

def trace(work, met):
    def tracer(frame, event, _):
        if not frame.f_code.co_filename.startswith(here):
            return None
        if event in ("call", "line"):
            met(frame, event)
        return tracer
    sys.settrace(tracer)
    try:
        work()
    finally:
        sys.settrace(None)

ended, swallowed = collections.Counter(), []
for name, work in WORK.items():
    places = {}
    trace(work, lambda frame, event: places.setdefault((frame.f_code, frame.f_lineno, event)))
    for code, line, event in list(places)[:: 1 + len(places) // 40]:
        struck = []
        def strike(frame, seen):
            if not struck and seen == event and frame.f_code is code and frame.f_lineno == line:
                struck.append(True)
                raise Limit
        try:
            trace(work, strike)
        except Limit:
            ended[name] += 1
        else:
            if struck:
                swallowed.append("%s: %s:%d %s" % (name, code.co_filename[len(here):], line, event))
print(json.dumps([ended, swallowed, goes_on_well()]))
"""

#: As job queues do it: each job is to end when the alarm rings, after a few milliseconds. Python's own code around a fork
#: and an import leaves locks taken where a signal strikes there, so that only what needs none of it goes on.
#:
#: A busy machine delivers the signal late: only what comes after it tells whether it was swallowed. The loop is a function,
#: because on 3.13 a signal that strikes where a loop begins again passes the `except` clause of the same function.
RUNG = """
import signal

for name in ("export", "late"):
    del WORK[name]

rung = []
def ring(number, frame):
    rung.append(number)
    raise Limit

def until_it_rings(work):
    until = time.monotonic() + 60
    while not rung and time.monotonic() < until:
        work()

signal.signal(signal.SIGALRM, ring)
ended, swallowed = collections.Counter(), []
for number in range(200):
    name, work = list(WORK.items())[number % len(WORK)]
    rung.clear()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001 + number % 17 / 5000)
        until_it_rings(work)
        swallowed.append(name)
    except Limit:
        ended[name] += 1
print(json.dumps([ended, swallowed, goes_on_well()]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and signals")
@pytest.mark.parametrize("strikes", [TRACED, RUNG], ids=["traced", "rung"])
def test_wherever_it_strikes_it_goes_on_and_the_next_calls_are_reported_as_ever(host, strikes):
    host.write(shop__py=SHOP, late__py="def f():\n    pass\n", monitors__yaml=MONITORS, main__py=WORK + strikes)
    done = host.run("main.py", AGENT_TESTING="0")
    ended, swallowed, well = json.loads(done.stdout)
    # Where a hook that runs before a fork begins, of root's or up to 3.10, a tracer strikes, a signal hardly.
    begins = ("/start.py:",) if sys.version_info >= (3, 11) else ("/start.py:", "/postponed.py:")
    assert not [each for each in swallowed if not any(where in each for where in begins)]
    assert well
    assert {"book", "price", "pay", "log"} <= set(ended)
    assert sum(ended.values()) > 100
    assert "internal error" not in done.stderr
    reports = {summary(event)[1] for event in host.events()}
    assert {"book", "price", "pay"} <= reports
