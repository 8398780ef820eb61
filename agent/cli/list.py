"""`list`: every monitor with the settings that are in effect."""

from __future__ import annotations

import argparse
import os

from ..base.model import KINDS, SEVERITIES, MonitorData, StancesData
from ..config.load import load
from ..language.learned import spelled
from ..language.monitor_keys import KEYS
from ..language.spelled import listed
from ..language.units import format_duration, format_rate
from .options import add_config, add_format, config_path, unusable
from .terminal import console, is_terminal, json_text, out, show_table, styled, table

HELP = "show every monitor with the settings that are in effect"


def configure(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("--module", metavar="MODULE", help="only the monitors of this ERP module")
    parser.add_argument(
        "--kind", choices=KINDS, metavar="KIND", help=f"only the monitors of this kind: {', '.join(KINDS)}"
    )
    add_format(parser)


def run(args: argparse.Namespace) -> int:
    """0: listed, 1: the file is wrong as a whole, 2: could not run."""
    path = config_path(args.config)
    plan, problems = load(path, os.environ)
    if plan is None:
        raise unusable(path, problems)
    monitors = [
        monitor
        for monitor in plan["monitors"]
        if args.module in (None, monitor["module"]) and args.kind in (None, monitor["kind"])
    ]
    if args.format == "json":
        out(json_text(monitors, indent=2))
    else:
        _show(monitors)
        _show_stances(monitors, plan["sentry"]["stances"])
    if plan["disabled"]:
        errors = console(stderr=True)
        for line in plan["disabled"]:
            errors.print(styled(("disabled: ", "bold red"), line))
    return 0


def _show(monitors: list[MonitorData]) -> None:
    """Print a line for each monitor, with a column for everything; on a terminal only the columns that fit.

    The longest texts come last: they widen no column.
    """
    if not is_terminal():
        listing = table("NAME", "KIND", "MODULE", "OPERATION", "SEVERITY", "SLOW", "LIMIT", "WHERE", "ALSO", "TARGET")
        for monitor in monitors:
            cells = (
                monitor["name"], monitor["kind"], monitor["module"] or "-", monitor["operation"],
                monitor["severity"], " ".join(_slow(monitor)) or "-", _limit(monitor), monitor["where"],
                _also(monitor) or "-", " ".join(_paths(monitor)),
            )  # fmt: skip
            listing.add_row(*map(styled, cells))
    else:
        listing = table("MONITOR", "MODULE", "SEVERITY", "SLOW", folding="MONITOR")
        for monitor in monitors:
            limit = f"at most {_limit(monitor)}" if monitor["rate_limit"] else "no limit"
            more = "; ".join(filter(None, (monitor["kind"], limit, _also(monitor))))
            below = "".join("\n" + line for line in (*_paths(monitor), more, monitor["where"]))
            listing.add_row(
                styled((monitor["name"], "bold"), (below, "dim")),
                styled(monitor["module"] or "-"),
                styled(monitor["severity"]),
                styled("\n".join(_slow(monitor)) or "-"),
            )
    show_table(listing)


def _show_stances(monitors: list[MonitorData], stances: StancesData) -> None:
    """What is made of single exceptions beside the monitors' own lists; `sentry.ignore_errors` is left out."""
    listing = table("EXCEPTION", "REPORTED AS", "IN", folding="EXCEPTION")
    for module in dict.fromkeys(monitor["module"] or "" for monitor in monitors):
        for layer in stances["modules"].get(module, ()):
            for name, made in layer.items():
                listing.add_row(*map(styled, (name, _made(made), f"module {module}")))
    for layer in stances["everywhere"][:2]:
        for name, made in layer.items():
            listing.add_row(*map(styled, (name, _made(made), "all modules")))
    if listing.row_count:
        console().print()
        show_table(listing)


def _made(stance: str) -> str:
    return stance if stance in SEVERITIES else f"never: {stance}"


def _paths(monitor: MonitorData) -> list[str]:
    return [target["path"] for target in monitor["targets"]]


def _slow(monitor: MonitorData) -> list[str]:
    if monitor["learn"] is not None:
        return [spelled(monitor["learn"])]
    return [f"{format_duration(step)}={severity}" for step, severity in monitor["thresholds"]]


def _limit(monitor: MonitorData) -> str:
    return format_rate(monitor["rate_limit"]) if monitor["rate_limit"] else "-"


def _also(monitor: MonitorData) -> str:
    """What else the monitor does, in the words of the configuration."""
    return "; ".join(mention for key in KEYS if (mention := listed(key, monitor)))
