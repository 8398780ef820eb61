"""`status`: what this configuration did in the processes that run, or ran last: patched, waiting, failed and why."""

from __future__ import annotations

import ast
import os
import time
from typing import TYPE_CHECKING, Any

from .. import start
from ..config import cache
from ..deliver.files import UnreadableError, read_own
from ..errors import AgentError
from ..health import alive
from ..inforce import last_good_for
from . import here
from .terminal import console, json_text, out, show_table, shown_path, styled, table

if TYPE_CHECKING:
    import argparse

HELP = "show what the configuration did in running processes: patched, waiting for import, failed and why"


class Process:
    """One state file, read back."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.pid, self.started, self.program, self.python, self.config, self.note = 0, 0.0, "?", "?", "", ""
        self.patched: dict[tuple[str, str], str] = {}
        self.waiting: dict[tuple[str, str], str] = {}
        self.failed: dict[tuple[str, str], str] = {}
        self.problems: list[str] = []
        self.counts: dict[tuple[str, str], int] = {}
        self.measured: dict[str, tuple[Any, ...]] = {}  # monitor → calls, failures, p50, p95, p99, longest (seconds)
        self.sdk = ""
        self.clients: list[str] = []  # what becomes of what Sentry clients of the host's own send
        for text in (read_own(file) or b"").decode("utf-8", "replace").split("\n"):
            self._read(text)

    def _read(self, text: str) -> None:
        try:
            line = ast.literal_eval(text)
            what = line[0]
            if what == "process":
                _, pid, started, self.program, self.python, self.config, self.note = line
                self.pid, self.started = int(pid), float(started)
            elif what in ("patched", "waiting", "failed"):
                _, monitor, path, note = line
                getattr(self, what)[monitor, path] = note
                if what == "patched":
                    self.waiting.pop((monitor, path), None)
            elif what == "problem":
                self.problems.append(line[1])
            elif what == "counts":
                self.counts = line[2]
                self.measured = line[3] if len(line) > 3 else {}
            elif what == "sdk":
                self.sdk = line[1]
            elif what == "client" and line[1] not in self.clients:
                self.clients.append(line[1])
        except (ValueError, SyntaxError, TypeError, IndexError, RecursionError, MemoryError):
            return  # a torn last line: the process was killed while it wrote

    @property
    def alive(self) -> bool:
        return bool(self.pid) and alive(self.pid)

    def count(self, *reasons: str) -> int:
        return sum(number for (reason, _), number in self.counts.items() if reason in reasons)

    def as_json(self) -> dict[str, Any]:
        def rows(table_: dict[tuple[str, str], str]) -> list[dict[str, str]]:
            return [{"monitor": monitor, "target": path, "note": note} for (monitor, path), note in table_.items()]

        return {
            "pid": self.pid, "alive": self.alive, "started": self.started, "program": self.program,
            "python": self.python, "note": self.note, "sdk": self.sdk, "clients": self.clients,
            "problems": self.problems,
            "patched": rows(self.patched), "waiting": rows(self.waiting), "failed": rows(self.failed),
            "measured": [
                {"monitor": name, **dict(zip(("calls", "failures", "p50", "p95", "p99", "max"), numbers))}
                for name, numbers in sorted(self.measured.items())
            ],
            "counts": [{"reason": r, "what": w, "number": n} for (r, w), n in sorted(self.counts.items())],
        }  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    here.add_config(parser)
    parser.add_argument("--all", action="store_true", help="also processes that have ended (default: the last of them)")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")


def run(arguments: argparse.Namespace) -> int:
    """0: all that ran did what the configuration says, 1: something failed or is not in force."""
    path = os.path.abspath(arguments.config) if arguments.config else start.config_path(os.environ)
    state = start.state_folder(os.environ, path)
    processes = read_processes(os.path.join(state, "run"))
    shown = processes if arguments.all else _interesting(processes)
    problems = _problems(state, path)
    bad = bool(problems) or any(process.failed or process.problems for process in shown)
    if arguments.format == "json":
        answer = {"config": path, "state": state, "problems": problems, "processes": [item.as_json() for item in shown]}
        out(json_text(answer, indent=2))
        return int(bad)
    target = console()
    target.print(styled(("configuration ", "dim"), shown_path(path)))
    target.print(styled(("state         ", "dim"), state))
    _show_plan(state, path)
    _show_spool(arguments)
    for problem in problems:
        target.print(styled(("problem: ", "bold red"), problem))
    if not shown:
        target.print("\nNo process has said anything yet: none has imported a module that a monitor names.")
        if os.environ.get("AGENT_DISABLED"):
            target.print("AGENT_DISABLED is set here.")
        return 0
    plan = _plan(state, path)
    for process in shown:
        _show_process(process, plan, problems)
    return int(bad)


def read_processes(folder: str) -> list[Process]:
    """Every process that left a state file, oldest first."""
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".state")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise AgentError(f"{folder} cannot be read: {error}") from None
    found = []
    for name in names:
        try:
            found.append(Process(os.path.join(folder, name)))
        except (OSError, UnreadableError):
            continue
    return sorted(found, key=lambda process: process.started)


def _interesting(processes: list[Process]) -> list[Process]:
    living = [process for process in processes if process.alive]
    return living or processes[-1:]


def _problems(state: str, path: str) -> list[str]:
    """What the compiled plan says of the configuration: monitors that disable themselves, keys that mean nothing."""
    index = cache.load(state, path)
    return list(index.problems) if index is not None else []


def _plan(state: str, path: str) -> list[tuple[str, str]]:
    """(monitor, target) of the plan in force."""
    index = cache.load(state, path)
    if index is None:
        return []
    return [(monitor["name"], target["path"]) for monitor in index.all_monitors() for target in monitor["targets"]]


def _not_imported(process: Process, plan: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What the process has said nothing of: no module that could hold it has been imported there."""
    heard = {*process.patched, *process.waiting, *process.failed}
    heard_patterns = {monitor for monitor, _ in heard}
    return [
        (monitor, path)
        for monitor, path in plan
        if (monitor, path) not in heard and not ("*" in path and monitor in heard_patterns)
    ]


