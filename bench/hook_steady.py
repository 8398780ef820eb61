"""Instructions of a monitored call, beside those of what a person writes by hand: where times are too noisy to compare.

    python bench/hook_steady.py [--pythons python3.11 python3.12 python3.13]

The calls run on valgrind's simulated processor (cachegrind), which counts each instruction in user space; runs differ
by one per cent, however busy the machine is. Each number is a call's instructions beyond those of the bare call. One
process makes all functions, and forks twice for each number: one fork makes more calls, and the difference is theirs.
A call that is called often is counted in batches, so batches are as large here as they are at such a rate. The last
column is the instructions that it takes to monitor one function more.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import hook_cost

COLUMNS = ["function", "method", "five", "coroutine", "generator"]
SHOWN = [*COLUMNS, "patching"]
WAYS = [
    "bare", "agent, errors only", "agent, errors only, counting", "agent, threshold", "agent, threshold, counting",
    "by hand, errors only", "by hand, threshold", "by hand, *args, threshold",
]  # fmt: skip
_FEW, _MORE = 2000, 10_000
_PATCHED = (100, 200)  # functions


def inside() -> None:
    """On valgrind's processor: print the process and the way, the kind and the number of calls that it made."""
    import gc

    from agent.measure import tally

    tally._OFTEN, tally._A_SECOND = -1.0, 1e-9  # this processor is slow, and its batches would be small
    gc.disable()
    for way in WAYS:
        module = hook_cost.fresh()
        (hook_cost.bare if way == "bare" else hook_cost.WAYS[way]())(module, hook_cost.TARGETS)
        for column in COLUMNS:
            runs = [hook_cost.timer(module, hook_cost.CALLS[column], loops) for loops in (_FEW, _MORE)]
            for run in runs:
                run()
            if hasattr(module, "watch") and module.watch.tallies is not None:
                module.watch.tallies.due = time.perf_counter() + 1e6  # what is looked at once a second is no call's
            _fork(runs, f"{way}|{column}")
        patches = [_patching(way, number) for number in (20, *_PATCHED)]
        patches[0]()  # what is made once
        _fork(patches[1:], f"{way}|patching")


def _fork(runs: "list[Any]", name: str) -> None:
    for run in runs:
        pid = os.fork()
        if not pid:
            run()
            os._exit(0)
        os.waitpid(pid, 0)
        print(pid, end=" ")
    print(name, flush=True)


def _patching(way: str, number: int) -> "Callable[[], None]":
    names, body = hook_cost.functions(number)
    module = hook_cost.fresh()
    exec(body, module.__dict__)
    apply = hook_cost.bare if way == "bare" else hook_cost.WAYS[way]()
    return lambda: apply(module, names)


def counted(python: str) -> "dict[str, dict[str, float]]":
    """{way: {column: instructions of a call}}"""
    found: "dict[str, dict[str, float]]" = {}
    with tempfile.TemporaryDirectory() as folder:
        command = ["setarch", "--addr-no-randomize", "valgrind", "--tool=cachegrind", "--cache-sim=no"]
        command += ["--cachegrind-out-file=/dev/null", f"--log-file={folder}/%p", python, "-W", "ignore"]
        environment = {**os.environ, "PYTHONHASHSEED": "1", "TMPDIR": folder}
        lines = subprocess.check_output([*command, __file__, "--inside"], text=True, env=environment).splitlines()
        for line in lines:
            few, more, name = line.split(" ", 2)
            way, column = name.split("|")
            one, other = [
                int(re.search(r"I +refs: +([\d,]+)", Path(folder, pid).read_text())[1].replace(",", ""))
                for pid in (few, more)
            ]
            more = (
                _PATCHED[1] - _PATCHED[0] if column == "patching" else (_MORE - _FEW) * 1.1
            )  # a tenth more to warm up
            found.setdefault(way, {})[column] = (other - one) / more
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pythons", nargs="+", default=[sys.executable])
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside()
        return 0
    for python in options.pythons:
        found = counted(python)
        bare = found.pop("bare")
        version = subprocess.check_output(
            [python, "-c", "import sys; print(sys.version.split()[0])"], text=True
        ).strip()
        print(f"{'Python ' + version + ', extra instructions':40}", *(f"{column:>10}" for column in SHOWN))
        for way, values in found.items():
            print(f"{way:40}", *(f"{values[column] - bare[column]:10.0f}" for column in SHOWN), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
