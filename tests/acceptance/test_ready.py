"""What a report needs is there before it is needed: a module, a descriptor, memory may not be there any more then."""

import os
import shutil

import pytest
from acceptance.host import ROOT, other_pythons

MONITORS = """
version: 1
modules: {m: {description: M}}
defaults: {rate_limit: off, budget: off}
monitors:
  - {target: shop.fail, module: m, operation: fail, capture: {x: x}}
  - {target: shop.slow, module: m, operation: slow, threshold: 1ms}
  - {target: shop.rule, module: m, operation: rule, rules: [{when: result > 1, message: too much}]}
  - {target: shop.audit, module: m, operation: audit, audit: true}
"""
SHOP = """
import time
def fail(x=1): raise ValueError(x)
def slow(): time.sleep(0.002)
def rule(): return 2
def audit(): return 1
def hungry(size):
    rows = []
    while True: rows.append(bytearray(size))
"""
#: The names of what each report imports.
MAIN = """
import logging, sys, threading, time  # what a host with threads and a log has
import shop
from agent import capture_business_logic_error, capture_erp_error, capture_performance_issue
def caught():
    try: shop.fail()
    except ValueError as error: return error
def by_hand():
    try: {}["x"]
    except KeyError as error: capture_erp_error(error)
first = sys.argv[1]
reports = {
    "error": caught, "slow": shop.slow, "rule": shop.rule, "audit": shop.audit, "by hand": by_hand,
    "broken rule": lambda: capture_business_logic_error("stock is {n}", data={"n": -1}),
    "slow work": lambda: capture_performance_issue("sync", 5.0),
}
agent = sys.modules["_erp_agent.boot.bootstrap"].current
agent._look_at = 0.0  # a look at the budgets is due, as it is a second later
agent._look_from = float("inf")  # following the configuration is loaded later still, where the files are there
known = set(sys.modules)
reports[first]()
print(sorted(set(sys.modules) - known))
"""
KINDS = ["error", "slow", "rule", "audit", "by hand", "broken rule", "slow work"]


