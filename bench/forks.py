"""Processes that fork at random moments while their threads report, import, log and deliver. None may hang.

    python bench/forks.py [--forks 10000] [--python python3.13] [--seed 1] [--without]

Each process is new, so that its first import of a monitored module, its first report and its first delivery are among
the moments. A child reports, imports a monitored module that was not loaded, logs, forks once more, and ends. A child
that has not ended after --limit seconds hangs: its threads are printed, and the exit status is 1. --without: the same
without the agent.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from receiver import Receiver  # noqa: E402

MODULES = 40
MONITORS = """
version: 1
modules: {m: {description: M}}
defaults: {rate_limit: off}
monitors:
  - {name: fails, target: "erp.m*.fail", module: m, operation: fail, capture: {x: x}}
  - {name: slow, target: "erp.m*.slow", module: m, operation: slow, threshold: 0.1ms}
  - {name: rule, target: "erp.m*.rule", module: m, operation: rule, rules: [{when: result > 1, message: too much}]}
"""
MODULE = """
import time
def fail(x=1): raise ValueError(x)
def slow(): time.sleep(0.0002)
def rule(): return 2
"""
#: Run with: seed, forks, limit in seconds, what the threads do, where a hung child's threads are written.
PROCESS = """
import faulthandler, importlib, os, random, signal, sys, threading, time, warnings
warnings.simplefilter("ignore")
seed, forks, limit = map(int, sys.argv[1:4])
works, traces = sys.argv[4].split(","), sys.argv[5]
dice = random.Random(seed)
import erp  # what a host's own threads are importing at a fork is locked in the child, with us or without
if "logs" in works and dice.random() < 0.9: import logging
if dice.random() < 0.5: import erp.m0
first = 0 if "erp.m0" in sys.modules else 30
sys.setswitchinterval(dice.choice([1e-6, 1e-5, 5e-3]))
stop = False

known = set(sys.modules)

def module(number): return importlib.import_module(f"erp.m{number}")
def report(number):
    erp = module(number)
    try: erp.fail()
    except ValueError: pass
    erp.slow(); erp.rule()
def reports():
    while not stop: report(0)
def imports():
    for number in range(1, 30):
        if stop: break
        report(number)
        time.sleep(0.001)
def logs():
    import logging
    log = logging.getLogger("erp")
    log.addHandler(logging.NullHandler())
    while not stop: log.warning("sold %s", 1); time.sleep(0)

waiting, begun = [], time.monotonic()
def born():
    child = os.fork()
    if child: return child
    global stop
    stop = True
    signal.alarm(limit)
    faulthandler.dump_traceback_later(limit - 2, file=open(traces, "a"))
    report(first)
    report(dice.randrange(30, 40))
    if "logs" in works and "logging" in known: logging.getLogger("erp").info("in a child")
    grandchild = os.fork()
    if not grandchild:
        signal.alarm(limit)
        report(first)
        os._exit(0)
    status = os.waitpid(grandchild, 0)[1]
    faulthandler.cancel_dump_traceback_later()
    if dice.random() < 0.3: sys.exit(status != 0)  # and with it what runs at exit
    os._exit(status != 0)

threads = [threading.Thread(target=globals()[work]) for work in works]
for each in threads: each.start()
hung = 0
def gather(most):
    global hung
    while len(waiting) > most:
        hung += os.waitpid(waiting.pop(0), 0)[1] != 0
for _ in range(forks):
    until = time.perf_counter() + dice.random() ** 3 * 0.03
    while time.perf_counter() < until: pass
    waiting.append(born())
    gather(3)
stop = True
gather(0)
for each in threads: each.join()
print(forks, hung)
"""
WORKS = (
    "reports,reports,reports", "reports,imports", "imports,imports", "reports,logs", "imports,logs",
    "reports,imports,logs",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forks", type=int, default=10_000)
    parser.add_argument("--limit", type=int, default=60, help="seconds that a child may take")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--without", action="store_true", help="without the agent")
    options = parser.parse_args()
    dice = random.Random(options.seed)
    print(f"seed {options.seed}")
    forks = hung = processes = broken = 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary, Receiver(forget=True) as sentry:
        folder = Path(temporary)
        (folder / "erp").mkdir()
        for number in range(MODULES):
            (folder / "erp" / f"m{number}.py").write_text(MODULE)
        (folder / "monitors.yaml").write_text(MONITORS)
        (folder / "main.py").write_text(PROCESS)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AGENT_", "SENTRY_"))}
        if not options.without:
            environment.update(PYTHONPATH=str(ROOT), AGENT_CONFIG=str(folder / "monitors.yaml"))
        traces = folder / "traces"
        while forks < options.forks:
            number = dice.choice((2, 10, 40))
            extra = {"SENTRY_DSN": sentry.dsn} if dice.random() < 0.7 else {}
            # Some begin with an empty folder: the first report of all makes what lies in it.
            extra["AGENT_STATE_DIR"] = str(folder / f"state{processes // 20}")
            seed = dice.randrange(1_000_000)
            command = [options.python, "main.py", str(seed), str(number), str(options.limit)]
            command += [dice.choice(WORKS), str(traces)]
            done = subprocess.run(
                command, cwd=folder, env={**environment, **extra}, capture_output=True, text=True, check=False
            )
            processes += 1
            lines = [line for line in done.stdout.splitlines() if line.startswith(f"{number} ")]
            if done.returncode or not lines or done.stderr:
                broken += 1
                print(f"process {seed} ended with {done.returncode}: {done.stdout[-300:]}{done.stderr[-1500:]}")
            forks += 2 * number
            hung += int(lines[0].split()[1]) if lines else 0
            if processes % 50 == 0:
                seconds = time.monotonic() - began
                print(f"{processes} processes, {forks} forks, {hung} hung, {seconds:.0f} s", flush=True)
        if traces.exists():
            print(traces.read_text()[-20_000:])
    print(f"{processes} processes, {forks} forks, {hung} children hung or failed, {broken} processes ended badly")
    return 1 if hung or broken else 0


if __name__ == "__main__":
    sys.exit(main())
