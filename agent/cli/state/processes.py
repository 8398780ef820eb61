"""Processes by their state files, which `base/health.py` writes."""

from __future__ import annotations

import ast
import os
import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from ...base import programs
from ...base.errors import AgentError
from ...base.health import alive
from ...deliver.spool.files import read_own
from ..terminal import one_line

#: Reasons for which a captured event was not kept.
LOSSES = ("spool-full", "too-many", "too-old", "memory-full", "too-large", "lost-at-exit", "not-made", "not-kept")

#: Lines that the processes of one program have in common. The parsed ones are never changed.
_REPEATED = ("('patched',", "('waiting',", "('failed',")
_MOST = 3  # processes of one program that are named

_same = lru_cache(maxsize=1 << 14)(ast.literal_eval)


class Process:
    """A process as its state file describes it."""

    def __init__(self, text: str) -> None:
        self.pid, self.started, self.program, self.python, self.config, self.note = 0, 0.0, "?", "?", "", ""
        self.facts: dict[str, str] = {}  # plan, command, reload, born, family, prefix
        self.patched: dict[tuple[str, str], str] = {}
        self.waiting: dict[tuple[str, str], str] = {}
        self.failed: dict[tuple[str, str], str] = {}
        self.problems: list[str] = []
        self.reduced: dict[str, str] = {}  # monitor, or rule → what it costs, and what is done about it
        self.counts: dict[tuple[str, str], int] = {}
        self.counted = 0.0  # when the counts were written
        self.plan_since = 0.0  # when it took up another plan than it had started with
        self.behind = False  # the last counts of a burst are not written yet
        self.expressions: dict[tuple[str, str], tuple[int, str]] = {}  # (monitor, which) → failures, last reason
        self.scheduled: dict[str, tuple[dict[str, object], str]] = {}  # entry → its schedule, for Sentry, and its zone
        self.sdk = ""
        self.clients: list[str] = []  # how events of the host's own Sentry clients are sent
        for line in text.split("\n"):
            self._read(line)
        self.problems += [f"{monitor}: {words}" for monitor, words in self.reduced.items()]
        self.alive = self._runs()

    def _runs(self) -> bool:
        """Is the process with this number still the one that wrote the file?"""
        born = programs.born(self.pid)
        return bool(self.pid) and alive(self.pid) and (not born or born == (self._fact("born") or born) != "ended")

    def _fact(self, name: str) -> str:
        return str(self.facts.get(name) or "")

    def _read(self, text: str) -> None:
        try:
            line = _same(text) if text.startswith(_REPEATED) else ast.literal_eval(text)
            what = line[0]
            if what == "process":
                _, pid, started, self.program, self.python, self.config, self.note, *more = line
                self.pid, self.started = int(pid), float(started)
                self.facts = dict(more[0]) if more else {}
            elif what in ("patched", "waiting", "failed"):
                _, monitor, path, note = line
                getattr(self, what)[monitor, path] = note
                if what == "patched":
                    self.waiting.pop((monitor, path), None)
            elif what == "plan":
                self.facts["plan"], self.plan_since = line[1], float(line[2])
                self.patched, self.waiting, self.failed, self.problems, self.reduced = {}, {}, {}, [], {}
            elif what == "problem":
                if line[1] not in self.problems:
                    self.problems.append(line[1])
            elif what == "reduced":
                self.reduced.pop(line[1], None)
                if line[2]:
                    self.reduced[line[1]] = line[2]
            elif what == "counts":
                self.counted, self.counts = float(line[1]), line[2]
                rest = line[4] if len(line) > 4 else {}
                self.behind, self.expressions = bool(rest.get("behind")), rest.get("expressions", {})
            elif what == "scheduled":
                _, name, schedule, zone = line
                self.scheduled[str(name)] = dict(schedule), str(zone)
            elif what == "sdk":
                self.sdk = line[1]
            elif what == "client" and line[1] not in self.clients:
                self.clients.append(line[1])
        except (ValueError, SyntaxError, TypeError, IndexError, AttributeError, MemoryError, RecursionError):
            return  # a torn last line: the process was killed while it wrote

    @property
    def plan(self) -> str:
        return self._fact("plan")

    @property
    def command(self) -> str:
        """The agent's command that it is, or "" for a process of the ERP."""
        return self._fact("command")

    @property
    def family(self) -> str:
        return self._fact("family") or str(self.pid)

    @property
    def prefix(self) -> str:
        return self._fact("prefix")

    @property
    def version(self) -> tuple[int, int] | None:
        """Of its Python."""
        found = re.match(r"(\d+)\.(\d+)", self.python)
        return (int(found[1]), int(found[2])) if found else None

    def count(self, *reasons: str) -> int:
        return sum(number for (reason, _), number in self.counts.items() if reason in reasons)

    @property
    def reported(self) -> int:
        """Events that it made, without those of attempts that were repeated: these exist no more."""
        return max(self.count("captured") - self.count("tried-again"), 0)

    def lost(self) -> dict[str, int]:
        found = {reason: self.count(reason) for reason, _ in self.counts if reason in LOSSES}
        return dict(sorted(found.items()))

    def as_json(self) -> dict[str, Any]:
        def rows(table: dict[tuple[str, str], str]) -> list[dict[str, str]]:
            return [{"monitor": monitor, "target": path, "note": note} for (monitor, path), note in table.items()]

        return {
            "pid": self.pid, "alive": self.alive, "started": self.started, "program": self.program,
            "python": self.python, "note": self.note, "sdk": self.sdk, "clients": self.clients,
            "problems": self.problems,
            "reduced": [{"monitor": monitor, "note": note} for monitor, note in self.reduced.items()],
            "patched": rows(self.patched), "waiting": rows(self.waiting), "failed": rows(self.failed),
            "counts": [{"reason": r, "what": w, "number": n} for (r, w), n in sorted(self.counts.items())],
            "counts_are_behind": self.behind,
            "expressions": [
                {"monitor": monitor, "expression": which, "failed": number, "reason": why}
                for (monitor, which), (number, why) in sorted(self.expressions.items())
            ],
        }  # fmt: skip


