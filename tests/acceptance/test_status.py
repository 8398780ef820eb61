"""`status` is true: of processes that run and have ended, by the plan that each runs, and of those that it cannot see."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from host import ROOT
from receiver import Receiver
from running import Running

CONFIG = """version: 1
modules: {sales: {}}
sentry: {metrics: true}
context: [{name: tenant, target: tenancy.current, read: {name: result.name}}]
monitors:
  - {target: shop.fail, module: sales, operation: fail, expect: [ValueError]}
  - {target: shop.other, module: sales, operation: other, rules: [{when: "result.statu == 'bad'", message: never}]}
  - {target: shop.broken, module: sales, operation: broken, capture: {size: len(number), number: number}}
"""
SHOP = """
def fail(): raise ValueError("everyday")
class Order: status = "bad"
def other(): return Order()
def broken(number): raise KeyError(number)
"""
IDLE = """
import sys, time, shop, tenancy
for _ in range(60):
    try: shop.fail()
    except ValueError: pass
for _ in range(3): shop.other()
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, tenancy__py="def current(request): ...", monitors__yaml=CONFIG, waits__py=IDLE)
    return host


def status(host, *arguments, code=0, **extra):
    done = host.agent("status", *arguments, **extra)
    assert done.returncode == code, (done.stdout, done.stderr)
    return json.loads(done.stdout)["processes"] if "json" in arguments else done.stdout


def test_an_idle_process_is_told_of_and_so_is_that_it_runs_an_older_plan(shop):
    with Running(shop, "waits.py") as running:
        running.wait_for("ready")
        shown = status(shop, code=1)
        assert "warning: other, when result.statu == 'bad': failed 3 times, last: AttributeError: 'Order'" in shown
        assert f"(waits.py {running.pid}) [expression-failed]" in shown
        assert "3 patched, 0 waiting, 0 failed; 0 reported, 60 expected" in status(shop, "--processes", code=1)
        assert "older plan" not in shown

        os.utime(shop.config, (time.time() + 5, time.time() + 5))  # saved as it was
        assert "older plan" not in status(shop, code=1)

        shop.config.write_text(CONFIG + "  - {target: shop.Order, module: sales, name: new}\n")
        shown = status(shop, code=1)
        assert f"1 process runs an older plan: the configuration has changed since (waits.py {running.pid})" in shown
        assert "older plan" in (detail := status(shop, "--processes", code=1))
        assert "module not imported yet" not in detail
        (process,) = status(shop, "--format", "json", code=1)
        assert (process["older_plan"], process["restart_needed"]) == (True, False), "it follows a change"


def test_what_other_variables_would_give_is_not_mixed_in(shop):
    shop.config.write_text(CONFIG.replace("operation: broken", "operation: 'b-${SITE:-x}'"))
    with Running(shop, "waits.py", SITE="north") as running:
        running.wait_for("ready")
        for site in ("north", "south"):
            shown = status(shop, "--processes", code=1, SITE=site)
            assert "older plan" not in shown
            assert "3 patched, 0 waiting" in shown
        assert "other values of SITE than this shell has" in shown


def test_a_command_of_ours_is_no_process_of_the_erp(shop):
    """Also where a monitor names what every command imports."""
    shop.config.write_text(CONFIG + "  - {target: json.dumps, module: sales}\n  - {target: argparse.ArgumentParser}\n")
    for command in ("events", "spool", "status"):
        shop.agent(*[command, "status"][: 1 + (command == "spool")])
    assert not list(shop.state.glob("run/*"))
    assert "no process has reported in" in status(shop)


POOL = """
import multiprocessing, sys, shop
def work(n):
    try: shop.fail()
    except ValueError: return n
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        lock = context.Lock()  # which makes the tracker
        assert pool.map(work, range(20)) == list(range(20))
        pool.close(); pool.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_after_a_pool_has_ended_its_workers_are_shown(shop, method):
    shop.write(pool__py=POOL)
    shop.run("pool.py", method)
    processes = status(shop, "--format", "json")
    expected = [sum(c["number"] for c in p["counts"] if c["reason"] == "expected") for p in processes]
    assert sum(expected) == 20
    assert not [p["program"] for p in processes if "-c" in p["program"] and method != "forkserver"]


def test_an_event_says_what_could_not_be_had_and_why(shop):
    shop.write(main__py="import shop, tenancy\ntry: shop.broken(7)\nexcept KeyError: pass\n")
    shop.run("main.py")
    (event,) = shop.events()
    erp = event["contexts"]["erp"]
    assert erp["capture_failed"] == {"size": "TypeError: object of type 'int' has no len()"}
    assert erp["captured"] == {"number": 7}
    (reason,) = erp["context_failed"].values()
    assert "missing 1 required positional argument: 'request'" in reason
    shown = status(shop, code=1)
    assert "capture.size: len(number): failed 1 time, last: TypeError: object of type 'int' has no len()" in shown
    assert "context tenant, tenancy.current: failed 1 time, last: TypeError" in shown
    shop.write(tenancy__py="")
    shop.run("main.py")
    assert "context tenant, tenancy.current: failed 2 times, last: tenancy has no current" in status(shop, code=1)


def test_an_exception_that_quotes_a_value_gives_its_type_alone(shop):
    shop.write(
        tenancy__py="def current(): raise ValueError('Anna Lindqvist')",
        main__py="import shop, tenancy\ntry: shop.broken('Anna Lindqvist')\nexcept KeyError: pass\n",
    )
    shop.config.write_text(CONFIG.replace("len(number)", "int(number)"))
    shop.run("main.py")
    erp = shop.events()[0]["contexts"]["erp"]
    assert erp["capture_failed"] == {"size": "ValueError"}
    assert list(erp["context_failed"].values()) == ["ValueError"]
    assert "Lindqvist" not in status(shop, "--processes", code=1)


def test_a_pattern_is_a_line(shop):
    many = "\n".join(f"def f{number}(): pass" for number in range(300))
    shop.write(many__py=many, main__py="import many, shop\n")
    shop.config.write_text(CONFIG + "  - {target: many.*, name: all}\n")
    shop.run("main.py")
    shown = status(shop, "--processes")
    assert "all     300 functions" in shown
    assert len(shown.splitlines()) < 30
    assert len(status(shop, "--processes", "--functions").splitlines()) > 300


SEVERAL = """
import os, signal, sys, time, shop
def work(number):
    for each in range(number):
        try: shop.fail()
        except ValueError: pass
        shop.other()
    print("done", flush=True)
