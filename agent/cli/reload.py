"""`reload`: has the running processes take up the configuration as it is now, and waits until they have."""

from __future__ import annotations

import argparse
import os

from ..base import places
from ..plan import index as plan_index
from . import options
from .live import change
from .live.shown import show_taken
from .terminal import counted, err, json_text, one_line, out

HELP = "have running processes take up the configuration as it is now, and wait until they have"


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_config(parser)
    options.add_waiting(parser)
    options.add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """0: all processes run the plan of the file, 1: some do not, or the file gives none."""
    path = options.config_path(arguments.config)
    state = places.state_folder(os.environ, path)
    made = change.compiled(path, state)
    if isinstance(made, plan_index.Bad):
        for problem in made.problems:
            err(one_line(problem))
        err("nothing has changed: running processes keep the plan that they have; see: python -m agent validate")
        return 1
    for problem in made.problems:
        err(f"not all of the configuration counts: {one_line(problem)}")
    taken = change.wait(path, state, made.identity, arguments.timeout)
    if arguments.format == "json":
        missing, servers = ([each._asdict() for each in those] for those in (taken.missing, taken.servers))
        found = {
            "config": path, "plan": made.identity, "taken_up": taken.pids, "missing": missing, "servers": servers,
        }  # fmt: skip
        out(json_text(found, indent=2))
        return int(bool(taken.missing))
    out(f"the configuration has {counted(len(made.all_monitors()), 'monitor')}")
    return show_taken(taken)
