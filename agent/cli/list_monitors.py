"""`list`: every monitor with the settings that are in effect."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from ..config.load import load
from ..config.paths import default_config_path
from ..config.units import format_duration, format_rate
from ..errors import ConfigError
from ..model import KINDS
from .terminal import console, fail, show_table, shown_path, styled, table

if TYPE_CHECKING:
    import argparse

    from ..model import MonitorData, Problem

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
    path = args.config or default_config_path(os.environ)
    try:
        plan, problems = load(path, os.environ)
        if plan is None:
            return _refuse(path, problems)
        monitors = [
            monitor
            for monitor in plan["monitors"]
            if args.module in (None, monitor["module"]) and args.kind in (None, monitor["kind"])
        ]
        if args.format == "json":
            print(json.dumps(monitors, indent=2, ensure_ascii=False))
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
    listing = table("NAME", "KIND", "MODULE", "OPERATION", "TARGET", "SEVERITY", "SLOW", "LIMIT", "ALSO", "WHERE")
    for monitor in monitors:
        limit = monitor["rate_limit"]
        listing.add_row(
            styled(monitor["name"]),
            styled(monitor["kind"]),
            styled(monitor["module"] or "-"),
            styled(monitor["operation"]),
            styled(" ".join(target["path"] for target in monitor["targets"])),
            styled(monitor["severity"]),
            styled(" ".join(f"{format_duration(step)}={severity}" for step, severity in monitor["thresholds"]) or "-"),
            styled(format_rate(limit) if limit else "-"),
            styled(_also(monitor) or "-"),
            styled(monitor["where"]),
        )
    show_table(listing)


def _also(monitor: MonitorData) -> str:
    """What else the monitor does, in the words of the configuration."""
    found = [
        f"{len(monitor['rules'])} rule{'s' * (len(monitor['rules']) != 1)}" if monitor["rules"] else "",
        f"captures {', '.join(monitor['capture'])}" if monitor["capture"] else "",
        f"expects {len(monitor['expect'])}" if monitor["expect"] else "",
        f"grades {len(monitor['errors'])}" if monitor["errors"] else "",
        "audit" if monitor["audit"] else "",
        f"sample {monitor['sample']:g}" if monitor["sample"] != 1 else "",
        f"span {monitor['span']}" if monitor["span"] != "auto" else "",
        "subclasses" if monitor["subclasses"] else "",
    ]
    return "; ".join(part for part in found if part)


def _refuse(path: str, problems: list[Problem]) -> int:
    errors = [problem for problem in problems if problem.severity == "error"]
    first = errors[0] if errors else None
    why = f"{first.path + ': ' if first.path else ''}{first.message}" if first else "it cannot be used"
    fail(f"{shown_path(path)}: {why}; see: python -m agent validate {shown_path(path)}")
    return 2 if first and first.slug in _COULD_NOT_RUN else 1