@pytest.mark.parametrize("dsn", [None, "http://key@127.0.0.1:9/1"], ids=["no DSN", "DSN"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_first_report_imports_nothing(host, kind, dsn):
    host.write(shop__py=SHOP, monitors__yaml=MONITORS, main__py=MAIN)
    done = host.run("main.py", kind, SENTRY_DSN=dsn)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert len(host.envelopes()) == 1


@pytest.mark.parametrize("python", other_pythons())
def test_a_first_report_imports_nothing_on_other_versions(host, python):
    host.python = python
    host.write(shop__py=SHOP, monitors__yaml=MONITORS, main__py=MAIN)
    done = host.run("main.py", "error", SENTRY_DSN="http://key@127.0.0.1:9/1")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_process_that_monitors_nothing_loads_nothing_of_it(host):
    host.write(shop__py=SHOP, monitors__yaml=MONITORS)
    host.run("-c", "import json")
    code = "import json, sys; print([name for name in sys.modules if name.startswith('_erp_agent.')])"
    assert eval(host.run("-c", code).stdout) == [
        f"_erp_agent.{part}" for part in ("base", "boot", "base.places", "boot.start", "boot.lookout")
    ]


def test_without_a_descriptor_to_be_had_nothing_is_lost(host):
    host.write(
        shop__py=SHOP, monitors__yaml=MONITORS,
        main__py="import os, resource, shop\n"
        "def fail(x):\n  try: shop.fail(x)\n  except ValueError: print(x)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\nheld = []\n"
        "try:\n  while True: held.append(os.open(os.devnull, os.O_RDONLY))\nexcept OSError: pass\n"
        "fail(1); fail(2)\n"
        "for each in held: os.close(each)\n"
        "fail(3)\nprint(len(os.listdir('/proc/self/fd')))\n",
    )  # fmt: skip
    done, plain = host.run("main.py"), host.run("main.py", agent=False)
    assert (done.stdout, done.stderr) == (plain.stdout, plain.stderr)
    events = host.events()
    assert [event["contexts"]["erp"]["captured"] for event in events] == [{"x": 1}, {"x": 2}, {"x": 3}]
    frames = [event["exception"]["values"][0]["stacktrace"]["frames"][-1] for event in events]
    assert "context_line" not in frames[0]
    assert frames[2]["context_line"].strip() == "def fail(x=1): raise ValueError(x)", "source is found again"


@pytest.mark.parametrize("size", [30_000_000, 1_000_000, 3_000])
def test_without_memory_a_report_is_still_made(host, size):
    host.write(
        shop__py=SHOP, monitors__yaml=MONITORS.replace("shop.audit,", "shop.hungry,"),
        main__py="import resource, shop, sys\nresource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))\n"
        "for _ in range(3):\n  try: shop.hungry(int(sys.argv[1]))\n  except MemoryError: print('MemoryError')\n",
    )  # fmt: skip
    done = host.run("main.py", str(size))
    assert (done.stdout, done.stderr) == ("MemoryError\n" * 3, "")
    events = host.events()
    assert [event["exception"]["values"][-1]["type"] for event in events] == ["MemoryError"] * 3
    (process,) = host.status()
    assert {each["reason"] for each in process["counts"]} == {"captured"}


def test_after_the_agents_files_were_removed(host, tmp_path):
    """As an upgrade does, before the first report."""
    folder = tmp_path / "ours"
    folder.mkdir()
    shutil.copytree(ROOT / "agent", folder / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "schema", folder / "schema")
    shutil.copy(ROOT / "sitecustomize.py", folder)
    host.write(
        shop__py=SHOP, monitors__yaml=MONITORS,
        main__py="import os, shop, shutil, sys\n"
        "if 'SENTRY_DSN' in os.environ:  # it is time to look for a changed configuration, too\n"
        "    agent = sys.modules['_erp_agent.boot.bootstrap'].current\n"
        "    agent._look_at = agent._look_from = 0.0\n"
        f"shutil.rmtree({str(folder)!r})\n"
        "try: shop.fail()\nexcept ValueError: print('as always')\n",
    )  # fmt: skip
    for dsn in (None, "http://key@127.0.0.1:9/1"):
        if not folder.exists():
            shutil.copytree(ROOT / "agent", folder / "agent", ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copytree(ROOT / "schema", folder / "schema")
            shutil.copy(ROOT / "sitecustomize.py", folder)
        done = host.run("main.py", PYTHONPATH=str(folder), SENTRY_DSN=dsn, PYTHONDONTWRITEBYTECODE="1")
        assert (done.stdout, done.stderr) == ("as always\n", "")
    assert len(host.events()) == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root changes its root folder")
def test_after_a_chroot(host, tmp_path):
    """What cannot be kept where it was to be is kept where the same path leads now."""
    jail = tmp_path / "jail"
    jail.mkdir()
    host.write(
        shop__py=SHOP, monitors__yaml=MONITORS,
        main__py=f"import os, shop\nos.chroot({str(jail)!r})\nos.chdir('/')\n"
        "try: shop.fail()\nexcept ValueError: print('as always')\n",
    )  # fmt: skip
    done = host.run("main.py")
    assert (done.stdout, done.stderr) == ("as always\n", "")
    assert len(list(jail.rglob("*.envelope"))) == 1


FORKS = """
import os, random, signal, sys, threading, time, warnings
warnings.simplefilter("ignore")
stop = []
def price(name):
    try: __import__(name).fail()
    except ValueError: pass
if sys.argv[1] == "reports": import shop
def work():
    while not stop: price("shop")
threads = [threading.Thread(target=work) for _ in range(3)]
for each in threads: each.start()
hung = 0
for _ in range(8):
    time.sleep(random.random() * 0.002)
    child = os.fork()
    if not child:
        signal.alarm(10)
        price("shop" if sys.argv[1] == "reports" else "other")
        os._exit(0)
    hung += os.waitpid(child, 0)[1] != 0
stop.append(1)
for each in threads: each.join()
print(hung)
"""


@pytest.mark.parametrize("what", ["reports", "imports"])
def test_a_fork_at_any_moment_leaves_a_child_that_reports(host, what):
    """Also where another thread is in the first import that is monitored, or in the first report."""
    targets = MONITORS.replace("target: shop.audit,", "target: other.fail,")
    host.write(shop__py=SHOP, other__py=SHOP, monitors__yaml=targets, main__py=FORKS)
    for _ in range(3):
        done = host.run("main.py", what)
        assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_long_row_of_events_never_lists_the_spool_on_the_hosts_thread(host):
    host.write(
        shop__py=SHOP,
        monitors__yaml=MONITORS + "delivery: {spool: {max_files: 50}}\n",
        main__py="import os, shop, threading\nmine, listed, scandir = threading.get_ident(), [], os.scandir\n"
        "def seen(*given):\n  listed.append(threading.get_ident() == mine)\n  return scandir(*given)\n"
        "os.scandir = seen\n"
        "for _ in range(300):\n  try: shop.fail()\n  except ValueError: pass\nprint(any(listed))\n",
    )  # fmt: skip
    assert host.run("main.py").stdout == "False\n"
    left = len(host.envelopes())
    (process,) = host.status()
    counts = {(each["reason"], each["what"]): each["number"] for each in process["counts"]}
    counts.pop(("slow-disk", "spool"), None)  # of this machine, when others write as well
    assert left == 50, "to the last one"
    assert counts == {("captured", "fail"): 300, ("spool-full", "error"): 250}


def test_logging_that_is_still_being_loaded_is_followed_from_the_next_import_on(host):
    """Another thread may be half-way through it while this one imports what is monitored."""
    host.write(
        shop__py=SHOP, other__py=SHOP, monitors__yaml=MONITORS.replace("shop.audit,", "other.fail,"),
        main__py="import sys, types\nsys.modules['logging'] = types.ModuleType('logging')\nimport shop\n"
        "del sys.modules['logging']\nimport logging, other\nlogging.getLogger().addHandler(logging.NullHandler())\n"
        "logging.warning('sold %s', 1)\ntry: shop.fail()\nexcept ValueError: print('as always')\n",
    )  # fmt: skip
    done = host.run("main.py", SENTRY_DSN="http://key@127.0.0.1:9/1")
    assert (done.stdout, done.stderr) == ("as always\n", "")
    (event,) = host.events()
    assert [each["message"] for each in event["breadcrumbs"]["values"]] == ["sold %s"]
