"""A threshold that is learned from what a running process has counted, and counts there without a restart."""

from acceptance.running import Running

SHOP = "import time\ndef order(seconds): time.sleep(seconds)\n"
LOOP = """
import os, time
import shop
for _ in range(300): shop.order(0.001)
print("counted", flush=True)
while not os.path.exists("slow"):
    shop.order(0.001)
    time.sleep(0.05)
shop.order(0.6)
print("slow", flush=True)
time.sleep(600)
"""
MONITORS = """
version: 1
modules: {sales: {}}
monitors: [{target: shop.order, module: sales, operation: order, threshold: {auto: {floor: 100ms}}}]
"""


def test_what_is_learned_counts_in_the_process_that_counted_it(host):
    host.write(shop__py=SHOP, loop__py=LOOP, monitors__yaml=MONITORS)
    with Running(host, "loop.py") as process:
        process.wait_for("counted")
        explained = host.agent("explain", "order").stdout
        assert "order: when the call takes longer than 100ms (p95 * 3 (floor 100ms): " in explained, explained
        assert "of which it would have reported 0" in explained
        done = host.agent("reload", "--timeout", "60")
        assert done.returncode == 0, done.stdout + done.stderr
        host.write(slow="")
        process.wait_for("slow")
        (event,) = host.events()
    assert (event["tags"]["erp.report"], event["level"]) == ("slow", "warning")
    assert event["contexts"]["erp"]["threshold_ms"] == 100
