"""`init`: a commented monitors.yaml for the project that it stands in."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from ..base.errors import ConfigError
from ..codebase import search
from ..codebase.project import Project, survey
from ..codebase.propose import module_lines, monitor_lines
from .output import write_new
from .terminal import fail, out, shown_path

if TYPE_CHECKING:
    import argparse

HELP = "write a commented monitors.yaml for the project in this folder"

_FIRST = ("task", "service", "security")  # what a first file monitors; the rest is for `discover`


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help="of the project; default: this one")
    parser.add_argument("--output", metavar="FILE", help="default: monitors.yaml in the folder")
    parser.add_argument("--python", metavar="PATH", help="the interpreter or virtual environment that it runs in")


def run(args: argparse.Namespace) -> int:
    """0: written, 2: the file exists, or could not run."""
    output = args.output or os.path.join(args.folder, "monitors.yaml")
    try:
        if not os.path.isdir(args.folder):
            return fail(f"there is no folder {args.folder}")
        project = survey(args.folder, search.of_interpreter(args.python) if args.python else search.here())
        write_new(output, render(project))
    except ConfigError as error:
        return fail(error)
    words = ["validate", output, *(word for root in project.roots for word in ("--path", root))]
    out(f"wrote {output}: {_told(project)}")
    if project.client is not None:
        out(f"note: {shown_path(project.client)} sets up a Sentry client of the ERP's own. With the same project in")
        out(
            "      sentry.dsn, a failure that both see is there twice: give it another one, or leave it out, and events"
        )
        out("      go through the ERP's client.")
    out(f"next: python -m agent {shlex.join(words)}")
    return 0


def _told(project: Project) -> str:
    chosen = [proposal for proposal in project.proposals if proposal.role in _FIRST]
    apps = f"{len(project.apps)} Django app{'s' * (len(project.apps) != 1)}"
    packs = f"packs {', '.join(project.packs)}" if project.packs else "no pack applies"
    return f"{apps}, {len(chosen)} monitor{'s' * (len(chosen) != 1)}, {packs}"


def render(project: Project) -> str:
    chosen = [proposal for proposal in project.proposals if proposal.role in _FIRST]
    names = [proposal.module for proposal in chosen] + [app.rpartition(".")[2] for app in project.apps]
    lines = [
        "# What is monitored here. Written by `python -m agent init` from the source, which it read and did not run.",
        "# After a change: python -m agent validate",
        "version: 1",
        "",
        "# Monitors that ship with the agent, for the frameworks that are installed.",
        f"packs: [{', '.join(project.packs)}]",
        "",
        "# Without a DSN nothing leaves the machine: `python -m agent events` shows what was caught.",
        "sentry:",
        "  dsn: ${SENTRY_DSN:-}",
        "  environment: ${SENTRY_ENVIRONMENT:-production}",
        "  release: ${SENTRY_RELEASE:-}",
        "  user: [id]                        # never the name or the e-mail address, unless they are listed here",
        "",
        "# For every monitor that does not say otherwise. A `severity` here counts for security as well (otherwise",
        "# warning), a `threshold` for api (otherwise 5s) and database (1s).",
        "defaults: {rate_limit: 30/min}",
        "",
        "# The parts of the system. Give each an `owner`, and `defaults` of its own.",
        "modules:" if names else "modules: {}",
        *module_lines(names),
        "",
    ]
    if not chosen:
        lines += [
            "# Name the functions that matter; `python -m agent discover PACKAGE` proposes some.",
            "monitors: []",
            "#  - target: package.module.function",
            "#    operation: what_it_does",
            "#    threshold: 2s",
            "#    capture: {order: result.number}",
        ]
        return "\n".join(lines) + "\n"
    others = sorted({proposal.role for proposal in project.proposals} - set(_FIRST))
    if others:
        lines.append(
            f"# There are {'s, '.join(others)}s too: `python -m agent discover PACKAGE` proposes monitors for them."
        )
    lines.append("monitors:")
    for proposal in chosen:
        lines += monitor_lines(proposal, "5s" if proposal.role == "service" else "")
    return "\n".join(lines) + "\n"