def read(folder: str) -> list[Process]:
    """Every process with a state file, commands of the agent included, oldest first."""
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".state")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise AgentError(f"{folder} cannot be read: {error}") from None
    found = []
    for name in names:
        try:
            data = read_own(os.path.join(folder, name))
        except (OSError, AgentError):
            continue
        if data is not None:
            found.append(Process(data.decode("utf-8", "replace")))
    found = sorted((process for process in found if process.pid), key=lambda process: process.started)
    newest = {process.pid: process for process in found}
    for process in found:  # a server that restarts itself keeps its number
        process.alive = process.alive and newest[process.pid] is process
    return found


def of_the_host(processes: list[Process], *, all_: bool) -> list[Process]:
    """The ERP's processes that run, else those of the program that ended last, with its workers; with `all_`, all."""
    theirs = [process for process in processes if not process.command]
    living = [process for process in theirs if process.alive]
    if all_ or not theirs:
        return theirs
    return living or [process for process in theirs if process.family == theirs[-1].family]


def all_lost(processes: Iterable[Process]) -> dict[str, int]:
    """Lost events by reason, as these processes counted them."""
    lost: Counter[str] = Counter()
    for process in processes:
        lost.update(process.lost())
    return dict(sorted(lost.items()))


def by_program(pids: Iterable[tuple[str, int]]) -> str:
    """Gunicorn 411, 412, 413 and 6 more; celery worker 501"""
    programs: dict[str, list[str]] = {}
    for program, pid in pids:
        programs.setdefault(one_line(program), []).append(str(pid))
    return "; ".join(
        f"{program} {', '.join(those[:_MOST])}" + (f" and {len(those) - _MOST} more" if len(those) > _MOST else "")
        for program, those in programs.items()
    )


def forget(folder: str, since: float) -> None:
    """Remove the state files that this process wrote since then: it is a command of the agent, not of the ERP."""
    try:
        for name in os.listdir(folder):
            pid, _, stamp = name[: -len(".state")].partition("-")
            if name.endswith(".state") and pid == str(os.getpid()) and stamp.isdigit() and int(stamp) >= since * 1000:
                os.unlink(os.path.join(folder, name))
    except OSError:
        return
