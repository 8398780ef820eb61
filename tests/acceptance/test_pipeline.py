"""From PYTHONPATH to an envelope on disk, in processes of their own that know nothing of the agent."""

import json

from acceptance.host import summary

SHOP = """
import time
class OutOfStock(Exception): pass
def reserve(sku, quantity):
    if quantity > 5: raise OutOfStock("only 5 of %s" % sku)
    return {"status": "rejected" if sku == "bad" else "ok"}
def order(customer, sku, quantity):
    return reserve(sku, quantity)
def slow():
    time.sleep(0.02)
"""

MAIN = """
from shop import OutOfStock, order, slow
print(order(7, "chair", 1))
try: order(7, "chair", 9)
except OutOfStock as error: print("caught", error)
order(7, "bad", 1)
slow()
"""

MONITORS = """
version: 1
modules: {sales: {description: Sales, owner: sales-team}}
monitors:
  - {target: shop.order, module: sales, operation: create_order, threshold: 20s}
  - target: shop.reserve
    module: sales
    operation: reserve
    capture: {quantity: quantity, sku: sku}
    rules: [{when: 'result["status"] == "rejected"', message: "Order of {sku} rejected", severity: warning}]
  - {target: shop.slow, module: sales, operation: slow, threshold: 10ms}
"""


def test_errors_slow_calls_and_rules_of_an_untouched_host(host):
    host.write(shop__py=SHOP, main__py=MAIN, monitors__yaml=MONITORS)
    done = host.run("main.py")
    assert done.stdout == "{'status': 'ok'}\ncaught only 5 of chair\n"
    assert done.stderr == ""
    events = host.events()
    assert [summary(event) for event in events] == [
        ("error", "reserve", "error"),
        ("rule", "reserve", "warning"),
        ("slow", "slow", "warning"),
    ]
    error = events[0]
    assert error["tags"]["erp.module"] == "sales"
    assert error["tags"]["erp.kind"] == "function"
    assert error["tags"]["erp.monitor"] == "reserve"
    assert error["contexts"]["erp"]["operations"] == ["create_order", "reserve"]
    assert error["contexts"]["erp"]["captured"] == {"quantity": 9, "sku": "chair"}
    assert error["exception"]["values"][-1]["type"] == "OutOfStock"
    functions = [frame["function"] for frame in error["exception"]["values"][-1]["stacktrace"]["frames"]]
    assert functions == ["<module>", "order", "reserve"]
    assert "vars" not in json.dumps(error)
    assert events[1]["logentry"]["formatted"] == "Order of bad rejected"
    assert events[2]["contexts"]["erp"]["threshold_ms"] == 10


def test_the_second_process_reads_the_compiled_plan(host):
    host.write(shop__py=SHOP, main__py="import sys, shop; print('yaml' in sys.modules, 'jsonschema' in sys.modules)",
               monitors__yaml=MONITORS)  # fmt: skip
    assert host.run("main.py").stdout == "False False\n"
    (plan,) = host.state.glob("plan-*.bin")
    made = plan.stat().st_mtime_ns
    assert host.run("main.py").stdout == "False False\n"
    assert plan.stat().st_mtime_ns == made
    host.config.write_text(MONITORS.replace("10ms", "11ms"), encoding="utf-8")
    host.run("main.py")
    assert plan.stat().st_mtime_ns != made


def test_a_process_that_imports_no_target_leaves_its_plan_and_who_made_it(host):
    host.write(shop__py=SHOP, monitors__yaml=MONITORS)
    host.run("-c", "import json")
    (plan,) = host.state.glob("plan-*.bin")
    assert {path.name for path in host.state.iterdir()} == {plan.name, "compiler"}