for number in (7, 11, 13):
    if not os.fork():
        work(number)
        if number == 13: os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
print("started", flush=True)
time.sleep(60)
"""


def test_operations_of_several_processes_are_added_up_and_delivery_is_known(shop):
    """Also what a killed process has counted. The text through a pipe, JSON, `top` and `--watch` show the same."""
    shop.write(several__py=SEVERAL)
    with Receiver() as sentry:
        shop.config.write_text(CONFIG.replace("expect: [ValueError]", "rate_limit: off"))
        with Running(shop, "several.py", SENTRY_DSN=sentry.dsn) as running:
            running.wait_for("done", times=3)

            def document(*arguments):
                done = shop.agent("status", "--json", *arguments, SENTRY_DSN=sentry.dsn)
                assert done.returncode == 1, done.stderr  # a rule fails
                return json.loads(done.stdout)

            running.until(lambda: document()["delivery"][0]["accepted"] is not None, what="an accepted event")
            found = document()
            assert found["verdict"]["state"] == "in trouble"
            rows = {row["operation"]: row for row in found["operations"]}
            assert set(rows) == {"fail", "other"}
            assert (rows["fail"]["calls"], rows["fail"]["failures"], rows["fail"]["failed_share"]) == (31, 31, 1.0)
            assert (rows["other"]["calls"], rows["other"]["failures"]) == (31, 0)
            assert rows["other"]["last_failure"] is None
            assert 0 < rows["other"]["p50"] <= rows["other"]["max"] < 60
            (program,) = found["programs"]
            assert (program["program"], program["running"]) == ("several.py", 3)
            assert [row["operation"] for row in found["operations"]] == ["fail", "other"], "errors come first"
            assert [row["operation"] for row in document("--monitor", "o*")["operations"]] == ["other"]
            assert document("--module", "stock")["operations"] == []

            shown = shop.agent("status", SENTRY_DSN=sentry.dsn).stdout
            assert f"http://127.0.0.1:{sentry.dsn.rpartition(':')[2]}, last accepted an event " in shown
            assert "processes      3 running: several.py 3" in shown
            table = [line.split() for line in shown.splitlines()[-2:]]
            assert [row[:3] + row[4:6] for row in table] == [
                ["sales", "fail", "fail", "100", "%"], ["sales", "other", "other", "0", "%"],
            ]  # fmt: skip
            live = shop.agent("top", "--sort", "name", SENTRY_DSN=sentry.dsn).stdout.splitlines()[4:]
            assert [line.split()[:3] for line in live] == [row[:3] for row in table]
            watched = Running(
                shop, "-m", "agent", "status", "--watch", "--every", "200ms", "--json", cwd=ROOT, SENTRY_DSN=sentry.dsn
            )
            with watched:
                watched.wait_for('"version": 1', times=2)
                assert watched.stop(signal.SIGINT) == 0
            assert {json.loads(line)["version"] for line in watched.printed.splitlines()} == {1}


def test_text_and_json_end_alike(shop):
    shop.config.write_text(CONFIG + "  - {target: shop.x, threshold: 5 parsecs}\n")
    shop.run("-c", "pass")  # compiles it
    for _ in range(2):
        text, machine = shop.agent("status"), shop.agent("status", "--format", "json")
        assert (text.returncode, machine.returncode) == (1, 1)
        shop.run("-c", "import shop")


def test_processes_that_it_cannot_see_are_explained(shop):
    shop.run("-c", "pass")
    with Running(shop, "waits.py", agent=False) as running:
        running.wait_for("ready")
        shown = status(shop)
        assert "no process has reported in" in shown
        assert "started without the agent" in shown
        assert f"{running.pid} waits.py" in shown
    elsewhere = shop.folder.parent / "elsewhere"
    with Running(shop, "waits.py", AGENT_STATE_DIR=str(elsewhere)) as running:
        running.wait_for("ready")
        shown = status(shop)
        assert f"started with another state folder (AGENT_STATE_DIR={elsewhere})" in shown
        assert f"{running.pid} waits.py" in shown


@pytest.mark.parametrize(
    "command", ["status", "events", "list", "validate", "explain shop.fail", "spool status", "run true"]
)
def test_a_forgotten_agent_config_is_said_and_the_one_in_this_folder_is_seen(shop, command):
    environment = {**shop.environment(), "AGENT_CONFIG": "", "PYTHONPATH": ""}
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from agent.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command.split()],
        env=environment, cwd=shop.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "AGENT_CONFIG is not set" in done.stderr
    assert f"export AGENT_CONFIG={shop.config}" in done.stderr
