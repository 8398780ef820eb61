"""`discover`: proposes monitors for a package, by reading its source."""

from __future__ import annotations

import argparse

from ..base.errors import ConfigError
from ..codebase.proposals.propose import Proposal, discover, distinct, module_lines, monitor_lines
from .environment import add_environment, lookup_of
from .options import ProblemsError
from .terminal import out, write_new

HELP = "propose monitors for a package, by reading its source"

_ROLES = ("service", "task", "view", "command", "manager", "security")
_OTHERS = "function"  # public, and of no role: proposed where a package has nothing else


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("package", metavar="PACKAGE", help="package or module, such as sales or erp.apps.sales")
    choices = (*_ROLES, _OTHERS)
    roles = f"only functions of this role: {', '.join(choices)} (public, without a role); repeatable"
    parser.add_argument("--only", metavar="ROLE", choices=choices, action="append", help=roles)
    parser.add_argument("--output", metavar="FILE", help="new file to write, for `include` (default: print it)")
    add_environment(parser)


def run(args: argparse.Namespace) -> int:
    """0: proposed, 1: nothing was found to monitor, 2: there is no such package, or the file exists."""
    lookup = lookup_of(args)
    module = lookup.module(args.package)
    if module is None:
        raise ConfigError(f"there is no package `{args.package}` here: name its folder with --path")
    if module.kind not in ("source", "namespace"):
        raise ConfigError(f"`{args.package}` cannot be read: {lookup.index(module).unreadable}")
    roles = args.only or _ROLES
    found = discover(lookup, args.package)
    proposals = [proposal for proposal in found if proposal.role in roles]
    if not args.only:
        proposals = proposals or found
    if not proposals:
        what = f"nothing that looks like a {' or '.join(roles)}" if args.only else "no public function"
        raise ProblemsError(f"`{args.package}` has {what}: name the functions that matter in monitors.yaml")
    text = render(args.package, proposals)
    if args.output:
        write_new(args.output, text)
    else:
        out(text, end="")
    return 0


def render(package: str, proposals: list[Proposal]) -> str:
    lines = [
        f"# Proposed for `{package}` by reading its source: keep what matters, delete the others.",
        "version: 1",
        "",
        "modules:",
        *module_lines(proposal.module for proposal in proposals),
        "",
        "monitors:",
    ]
    for proposal in distinct(proposals):
        lines += monitor_lines(proposal)
    return "\n".join(lines) + "\n"
