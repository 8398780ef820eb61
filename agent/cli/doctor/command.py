"""`doctor`: check a whole installation, and print of each finding what to do."""

from __future__ import annotations

import argparse
import os
import textwrap
from collections import Counter
from collections.abc import Iterable
from typing import Callable

from ...language.dsn import DsnError, parse_dsn
from ..options import add_config, add_format
from ..terminal import console, counted, is_terminal, json_text, one_line, out, styled
from . import configuration, libraries, monitoring, neighbours, sentry, servers, starts, state_folder
from .finding import FAIL, OK, SKIPPED, STATES, WARN, Finding, Mask
from .installation import Installation, look

HELP = "check the whole installation, and print what to do about each finding"

_STYLES = {FAIL: "bold red", WARN: "yellow", SKIPPED: "dim", OK: "green"}
_NOUNS = {FAIL: "failure", WARN: "warning", SKIPPED: "skipped check", OK: "check passed"}

#: Group → its checks, in the order in which a fault is looked for.
CHECKS: dict[str, Callable[[Installation], Iterable[Finding]]] = {
    "start": starts.check,
    "libraries": libraries.check,
    "configuration": configuration.check,
    "state folder": state_folder.check,
    "monitoring": monitoring.check,
    "servers": servers.check,
    "other agents": neighbours.check,
}


def configure(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument(
        "--pid", type=int, help="look at this process only (default: all processes of the ERP that can be found)"
    )
    parser.add_argument("--offline", action="store_true", help="do not connect to Sentry")
    parser.add_argument("--send", action="store_true", help="send a marked test event to Sentry")
    parser.add_argument("--strict", action="store_true", help="exit with status 1 for warnings, too")
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """0: no failure, 1: failures, with --strict also warnings, 2: could not run. Changes nothing."""
    installation = look(arguments.config, arguments.pid)
    mask = _mask(installation)
    groups = {name: list(_checked(name, check, installation)) for name, check in CHECKS.items()}
    if not arguments.offline:
        groups["Sentry"] = list(_checked("Sentry", _sentry(send=arguments.send), installation))
    groups = {
        name: sorted((mask.finding(each) for each in found), key=lambda each: STATES.index(each.state))
        for name, found in groups.items()
    }
    numbers = Counter(each.state for found in groups.values() for each in found)
    if arguments.format == "json":
        rows = [{"group": name, **each._asdict()} for name, found in groups.items() for each in found]
        out(json_text({"summary": {state: numbers[state] for state in STATES}, "findings": rows}, indent=2))
    else:
        _show(groups)
        out("\n" + ", ".join(_counted(numbers[state], state) for state in STATES if numbers[state]))
    return int(bool(numbers[FAIL] or (arguments.strict and numbers[WARN])))


def _sentry(*, send: bool) -> Callable[[Installation], Iterable[Finding]]:
    return lambda installation: sentry.check(installation, send=send)


def _checked(
    name: str, check: Callable[[Installation], Iterable[Finding]], installation: Installation
) -> Iterable[Finding]:
    """One check that fails by itself leaves the others: a doctor is called where things are broken."""
    try:
        yield from check(installation)
    except Exception as error:
        if os.environ.get("AGENT_TESTING"):
            raise
        yield Finding(
            "check-failed",
            SKIPPED,
            f"the check of {name} could not be finished",
            f"{type(error).__name__}: {error}",
            "please report this line: it is a defect of doctor",
        )


def _mask(installation: Installation) -> Mask:
    others = []
    if installation.configured is not None and installation.configured.sentry["dsn"]:
        given = installation.configured.sentry["dsn"]
        others = [given]
        try:
            others += [parse_dsn(given).public_key, given.partition("://")[2].rpartition("@")[0]]
        except DsnError:
            pass
    return Mask([os.environ, *(each.environ or {} for each in installation.erp)], others)


def _counted(number: int, state: str) -> str:
    return f"{number} checks passed" if state == OK and number != 1 else counted(number, _NOUNS[state])


def _show(groups: dict[str, list[Finding]]) -> None:
    target = console()
    for name, found in groups.items():
        if found:
            target.print(styled("\n" if name != next(iter(groups)) else "", (name, "bold")))
        for each in found:
            _line(f"  {each.state:<8}", _STYLES[each.state], each.title)
            if each.detail:
                _line(" " * 10, "", each.detail)
            if each.hint:
                _line(" " * 8 + "→ ", "", each.hint)


def _line(first: str, style: str, text: str) -> None:
    """Print a text with `first` before it; on a terminal broken into lines that begin below its first word."""
    target = console()
    text = one_line(text)
    width = max(target.width - len(first), 30) if is_terminal() else len(text) + 1
    lines = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False) or [""]
    for number, line in enumerate(lines):
        target.print(styled((first if not number else " " * len(first), style), line))