def _show_plan(state: str, path: str) -> None:
    index = cache.load(state, path)
    bad = cache.load_bad(state, path)
    target = console()
    if index is None:
        words = "none compiled yet for this Python and environment: the first process makes it"
        if bad is not None:
            words = "none: " + (bad.problems[0] if bad.problems else "the configuration gives no plan")
        target.print(styled(("plan          ", "dim"), words))
        return
    number = len(index.all_monitors())
    fresh = "up to date" if start.unchanged(index.header) else "older than the configuration or its environment"
    target.print(styled(("plan          ", "dim"), "%d monitor%s, %s" % (number, "s" * (number != 1), fresh)))
    if bad is not None:
        allowed = last_good_for(os.environ.get("AGENT_LAST_GOOD"))
        since, until = (time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) for at in (bad.since, bad.since + allowed))
        words = f"the last good plan is in force since {since}, until {until} (AGENT_LAST_GOOD)"
        if time.time() > bad.since + allowed:
            words = f"nothing is monitored: the last good plan was in force until {until} (AGENT_LAST_GOOD)"
        target.print(styled(("problem: ", "bold red"), words))


def _show_spool(arguments: argparse.Namespace) -> None:
    target = console()
    try:
        where = here.look(arguments)
    except AgentError as error:
        target.print(styled(("spool         ", "dim"), str(error)))
        return
    spool = where.spool()
    entries = spool.entries()
    aside = spool.quarantined()
    words = "%d event%s waiting" % (len(entries), "s" * (len(entries) != 1)) if entries else "empty"
    if entries and not where.sentry["dsn"]:
        words = "%d event%s kept (no DSN)" % (len(entries), "s" * (len(entries) != 1))
    if aside:
        words += ", %d set aside (last: %s)" % (len(aside), aside[-1][1] or "no reason kept")
    if spool.degraded:
        words += f", in trouble: {spool.degraded}"
    target.print(styled(("spool         ", "dim"), words + " in " + spool.directory))
    if entries and where.sentry["dsn"]:
        target.print(styled(("              ", "dim"), "why they wait: python -m agent spool status"))


