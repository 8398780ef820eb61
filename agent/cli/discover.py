"""`discover`: proposes monitors for a package, by reading its source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.errors import ConfigError
from ..codebase.propose import Proposal, discover, module_lines, monitor_lines
from .environment import add_environment, lookup_of
from .output import write_new
from .terminal import err, fail, out

if TYPE_CHECKING:
    import argparse

HELP = "propose monitors for a package, by reading its source"

_ROLES = ("service", "task", "view", "command", "manager", "security")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("package", metavar="PACKAGE", help="a package or module, such as sales or erp.apps.sales")
    parser.add_argument("--only", metavar="ROLE", choices=_ROLES, action="append", help=f"of: {', '.join(_ROLES)}")
    parser.add_argument("--output", metavar="FILE", help="a new file, for `include`; default: print it")
    add_environment(parser)


def run(args: argparse.Namespace) -> int:
    """0: proposed, 1: nothing was found to monitor, 2: there is no such package, or the file exists."""
    try:
        lookup = lookup_of(args)
        module = lookup.module(args.package)
        if module is None:
            return fail(f"there is no package `{args.package}` here; name its folder with --path")
        if module.kind not in ("source", "namespace"):
            return fail(f"`{args.package}` cannot be read: {lookup.index(module).unreadable}")
        proposals = discover(lookup, args.package)
        if args.only:
            proposals = [proposal for proposal in proposals if proposal.role in args.only]
        if not proposals:
            err(f"nothing in `{args.package}` looks like a service, task, view, command or manager")
            return 1
        text = render(args.package, proposals)
        if args.output:
            write_new(args.output, text)
        else:
            out(text, end="")
    except ConfigError as error:
        return fail(error)
    return 0


def render(package: str, proposals: list[Proposal]) -> str:
    lines = [
        f"# Proposed for `{package}` by reading its source: keep what matters, drop the rest.",
        "version: 1",
        "",
        "modules:",
        *module_lines(proposal.module for proposal in proposals),
        "",
        "monitors:",
    ]
    for proposal in proposals:
        lines += monitor_lines(proposal)
    return "\n".join(lines) + "\n"
