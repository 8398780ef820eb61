"""`disable`: switches monitors off in running processes, for a time or until `enable`."""

from __future__ import annotations

import argparse
import time

from ...base.errors import ConfigError
from ...base.wildcards import segment_match
from ...config.overlay import Off, Overlay
from .. import options
from ..terminal import moment, out
from . import change, other_users
from .shown import show_taken

HELP = "switch monitors off in running processes, for a time or until `enable`"


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_config(parser)
    parser.add_argument("name", metavar="NAME", nargs="*", help="name of a monitor; `*` stands for any characters")
    parser.add_argument("--all", action="store_true", help="switch off every monitor")
    parser.add_argument("--for", metavar="DURATION", dest="time", help="switch on again after this time, such as 10m")
    options.add_waiting(parser)


def run(arguments: argparse.Namespace) -> int:
    """0: all processes have it, 1: some have not yet."""
    patterns = ["*"] if arguments.all else arguments.name
    if not patterns:
        raise ConfigError("name the monitors to switch off, or add --all; `python -m agent list` prints their names")
    configured = options.configured(arguments)
    change.check_allowed(configured)
    now = time.time()
    until = now + change.duration(arguments.time) if arguments.time else None
    names = _names(configured.config)
    for pattern in patterns:
        if not any(segment_match(pattern, name) for name in names):
            raise ConfigError(f"no monitor is called {pattern!r}; `python -m agent list` prints their names")

    def switch(before: Overlay) -> Overlay:
        kept = [each for each in before.off if each.pattern not in patterns]
        return Overlay((*kept, *[Off(pattern, now, until, change.me()) for pattern in patterns]), before.put)

    _, plan = change.apply(configured, switch)
    words = "until " + moment(until, "%Y-%m-%d %H:%M:%S") if until is not None else "until `enable`"
    change.audit(configured, "disable", "Monitors were switched off", {
        "monitors": ", ".join(patterns), "until": words, "by": change.me(),
    })  # fmt: skip
    out(f"{', '.join(patterns)}: off {words}")
    status = show_taken(change.wait(configured.config, configured.state, plan.identity, arguments.timeout))
    return max(status, other_users.wait(other_users.begin(configured)))


def _names(path: str) -> list[str]:
    import os

    from ...config.load import examine

    return [monitor["name"] for _, monitor in examine(path, os.environ).built]
