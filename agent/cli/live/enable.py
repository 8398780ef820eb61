"""`enable`: switches monitors on again that `disable` switched off."""

from __future__ import annotations

import argparse

from ...base.errors import ConfigError
from ...base.wildcards import segment_match
from ...config.overlay import Off, Overlay
from .. import options
from ..terminal import out
from . import change, other_users
from .shown import show_taken

HELP = "switch monitors on again that `disable` switched off"


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_config(parser)
    parser.add_argument("name", metavar="NAME", nargs="*", help="what was given to `disable`")
    parser.add_argument("--all", action="store_true", help="switch on all that is off")
    options.add_waiting(parser)


def run(arguments: argparse.Namespace) -> int:
    """0: all processes have it, 1: some have not yet."""
    if not arguments.name and not arguments.all:
        raise ConfigError("name what to switch on, or add --all; `python -m agent status` prints what is off")
    configured = options.configured(arguments)
    off = change.current(configured.state).off
    gone = [each for each in off if arguments.all or each.pattern in arguments.name]
    unknown = [name for name in arguments.name if name not in [each.pattern for each in off]]
    if unknown:
        known = ", ".join(each.pattern for each in off) or "nothing"
        by = next((each.pattern for each in off if segment_match(each.pattern, unknown[0])), "")
        hint = f"; it is off as one of {by!r}" if by else ""
        raise ConfigError(f"{unknown[0]!r} was not given to `disable`{hint}; off: {known}")
    if not gone:
        out("nothing is off")
        return 0

    def switch(before: Overlay) -> Overlay:
        return Overlay(tuple([each for each in before.off if _pattern(each) not in _patterns(gone)]), before.put)

    _, plan = change.apply(configured, switch)
    change.audit(configured, "enable", "Monitors were switched on", {
        "monitors": ", ".join(_patterns(gone)), "by": change.me(),
    })  # fmt: skip
    out(f"{', '.join(_patterns(gone))}: on")
    status = show_taken(change.wait(configured.config, configured.state, plan.identity, arguments.timeout))
    return max(status, other_users.wait(other_users.begin(configured)))


def _pattern(each: Off) -> str:
    return each.pattern


def _patterns(items: list[Off]) -> list[str]:
    return [each.pattern for each in items]
