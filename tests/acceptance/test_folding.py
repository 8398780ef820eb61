"""Counts become history without a DSN: a courier folds what processes have counted, and removes the files of the dead."""

import pytest
from acceptance.running import wait_until
from measure.writing import ENDED, Process

from agent.measure.figures import Figures

SHOP = "def order(n):\n    if n == 0: raise ValueError(n)\n    return n\n"
CONFIG = """
version: 1
modules: {sales: {}}
monitors: [{target: shop.order, name: order, module: sales, operation: create_order}]
"""
CALLS = """
import os, shop
for n in range(5):
    try: shop.order(n)
    except ValueError: pass
print(len(os.listdir("/proc/self/task")))
"""


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, monitors__yaml=CONFIG, main__py=CALLS)
    host.run("-c", "pass")
    # Somebody has counted long ago: it is time to fold.
    earlier = Process(host.state, pid=ENDED)
    earlier.count("order", 0.5, operation="create_order")
    earlier.write()
    return host


def files(host):
    return sorted(path.name for path in (host.state / "counts").glob("*.[cn]*"))


def totals(host):
    found = {}
    for key, counts in Figures(str(host.state)).totals().items():
        calls, failures = found.get(key.operation, (0, 0))
        found[key.operation] = calls + counts.calls, failures + counts.failures
    return found


def test_without_a_dsn_a_courier_folds_and_ends_and_the_host_has_no_thread(shop):
    done = shop.run("main.py")
    assert done.stdout == "1\n"
    assert totals(shop) == {"create_order": (6, 1)}
    wait_until(lambda: not files(shop))
    assert totals(shop) == {"create_order": (6, 1)}
    assert sum(counts.calls for counts in Figures(str(shop.state)).window(600).values()) == 6
    wait_until(lambda: not shop.couriers())
    assert Figures(str(shop.state)).problems() == []


def test_where_no_courier_may_be_a_process_that_lives_on_folds_and_others_leave_it(shop):
    shop.write(monitors__yaml=CONFIG + "delivery: {courier: false}\n")
    shop.run("main.py")
    assert len(files(shop)) == 4
    shop.write(
        lives__py=(
            "import _erp_agent.measure.tallies as tallies\ntallies._MINUTE = 0.0\n"
            "import os, shop\nnumber = 0\n"
            "while len(os.listdir(os.environ['COUNTS'])) > 3:\n    number += 1\n    shop.order(1)\n"
            "print(number)\n"
        )
    )
    number = int(shop.run("lives.py", COUNTS=str(shop.state / "counts")).stdout)
    assert shop.couriers() == []
    assert len(files(shop)) == 2
    assert totals(shop) == {"create_order": (6 + number, 1)}
    assert sum(counts.calls for counts in Figures(str(shop.state)).window(600).values()) == 6 + number
