"""`validate` of 10, 100, 1,000 and 10,000 monitors, with and without targets: time and peak memory.

Both must be linear in the number. On a busy machine compare the processor's seconds.

    python bench/validate_scale.py [--largest 10000]

Each row is a process of its own. Targets are existing functions of the modules that are installed here (Django and
Celery if available); half as many again are re-exports and misspelt names.
"""

from __future__ import annotations

import argparse
import json
import os
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
    from agent.codebase.propose import modules_below
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


def measure(path, *options):
    program = "import sys, re\nfrom agent.cli.main import main\nstatus = main(sys.argv[1:])\n"
    # VmHWM, since ru_maxrss also knows of the process that started this one
    program += "sys.stderr.write(re.search(r'VmHWM:\\s+([0-9]+)', open('/proc/self/status').read()).group(1))\n"
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program, "validate", path, "--format", "json", *options],
        cwd=ROOT, capture_output=True, check=False, env={**os.environ, "AGENT_DISABLED": "1"},
    )  # fmt: skip
    took = time.perf_counter() - began
    answer = json.loads(done.stdout)
    outcomes = {}
    for target in answer["targets"]:
        outcomes[target["outcome"]] = outcomes.get(target["outcome"], 0) + 1
    return took, int(done.stderr.split()[-1]) / 1024, outcomes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=10_000)
    largest = parser.parse_args().largest
    every = names(largest)
    print(f"{'monitors':>9} {'targets':>8} {'seconds':>8} {'ms each':>8} {'MB':>6}  outcomes")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "monitors.yaml")
        number = 10
        while number <= largest:
            write(path, every[:: max(1, len(every) // number)][:number])
            for options in (["--no-targets"], []):
                took, memory, outcomes = measure(path, *options)
                told = ", ".join(f"{count} {name}" for name, count in outcomes.items())
                with_targets = "no" if options else "yes"
                print(f"{number:>9} {with_targets:>8} {took:>8.2f} {took / number * 1000:>8.2f} {memory:>6.0f}  {told}")
            number *= 10
    return 0


if __name__ == "__main__":
    sys.exit(main())
