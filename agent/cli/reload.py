"""`reload`: has the running processes take up the configuration as it is now, and waits until they have."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from ..base import places
from ..config import child
from ..plan import in_force
from ..plan import index as plan_index
from . import options
from .state import processes
from .state.plans import Plans
from .terminal import console, counted, err, json_text, one_line, out, styled

if TYPE_CHECKING:
    import argparse

    from .state.processes import Process

HELP = "have running processes take up the configuration as it is now, and wait until they have"

_LOOK = 0.2  # seconds between two looks at the processes


class Missing(NamedTuple):
    """A process that runs another plan, and why."""

    pid: int
    program: str
    why: str


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_config(parser)
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=10.0, help="stop waiting after this time (default: 10)"
    )
    options.add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """0: all processes run the plan of the file, 1: some do not, or the file gives none."""
    path = options.config_path(arguments.config)
    state = places.state_folder(os.environ, path)
    made = in_force.keep(child.compiled(path), path, state, plan_index.load_bad(state, path))
    if isinstance(made, plan_index.Bad):
        for problem in made.problems:
            err(one_line(problem))
        err("nothing has changed: running processes keep the plan that they have; see: python -m agent validate")
        return 1
    for problem in made.problems:
        err(f"not all of the configuration counts: {one_line(problem)}")
    taken, missing = _wait(path, state, made.identity, arguments.timeout)
    if arguments.format == "json":
        rows = [each._asdict() for each in missing]
        out(json_text({"config": path, "plan": made.identity, "taken_up": taken, "missing": rows}, indent=2))
        return int(bool(missing))
    if not taken and not missing:
        out("no process runs that has reported in: the next ones start with this configuration")
        return 0
    monitors = counted(len(made.all_monitors()), "monitor")
    out(f"{counted(taken, 'process', 'processes')} of {taken + len(missing)} run this configuration ({monitors})")
    for each in missing:
        console().print(styled((f"  {each.pid} {each.program}: ", "bold"), one_line(each.why)))
    return int(bool(missing))


def _wait(path: str, state: str, identity: str, timeout: float) -> tuple[int, list[Missing]]:
    """Return how many processes have the plan, and those that have not."""
    until = time.monotonic() + timeout
    while True:
        plans = Plans(state, path)
        living = [each for each in processes.read(os.path.join(state, "run")) if each.alive and not each.command]
        others = [each for each in living if each.plan != identity and plans.is_older(each)]
        if not others or time.monotonic() >= until:
            return len(living) - len(others), [Missing(each.pid, each.program, _why(each)) for each in others]
        time.sleep(_LOOK)


def _why(process: Process) -> str:
    if process.facts.get("reload") == "off":
        return "keeps the plan that it started with (`reload: off`): restart it"
    refused = [problem for problem in process.problems if problem.startswith("a change is not taken up")]
    if refused:
        return refused[-1]
    return "has not looked yet: it does with its next monitored call, request, task or import"
