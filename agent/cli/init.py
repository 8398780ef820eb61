"""`init`: a commented monitors.yaml for the project in a folder."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence

from ..base.errors import ConfigError
from ..codebase import search
from ..codebase.proposals.project import Project, survey
from ..codebase.proposals.propose import Proposal, distinct, module_lines, monitor_lines
from ..config.load import without_collection
from .terminal import counted, out, shown_path, write_new

HELP = "write a commented monitors.yaml for the project in this folder"

_MOST_NAMES = 6  # of packages, in one line
_FIRST = ("task", "service", "security")  # what a first file monitors; `discover` proposes the others


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", nargs="?", default=".", metavar="FOLDER", help="folder of the project (default: this one)"
    )
    parser.add_argument("--output", metavar="FILE", help="file to write (default: monitors.yaml in that folder)")
    parser.add_argument("--python", metavar="PATH", help="interpreter or virtual environment that the project runs in")


def run(args: argparse.Namespace) -> int:
    """0: written, 2: the file exists, or could not run."""
    output = args.output or os.path.join(args.folder, "monitors.yaml")
    if not os.path.isdir(args.folder):
        raise ConfigError(f"there is no folder {args.folder}")
    search_path = search.of_interpreter(args.python) if args.python else search.here()
    with without_collection():  # it would go through the trees of all files again and again
        project = survey(args.folder, search_path)
    write_new(output, render(project))
    words = ["validate", output, *(word for root in project.roots for word in ("--path", root))]
    out(f"wrote {output}: {_summary(project)}")
    if project.absent:
        shown = ", ".join(project.absent[:_MOST_NAMES]) + (" …" if len(project.absent) > _MOST_NAMES else "")
        packages = counted(len(project.absent), "package")
        out(f"note: {packages} that this source imports cannot be found with {search_path.executable}: {shown}")
        out("      The packs and functions that need them are not proposed. If the project runs in another")
        out("      environment, write the file anew with `--python PATH` of that environment.")
    if project.covered:
        out(f"note: left out: {', '.join(project.covered)}. The source imports no such driver: packs of what uses one")
        out("      see each statement. If the project uses a driver itself, add its pack.")
    if project.client is not None:
        out(f"note: {shown_path(project.client)} sets up a Sentry client of the ERP's own.")
        out("      If sentry.dsn names the same project, a failure that both see is sent once, by the agent,")
        out("      and what both trace is there twice. Give sentry.dsn another project to keep them apart.")
    if project.extended:
        out(f"note: this project configures {', '.join(project.extended)}, which is installed, and counts as the ERP.")
        out(f"      `{_discover(project.extended)}` proposes monitors of it.")
    elif not _chosen(project):
        out(f"no function looks like a service or a task: `{_discover(project.packages)}` proposes monitors for others")
    out(f"next: python -m agent {shlex.join(words)}")
    return 0


def _chosen(project: Project) -> list[Proposal]:
    return [proposal for proposal in project.proposals if proposal.role in _FIRST]


def _summary(project: Project) -> str:
    packs = f"packs {', '.join(project.packs)}" if project.packs else "no pack applies"
    apps = f"{counted(len(project.apps), 'Django app')}, " if project.apps else ""
    return f"{apps}{counted(len(_chosen(project)), 'monitor')}, {packs}"


def _discover(packages: Sequence[str]) -> str:
    return f"python -m agent discover {packages[0] if packages else 'PACKAGE'}"


def _defaults(project: Project) -> list[str]:
    if not project.refusals:
        return ["defaults: {rate_limit: 30/min}"]
    return [
        "defaults:",
        "  rate_limit: 30/min",
        "  # By their names, these refuse somebody what they may not do: everyday business, which is not reported.",
        "  expect:",
        *(f"  - {name}" for name in project.refusals),
    ]


def _own(project: Project) -> list[str]:
    if not project.installed:
        return []
    return [f"  in_app_include: [{', '.join(project.installed)}]  # the ERP, though it is installed like a library"]


def render(project: Project) -> str:
    chosen = _chosen(project)
    names = [proposal.module for proposal in chosen] + [app.rpartition(".")[2] for app in project.apps]
    lines = [
        "# The monitors of this project. Written by `python -m agent init`, which read its source and ran none of it.",
        "# After a change: python -m agent validate",
        "version: 1",
        "",
        "# Monitors that ship with the agent, for the frameworks that are installed.",
        f"packs: [{', '.join(project.packs)}]",
        "",
        "# Without a DSN nothing leaves this machine: `python -m agent events` shows what was captured.",
        "sentry:",
        "  dsn: ${SENTRY_DSN:-}",
        "  environment: ${SENTRY_ENVIRONMENT:-production}",
        "  release: ${SENTRY_RELEASE:-}",
        "  user: [id]                        # never the name or the e-mail address, unless they are listed here",
        *_own(project),
        "",
        "# For every monitor without a value of its own. A `severity` here also replaces the one of kind security",
        "# (warning), and a `threshold` those of kind api (5s) and database (1s).",
        *_defaults(project),
        "",
        "# The parts of the system. Give each an `owner`, and `defaults` of its own.",
        "modules:" if names else "modules: {}",
        *module_lines(names),
        "",
    ]
    if not chosen:
        lines += [
            f"# Name the functions that matter; `{_discover(project.packages)}` proposes some.",
            "monitors: []",
            "#  - target: package.module.function",
            "#    operation: what_it_does",
            "#    threshold: 2s",
            "#    capture: {order: result.number}",
        ]
        return "\n".join(lines) + "\n"
    others = sorted({proposal.role for proposal in project.proposals} - {*_FIRST, "function"})
    if others:
        lines.append(
            f"# There are {'s, '.join(others)}s too: `python -m agent discover PACKAGE` proposes monitors for them."
        )
    lines.append("monitors:")
    for proposal in distinct(chosen):
        lines += monitor_lines(proposal, "5s" if proposal.role == "service" else "")
    return "\n".join(lines) + "\n"
