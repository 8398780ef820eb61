"""`validate`: every Problem of every file, and the outcome of every target, for people or machines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable

from ..config.compile import Examined
from ..config.load import examine, without_collection
from .environment import add_environment, check_all, lookup_of
from .findings import as_github, as_json, as_sarif, packs_summary, summary, targets_summary
from .options import CONFIG_HELP, UNREADABLE, add_format, config_path
from .state import copies
from .terminal import STYLES, console, err, json_text, out, shown_path, styled, width_of

if TYPE_CHECKING:
    import argparse

    from rich.console import Console
    from rich.text import Text

    from ..base.model import Problem
    from ..codebase.check import Sighting

HELP = "check monitors.yaml and everything it includes"

_OUTCOMES = {"found": "green", "found elsewhere": "green", "not found": "bold red", "cannot be checked": "yellow"}
_WIDEST = 160  # of a source line, before it is cut around the caret

_MACHINES: dict[str, Callable[[list[Examined], list[Sighting]], str]] = {
    "json": lambda results, seen: json_text(as_json(results, seen), indent=2),
    "github": lambda results, _: as_github(results),
    "sarif": lambda results, _: json_text(as_sarif(results), indent=2),
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", metavar="FILE", help=CONFIG_HELP)
    add_format(parser, *(name for name in _MACHINES if name != "json"))
    add_environment(parser)
    parser.add_argument("--strict", action="store_true", help="exit with status 1 for warnings, too")
    parser.add_argument("--no-targets", action="store_true", help="do not look the targets up in installed code")
    parser.add_argument(
        "-v", "--targets", dest="verbose", action="store_true", help="list every target, and what was found for it"
    )


def run(args: argparse.Namespace) -> int:
    """0: clean (warnings and notes are allowed, with --strict only notes), 1: problems, 2: could not run."""
    with without_collection():  # until the trees are gone, a search for cycles goes through all of them
        return _validate(args)


def _validate(args: argparse.Namespace) -> int:
    results = [examine(file, os.environ) for file in args.files or [config_path(None)]]
    seen: list[Sighting] = []
    if not args.no_targets:
        results, seen = check_all(results, lookup_of(args))
    if args.format == "text":
        target = console()
        _show_problems(results, target)
        for one in seen if args.verbose else ():
            target.print(target_line(one))
        for line in (summary(results), packs_summary(results), targets_summary(seen) if seen else ""):
            if line:
                target.print(styled((line, "bold")))
        two = copies.beside()
        if two:
            err(f"there are two copies of the agent: {two} ({copies.HINT})")
    else:
        output = _MACHINES[args.format](results, seen)
        if output:
            out(output)
    return max(_status(result, strict=args.strict) for result in results)


def target_line(one: Sighting) -> Text:
    """monitors.yaml:3: shop.create → found code/shop.py:2 (customer, items)"""
    outcome = one.outcome
    place = f"{one.placed.where}: "
    what = f"{shown_path(outcome.file)}:{outcome.line}" if outcome.found and outcome.line else ""
    signature = outcome.parameters.text if outcome.parameters and outcome.found else ""
    more = outcome.note if outcome.found else outcome.reason
    definition = " ".join(part for part in (what, signature) if part)
    status = "not installed here" if outcome.absent else outcome.status
    return styled(
        (place, "dim"),
        one.text,
        " → ",
        (status, _OUTCOMES.get(outcome.status, "")),
        f" {definition}" if definition else "",
        (f" ({more})" if more else "", "dim"),
    )


def _status(result: Examined, *, strict: bool) -> int:
    errors = [problem for problem in result.problems if problem.severity == "error"]
    if any(problem.slug in UNREADABLE and problem.file == result.files[0] for problem in errors):
        return 2
    warned = strict and any(problem.severity == "warning" for problem in result.problems)
    return 1 if errors or warned else 0


def _show_problems(results: list[Examined], target: Console) -> None:
    sources: dict[str, list[str]] = {}
    for result in results:
        for problem in result.problems:
            _show_problem(problem, _line_of(problem, sources), target)


def _show_problem(problem: Problem, source: str | None, target: Console) -> None:
    place = shown_path(problem.file) + (f":{problem.line}:{problem.column}" if problem.line else "")
    where = f"{problem.path}: " if problem.path else ""
    target.print(
        styled(
            (f"{place}: ", "bold"),
            (f"{problem.severity}: ", STYLES.get(problem.severity, "")),
            where + problem.message,
            (f" [{problem.slug}]", "dim"),
        )
    )
    if source is not None:
        number = f"{problem.line:>5} | "
        shown, before = _cut(source.replace("\t", " "), problem.column - 1)
        target.print(styled((number, "dim"), shown))
        blank = " " * (len(number) - 2) + "| " + " " * width_of(before)
        target.print(styled((blank, "dim"), ("^", STYLES.get(problem.severity, ""))))
    if problem.hint:
        target.print(styled(("      hint: ", "bold"), problem.hint))


def _line_of(problem: Problem, sources: dict[str, list[str]]) -> str | None:
    """The source line of a Problem."""
    if not problem.line:
        return None
    if problem.file not in sources:
        try:
            with open(problem.file, encoding="utf-8-sig", errors="replace") as stream:
                sources[problem.file] = stream.read().splitlines()
        except OSError:
            sources[problem.file] = []
    lines = sources[problem.file]
    line = lines[problem.line - 1] if problem.line <= len(lines) else None
    return None if line is None else "".join(char if char.isprintable() or char == "\t" else "?" for char in line)


def _cut(line: str, column: int) -> tuple[str, str]:
    """The part of a line to show, and what of it comes before the column."""
    start = max(0, column - _WIDEST // 2) if len(line) > _WIDEST else 0
    return line[start : start + _WIDEST], line[start:column]