def _show_process(process: Process, plan: list[tuple[str, str]], told: list[str]) -> None:
    target = console()
    state = "running" if process.alive else "ended"
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(process.started))
    target.print(
        styled("\n", (f"{process.program} ", "bold"), "(pid %d, %s, Python %s, since %s)" % (
            process.pid, state, process.python, began))
    )  # fmt: skip
    for problem in dict.fromkeys(item for item in process.problems if item not in told):
        target.print(styled(("  problem: ", "bold red"), problem))
    if process.sdk:
        target.print(styled(("  Sentry SDK: ", "dim"), process.sdk))
    for said in process.clients:
        target.print(styled(("  the host's own Sentry client: ", "dim"), said))
    unheard = dict.fromkeys(_not_imported(process, plan), "its module has not been imported")
    waiting = {**process.waiting, **unheard}
    again = process.count("tried-again")  # errors of attempts that a task framework repeated
    target.print(
        f"  {len(process.patched)} patched, {len(waiting)} waiting, {len(process.failed)} failed; "
        f"{process.count('captured')} reported, {process.count('expected')} expected, "
        f"{process.count('rate')} held back by limits" + (f", {again} tried again" if again else "")
    )
    lost = {reason: process.count(reason) for reason, _ in process.counts if reason in LOSSES}
    if lost:
        words = ", ".join("%d %s" % (number, reason) for reason, number in sorted(lost.items()))
        target.print(styled(("  lost: ", "bold red"), words))
    slow = process.count("slow-disk")
    if slow:
        words = "%d time%s it held up other threads while events were written" % (slow, "s" * (slow != 1))
        target.print(styled(("  slow disk: ", "yellow"), words + " (delivery.spool.keep_interpreter)"))
    _show_measured(process)
    rows = table("STATE", "MONITOR", "TARGET", "NOTE")
    for name, items in (("failed", process.failed), ("waiting", waiting), ("patched", process.patched)):
        style = {"failed": "bold red", "waiting": "yellow"}.get(name, "green")
        for (monitor, path), note in items.items():
            rows.add_row(styled((name, style)), styled(monitor), styled(path), styled(note))
    if process.patched or waiting or process.failed:
        show_table(rows)


def _show_measured(process: Process) -> None:
    """What is most of the process's time first."""
    if not process.measured:
        return
    numbers = ("CALLS", "FAILED", "P50", "P95", "MAX")
    rows = table("MONITOR", *numbers, right=numbers)
    for name, (calls, failures, p50, p95, _, longest) in sorted(
        process.measured.items(), key=lambda item: -item[1][0] * (item[1][2] or 0.0)
    ):
        times = [_time(seconds) for seconds in (p50, p95, longest)]
        rows.add_row(styled(name), *map(styled, (f"{calls:,}", f"{failures:,}", *times)))
    show_table(rows)


def _time(seconds: float | None) -> str:
    """Two digits: more are not known."""
    if seconds is None:
        return "-"
    seconds = float(f"{seconds:.2g}")
    size, unit = next((each for each in ((1.0, "s"), (1e-3, "ms")) if seconds >= each[0]), (1e-6, "µs"))
    return f"{float(f'{seconds / size:.2g}'):,g} {unit}"


#: Reasons under which an event was captured and then not kept.
LOSSES = ("spool-full", "too-many", "too-old", "memory-full", "too-large", "lost-at-exit", "not-made", "not-kept")