def test_output_exit_codes_and_tracebacks_are_the_hosts_own(host):
    host.write(
        shop__py=SHOP,
        monitors__yaml=MONITORS,
        fails__py="import shop\nshop.order(1, 'chair', 9)\n",
        exits__py="import shop, sys\nshop.order(1, 'chair', 1)\nsys.exit(3)\n",
    )
    import sys

    for program in ("fails.py", "exits.py"):
        bare = host.run(program, agent=False, check=False)
        under = host.run(program, check=False)
        assert under.returncode == bare.returncode
        assert under.stdout == bare.stdout
        if sys.version_info >= (3, 11):
            assert under.stderr == bare.stderr
        else:
            assert under.stderr.splitlines()[-1:] == bare.stderr.splitlines()[-1:]
    assert [summary(event) for event in host.events()] == [("error", "reserve", "error")]


def test_forked_and_spawned_children_report_for_themselves(host):
    host.write(
        shop__py=SHOP,
        monitors__yaml=MONITORS,
        work__py="import shop, os\ndef work(n):\n  try: shop.reserve('from-%d' % n, 9)\n  except shop.OutOfStock: return os.getpid()\n",
        main__py=(
            "import multiprocessing, sys, work\n"
            "if __name__ == '__main__':\n"
            "  c = multiprocessing.get_context(sys.argv[1])\n"
            "  with c.Pool(2) as pool: pool.map(work.work, range(4))\n"
        ),
        exits__py="import os, shop\nif os.fork() == 0:\n  try: shop.reserve('child', 9)\n  except Exception: os._exit(0)\nos.wait()\n",
    )
    for method in ("fork", "spawn", "forkserver"):
        before = len(host.events())
        host.run("main.py", method)
        new = host.events()[before:]
        assert sorted(event["contexts"]["erp"]["captured"]["sku"] for event in new) == [f"from-{n}" for n in range(4)]
    before = len(host.events())
    host.run("exits.py")
    (event,) = host.events()[before:]
    assert event["contexts"]["erp"]["captured"]["sku"] == "child"


def test_status_says_what_became_of_each_monitor(host):
    host.write(
        shop__py=SHOP, main__py=MAIN,
        monitors__yaml=MONITORS
        + "  - {target: shop.nothing, module: sales, operation: a}\n"
        + "  - {target: shop.OutOfStock, module: sales, operation: b}\n"
        + "  - {target: other.thing, module: sales, operation: c}\n",
    )  # fmt: skip
    host.run("main.py")
    (process,) = host.status()
    assert process["program"] == "main.py"
    assert {row["target"] for row in process["patched"]} == {"shop.order", "shop.reserve", "shop.slow"}
    assert [(row["target"], row["note"]) for row in process["waiting"]] == [
        ("shop.nothing", "shop has no attribute 'nothing'")
    ]
    assert process["failed"][0]["target"] == "shop.OutOfStock"
    assert "name one of its methods" in process["failed"][0]["note"]
    counts = {(row["reason"], row["what"]): row["number"] for row in process["counts"]}
    assert counts == {("captured", "reserve"): 2, ("captured", "slow"): 1}
    text = host.agent("status")
    assert text.returncode == 1
    assert "shop.nothing" in text.stdout
    assert "shop.OutOfStock" in text.stdout
    assert "other.thing" not in text.stdout  # its module has not been imported, which is no problem
    assert "other.thing" in host.agent("status", "--all").stdout


def test_reload_keeps_the_patch(host):
    host.write(
        shop__py=SHOP, monitors__yaml=MONITORS,
        main__py="import importlib, shop\nimportlib.reload(shop)\ntry: shop.reserve('x', 9)\nexcept shop.OutOfStock: pass\n",
    )  # fmt: skip
    host.run("main.py")
    assert [summary(event) for event in host.events()] == [("error", "reserve", "error")]


def test_a_slow_call_reports_where_it_was_called_from(host):
    host.write(shop__py=SHOP, main__py=MAIN, monitors__yaml=MONITORS)
    host.run("main.py")
    slow = host.events()[2]
    frames = slow["threads"]["values"][0]["stacktrace"]["frames"]
    assert frames[-1]["filename"] == "main.py"
