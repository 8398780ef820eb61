"""Which installed code a command looks at: `--python`, `--path`, and how long it takes."""

from __future__ import annotations

import gc
import sys
import time
from typing import TYPE_CHECKING

from ..codebase import search
from ..codebase.check import check
from ..codebase.lookup import Lookup
from .terminal import progress

if TYPE_CHECKING:
    import argparse

    from rich.progress import Progress

    from ..base.model import Problem
    from ..codebase.check import Sighting
    from ..config.load import Examined

_PATIENCE = 1.0  # seconds before a person is shown how far it is


def add_environment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--python",
        metavar="PATH",
        help="look in this interpreter's or virtual environment's code; nothing of it is run",
    )
    parser.add_argument(
        "--path",
        metavar="DIR",
        action="append",
        default=[],
        help="a further folder of code, such as the ERP's; repeatable",
    )


def lookup_of(args: argparse.Namespace) -> Lookup:
    """Raises ConfigError where --python is no interpreter."""
    return Lookup(search.of_interpreter(args.python, args.path) if args.python else search.here(args.path))


def check_all(results: list[Examined], lookup: Lookup) -> tuple[list[Examined], list[Sighting]]:
    """The results with the Problems of their targets, and every target with its outcome."""
    sightings: list[Sighting] = []
    checked: list[Examined] = []
    bar = _Progress()
    collects = gc.isenabled()
    gc.disable()  # syntax trees hold no cycles, and are so many objects that looking for some costs half the time
    try:
        for result in results:
            seen, problems = check(result, lookup, bar.tick)
            sightings += seen
            checked.append(result._replace(problems=_sorted([*result.problems, *problems])))
    finally:
        bar.stop()
        if collects:
            gc.enable()
    return checked, sightings


def _sorted(problems: list[Problem]) -> list[Problem]:
    rank = {file: number for number, file in enumerate(dict.fromkeys(problem.file for problem in problems))}
    # What concerns a file as a whole and is no error comes last.
    return sorted(
        problems, key=lambda item: (not item.line and item.severity != "error", rank[item.file], item.line, item.column)
    )


class _Progress:
    """A bar on stderr, from the second second on, where a person looks."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.bar: Progress | None = None

    def stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()

    def tick(self, done: int, total: int) -> None:
        if self.bar is None:
            if not sys.stderr.isatty() or time.monotonic() - self.began < _PATIENCE:
                return
            self.bar = progress("looking targets up")
        self.bar.update(self.bar.task_ids[0], completed=done, total=total)
