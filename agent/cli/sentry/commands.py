"""The parser of `sentry`, and its commands `plan`, `apply` and `export`."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable
from typing import NamedTuple

from ...base import places
from ...base.errors import AgentError
from ...codebase import beat
from ...sentry_project import facts as project_facts
from ...sentry_project import plan as planning
from ...sentry_project import present, site, wanted
from ...sentry_project.apply import apply
from ...sentry_project.facts import Facts
from ...sentry_project.kinds import crons
from ...sentry_project.plan import Change, Plan
from ...sentry_project.present import Present
from ...sentry_project.site import Site
from ...sentry_project.terraform import Export
from ...sentry_project.wanted import Wanted
from .. import options
from ..environment import add_environment, lookup_of
from ..spool.confirmed import confirmed
from ..state import processes
from ..terminal import counted, err, json_text, out, write_new
from . import show

HELP = "set up dashboards, alerts, owners and cron monitors in Sentry, as the configuration describes the ERP"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the commands. Exit status of `plan` 0: nothing differs, 1: something does; of `apply` 0: done."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="action", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = options.add_command(commands, name, run, text)
        options.add_config(sub)
        add_environment(sub)
        return sub

    plan = add("plan", _plan, "show what `apply` would change in Sentry, and change nothing")
    options.add_format(plan)
    make = add("apply", _apply, "create and change in Sentry what differs from the configuration")
    for sub in (plan, make):
        sub.add_argument(
            "--delete", action="store_true", help="also delete what an earlier `apply` made and the file no longer has"
        )
    make.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    export = add("export", _export, "print what `apply` would set up, as Terraform or JSON; sends no request")
    export.add_argument(
        "--format", choices=("terraform", "json"), default="terraform",
        help="terraform: for the provider jianyuan/sentry (default); json: each thing as `plan` compares it",
    )  # fmt: skip
    export.add_argument("--output", metavar="FILE", help="file to write, such as sentry.tf.json (default: print it)")


class _Compared(NamedTuple):
    facts: Facts
    site: Site
    present: Present
    plan: Plan


def _wanted(arguments: argparse.Namespace) -> tuple[Facts, Wanted]:
    path = options.config_path(arguments.config)
    facts = project_facts.read(path, os.environ)
    entries, seen = [], []
    if facts.has("cron-monitors"):
        packages = dict.fromkeys(name for module in facts.modules for name in module.packages)
        entries = beat.entries(lookup_of(arguments), packages)
        seen = _seen(os.path.join(places.state_folder(os.environ, path), "run"))
    return facts, wanted.all_of(facts, entries, seen)


def _seen(folder: str) -> list[crons.Seen]:
    """The entries of schedules for which processes have sent check-ins, as the last of them has sent each."""
    found: dict[str, crons.Seen] = {}
    for process in processes.read(folder):
        for name, (schedule, zone) in process.scheduled.items():
            words = [str(schedule[key]) for key in ("value", "unit") if key in schedule]
            found[name] = crons.Seen(name, " ".join(words), zone if zone == "UTC" or "/" in zone else "UTC")
    return list(found.values())


def _compared(arguments: argparse.Namespace, *, writing: bool) -> _Compared:
    facts, want = _wanted(arguments)
    if facts.url.startswith("http://") and not facts.url.startswith(
        ("http://127.", "http://localhost", "http://[::1]")
    ):
        err(f"note: the token goes to {facts.url} unencrypted; write https:// in sentry.project.url if Sentry has it")
    where = site.connect(facts, os.environ, writing=writing)
    site.check_people(where, facts)
    there = present.read(where, want.things, wanted.kinds(facts))
    things = planning.canonical(want.things, where.people)
    return _Compared(facts, where, there, planning.compare(things, there, want.notes))


def _chosen(plan: Plan, arguments: argparse.Namespace) -> list[Change]:
    return [*plan.changes, *(plan.leftovers if arguments.delete else ())]


def _plan(arguments: argparse.Namespace) -> int:
    compared = _compared(arguments, writing=False)
    changes = _chosen(compared.plan, arguments)
    if arguments.format == "json":
        out(json_text(show.as_json(compared.site, compared.plan), indent=2))
    else:
        show.plan(compared.site, compared.plan, delete=arguments.delete)
        if changes:
            out(f"To do it: {_same('apply', arguments)}")
    return int(bool(changes or compared.plan.leftovers))


def _same(command: str, arguments: argparse.Namespace) -> str:
    """Another command with the options of this one."""
    words = ["python", "-m", "agent", "sentry", command]
    for option, values in (
        ("--config", [arguments.config]),
        ("--python", [arguments.python]),
        ("--path", arguments.path),
    ):
        words += [word for value in values if value for word in (option, value)]
    return shlex.join([*words, *(["--delete"] if arguments.delete else [])])


def _apply(arguments: argparse.Namespace) -> int:
    compared = _compared(arguments, writing=True)
    changes = _chosen(compared.plan, arguments)
    show.plan(compared.site, compared.plan, delete=arguments.delete)
    if not changes:
        return 0
    if not arguments.yes and not confirmed(f"Do this in project {compared.site.project} of Sentry?"):
        out("Nothing was changed.")
        return 1
    done: list[Change] = []

    def note(change: Change) -> None:
        done.append(change)
        out(f"  {show.DONE[change.action]} {change.thing.title}")

    try:
        apply(compared.site, compared.present, changes, note)
    except AgentError as error:
        left = len(changes) - len(done)
        raise AgentError(
            f"{error}\n{counted(len(done), 'change')} made, {left} left; after the cause is removed, run the same "
            "command again: it goes on from there"
        ) from None
    out(f"{counted(len(done), 'change')} made.")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    facts, want = _wanted(arguments)
    if arguments.format == "json":
        held = [{"kind": thing.kind, "name": thing.name, **thing.body} for thing in want.things]
        text = json_text(held, indent=2)
    else:
        text = json_text(Export(facts, want.things).document(), indent=2)
    if arguments.output:
        write_new(arguments.output, text + "\n", replace=True)
    else:
        out(text)
    for note in want.notes:
        err(f"note: {note}")
    return 0
