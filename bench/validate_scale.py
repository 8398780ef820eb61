"""`validate` and the compiler with 10, 100, 1,000 and 10,000 monitors: seconds of CPU, seconds of waiting, and memory.

From 1,000 on, two processes look targets up: a person waits less than they take together. Seconds of waiting mean
something on a machine that does nothing else; those of CPU can be compared on any. Memory is the first process's peak.

    python bench/validate_scale.py [--largest 10000]
    python bench/validate_scale.py --beside FOLDER      also another checkout, in turn, in the columns behind

Both must be linear in the number. Each figure is the least of three processes. Targets are existing functions of the
modules that are installed here (Django and Celery if available); half as many again are re-exports and misspelt names.
`again` is the second look at code that has not changed, `one monitor changed` a compilation after the file was compiled
once. Goals for 10,000: 1.5 s without targets, 3 s with them, 1 s after a change; 0.5 s for the second look at 1,000.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGES = ("django", "celery", "kombu", "rich", "sentry_sdk", "json", "logging", "asyncio", "email", "unittest")


def names(number):
    """Dotted paths of functions and methods, out of the text of what is installed."""
    sys.path.insert(0, ROOT)
    import ast

    from agent.codebase.lookup import Lookup
    from agent.codebase.proposals.propose import modules_below
    from agent.codebase.search import here

    lookup, found = Lookup(here()), []
    for package in PACKAGES:
        for module in modules_below(lookup, package):
            if module.kind != "source":
                continue
            index = lookup.index(module)
            for name, bindings in index.names.items():
                node = bindings[0].node
                if isinstance(node, ast.ClassDef):
                    methods = [method for method in index.inside(node).names if method[0] != "_"]
                    found += [f"{module.name}:{name}.{method}" for method in methods]
                elif isinstance(node, ast.FunctionDef):
                    found.append(f"{module.name}:{name}")
    found = list(dict.fromkeys(found))
    step = max(1, len(found) // number)
    chosen = found[::step]
    while len(chosen) < number:
        chosen += [f"{name}x{len(chosen)}" for name in found[: number - len(chosen)]]
    return chosen[:number]


def write(path, targets):
    lines = ["version: 1", "modules: {sales: {defaults: {threshold: 2s}}}", "monitors:"]
    for number, target in enumerate(targets):
        lines.append(
            f'  - {{target: "{target}", module: sales, name: m{number}, thresholds: {{warning: 1s, error: 3s}}, '
            f"capture: {{out: result.id}}, rules: [{{when: result is None, message: none}}]}}"
        )
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")


VALIDATE = """
import sys
from agent.cli.main import main
main(sys.argv[1:])
"""
#: As `compile_elsewhere` starts it.
COMPILE = """
import gc, sys
gc.disable()
from agent.config import child
child.keep(*sys.argv[1:])
"""
#: VmHWM, since ru_maxrss also knows of the process that started this one.
PEAK = "import re; sys.stderr.write(re.search(r'VmHWM:\\s+([0-9]+)', open('/proc/self/status').read()).group(1))\n"


def run(checkout, home, program, *arguments):
    """Seconds of CPU, seconds until it ended, megabytes, and what it printed."""
    environment = {**os.environ, "AGENT_DISABLED": "1", "AGENT_STATE_DIR": os.path.join(home, "state")}
    command = [sys.executable, "-c", program + PEAK, *arguments]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, cwd=checkout, capture_output=True, check=False, env=environment)
    waited, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took, waited, int(done.stderr.split()[-1]) / 1024, done.stdout


def state_of(path, home):
    from agent.base.places import state_folder

    return state_folder({"AGENT_STATE_DIR": os.path.join(home, "state")}, path)


def change_a_line(path):
    with open(path, encoding="utf-8") as stream:
        lines = stream.read().split("\n")
    middle = len(lines) // 2
    lines[middle] = lines[middle].replace("error: 3s", f"error: {int(time.time()) % 1000 + 4}s")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines))


def rows(checkout, home, targets, rounds):
    """(what, the least seconds of CPU and of waiting, megabytes, the last output) of a file with these targets."""
    path = os.path.join(home, "monitors.yaml")
    write(path, targets)

    def least(what, program, *arguments, prepare=lambda: None):
        found = []
        for _ in range(rounds):
            prepare()
            found.append(run(checkout, home, program, *arguments))
        return what, *(min(each[at] for each in found) for at in range(3)), found[-1][3]

    state = state_of(path, home)
    shutil.rmtree(state, ignore_errors=True)
    validate = (VALIDATE, "validate", path, "--format", "json")
    yield least("without targets", *validate, "--no-targets")
    yield least("with targets", *validate)
    os.makedirs(state, mode=0o700)
    run(checkout, home, *validate)
    yield least("with targets, again", *validate)
    yield least("compiled", COMPILE, path, state, prepare=lambda: shutil.rmtree(state) or os.makedirs(state, 0o700))
    yield least("one monitor changed", COMPILE, path, state, prepare=lambda: change_a_line(path))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="of which the least seconds count (default: 3)")
    parser.add_argument("--beside", metavar="FOLDER", help="another checkout of this project, measured in turn")
    options = parser.parse_args()
    checkouts = [ROOT, *([os.path.abspath(options.beside)] if options.beside else [])]
    every = names(options.largest)
    print(
        f"{'monitors':>8}  {'':20}" + "".join(f"{'CPU s':>9}{'wall s':>7}{'MB':>6}" for _ in checkouts) + "  outcomes"
    )
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        number = 10
        while number <= options.largest:
            targets = every[:: max(1, len(every) // number)][:number]
            each = [rows(one, home, targets, options.rounds) for one, home in zip(checkouts, (first, second))]
            for beside in zip(*each):
                figures = "".join(f"{took:>9.2f}{waited:>7.2f}{memory:>6.0f}" for _, took, waited, memory, _ in beside)
                print(f"{number:>8}  {beside[0][0]:20}{figures}  {outcomes_of(beside[0][4])}", flush=True)
            number *= 10
    return 0


def outcomes_of(output):
    counts = {}
    for target in json.loads(output)["targets"] if output else ():
        counts[target["outcome"]] = counts.get(target["outcome"], 0) + 1
    return ", ".join(f"{count} {name}" for name, count in counts.items())


if __name__ == "__main__":
    sys.exit(main())
