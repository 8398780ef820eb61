"""The code in which a command looks targets up: `--python` and `--path`."""

from __future__ import annotations

import argparse
import os

from ..base import places
from ..base.model import Problem
from ..codebase import search
from ..codebase.check import Sighting, check
from ..codebase.lookup import Lookup
from ..codebase.roots import package_at
from ..codebase.second_half import SecondHalf
from ..config.compile import Examined
from ..config.load import without_collection
from .terminal import Progress, err


def add_environment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--python",
        metavar="PATH",
        help="look targets up in the code of this interpreter or virtual environment, without running it",
    )
    parser.add_argument(
        "--path",
        metavar="DIR",
        action="append",
        default=[],
        help="another folder of code, such as the ERP's; repeatable",
    )


def lookup_of(args: argparse.Namespace) -> Lookup:
    """Raises ConfigError where --python is no interpreter."""
    around = search.of_interpreter(args.python) if args.python else search.here()
    return Lookup(search.widened(around, [_on_path(folder, around) for folder in args.path]))


def _on_path(folder: str, around: search.SearchPath) -> str:
    """A folder to look modules up in: not a package, from which nothing could be imported by its name."""
    package = package_at(folder, around)
    if package is None:
        return folder
    above, name = package
    err(f"note: --path {folder} is the package `{name}`, which is imported from {above}: that folder is looked up in")
    return above


def check_all(results: list[Examined], lookup: Lookup) -> tuple[list[Examined], list[Sighting]]:
    """Return the results with the Problems of their targets, and every target with its outcome."""
    sightings: list[Sighting] = []
    checked: list[Examined] = []
    state = places.state_folder(os.environ, os.path.abspath(results[0].files[0])) if results else ""
    file = places.plan_file(state, "code")
    with without_collection(), Progress("looking targets up") as progress:
        lookup.known.recall(file, lookup.search)
        for result in results:
            second = SecondHalf(result, lookup)

            def tick(done: int, total: int, second: SecondHalf = second) -> None:
                if done == second.begins:
                    second.join()
                progress.show(done, total)

            seen, problems = check(result, lookup, tick)
            sightings += seen
            checked.append(result._replace(problems=_sorted([*result.problems, *problems])))
        lookup.known.keep(file, lookup.search, lookup.finder)
    return checked, sightings


def _sorted(problems: list[Problem]) -> list[Problem]:
    rank = {file: number for number, file in enumerate(dict.fromkeys(problem.file for problem in problems))}
    # Warnings and notes about a file as a whole come last.
    return sorted(
        problems, key=lambda item: (not item.line and item.severity != "error", rank[item.file], item.line, item.column)
    )
