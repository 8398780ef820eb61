"""`list`: every monitor with the settings that are in effect."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..base.errors import ConfigError
from ..base.model import KINDS
from ..config.load import load
from ..language.monitor_keys import KEYS
from ..language.units import format_duration, format_rate
from . import options
from .terminal import console, fail, is_terminal, json_text, out, show_table, shown_path, styled, table

if TYPE_CHECKING:
    import argparse

    from ..base.model import MonitorData, Problem

HELP = "show every monitor with the settings that are in effect"

_COULD_NOT_RUN = ("file-missing", "file-unreadable")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", help="default: AGENT_CONFIG, or monitors.yaml beside sitecustomize.py"
    )
    parser.add_argument("--module", metavar="MODULE", help="only the monitors of this ERP module")
    parser.add_argument("--kind", choices=KINDS, help="only the monitors of this kind")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")


def run(args: argparse.Namespace) -> int:
    """0: listed, 1: the file is wrong as a whole, 2: could not run."""
    try:
        path = args.config or options.config_of(None)
        plan, problems = load(path, os.environ)
        if plan is None:
            return _refuse(path, problems)
        monitors = [
            monitor
            for monitor in plan["monitors"]
            if args.module in (None, monitor["module"]) and args.kind in (None, monitor["kind"])
        ]
        if args.format == "json":
            out(json_text(monitors, indent=2))
        else:
            _show(monitors)
        if plan["disabled"]:
            errors = console(stderr=True)
            for line in plan["disabled"]:
                errors.print(styled(("disabled: ", "bold red"), line))
    except ConfigError as error:
        return fail(error)
    return 0


def _show(monitors: list[MonitorData]) -> None:
    """A pipe gets one line for each monitor and a column for everything; a person gets what fits beside each other."""
    if not is_terminal():
        listing = table("NAME", "KIND", "MODULE", "OPERATION", "TARGET", "SEVERITY", "SLOW", "LIMIT", "ALSO", "WHERE")
        for monitor in monitors:
            cells = (
                monitor["name"], monitor["kind"], monitor["module"] or "-", monitor["operation"],
                " ".join(_paths(monitor)), monitor["severity"], " ".join(_slow(monitor)) or "-", _limit(monitor),
                _also(monitor) or "-", monitor["where"],
            )  # fmt: skip
            listing.add_row(*map(styled, cells))
    else:
        listing = table("MONITOR", "MODULE", "SEVERITY", "SLOW", "WHERE", folding="MONITOR")
        for monitor in monitors:
            more = f"{monitor['kind']}; at most {_limit(monitor)}; {_also(monitor)}".rstrip("; ")
            below = "".join("\n" + line for line in (*_paths(monitor), more))
            listing.add_row(
                styled((monitor["name"], "bold"), (below, "dim")),
                styled(monitor["module"] or "-"),
                styled(monitor["severity"]),
                styled("\n".join(_slow(monitor)) or "-"),
                styled(monitor["where"]),
            )
    show_table(listing)


def _paths(monitor: MonitorData) -> list[str]:
    return [target["path"] for target in monitor["targets"]]


def _slow(monitor: MonitorData) -> list[str]:
    return [f"{format_duration(step)}={severity}" for step, severity in monitor["thresholds"]]


def _limit(monitor: MonitorData) -> str:
    return format_rate(monitor["rate_limit"]) if monitor["rate_limit"] else "-"


def _also(monitor: MonitorData) -> str:
    """What else the monitor does, in the words of the configuration."""
    return "; ".join(mention for key in KEYS if (mention := key.listed(monitor)))


def _refuse(path: str, problems: list[Problem]) -> int:
    errors = [problem for problem in problems if problem.severity == "error"]
    first = errors[0] if errors else None
    why = f"{first.path + ': ' if first.path else ''}{first.message}" if first else "it cannot be used"
    fail(f"{shown_path(path)}: {why}; see: python -m agent validate {shown_path(path)}")
    return 2 if first and first.slug in _COULD_NOT_RUN else 1
