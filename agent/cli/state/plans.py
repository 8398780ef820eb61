"""The compiled plans of a configuration, and which of them a process runs.

A plan depends on the environment variables that the configuration names: a process that was started with other values
than this shell has another plan.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ...base import places
from ...plan import index as cache
from ...plan.file import open_plan

if TYPE_CHECKING:
    from .processes import Process

    Monitors = list[tuple[str, str]]


class Plans:
    """`index` is the plan for this shell's variables, up to date or not."""

    def __init__(self, state: str, path: str) -> None:
        self.index = cache.load(state, path)
        self._path = path
        self._known: dict[str, cache.Index] = {}  # by identity
        for file in _files(state):
            plan = open_plan(file, path)
            found = cache.index_of(plan) if plan is not None else None
            if found is not None and found.identity:
                self._known[found.identity] = found
        self._now: cache.Index | cache.Bad | None = None

    def of(self, shown: list[Process]) -> cache.Index | None:
        """The plan of these processes if they run the same one and its file exists; else the shell's."""
        identities = {process.plan for process in shown if process.plan}
        known = self._known.get(identities.pop()) if len(identities) == 1 else None
        return known if known is not None and not self._is_old(known) else self.index

    def age(self, index: cache.Index) -> str:
        if places.unchanged(index.header):
            return "up to date"
        if not places.unchanged(index.header, environment=False):
            return "older than the configuration"
        names = [name for name, value in index.header[2] if os.environ.get(name) != value]
        return f"up to date for processes with other values of {', '.join(names)} than this shell has"

    def is_older(self, process: Process) -> bool:
        """Does it run another plan than a process that is started now?"""
        if not process.plan or self._is_another_pythons(process):
            return False
        known = self._known.get(process.plan)
        if known is None or self._is_old(known):
            # While the file has errors, no newer plan than the last good one exists.
            return isinstance(self._current(), cache.Index)
        return False

    def not_imported(self, process: Process) -> Monitors:
        """Targets of its plan that the process has not reported: it has not imported their modules."""
        index = self._known.get(process.plan)
        if index is None:
            return []
        reported = {*process.patched, *process.waiting, *process.failed}
        monitors = {monitor for monitor, _ in reported}
        return [
            (monitor["name"], target["path"])
            for monitor in index.all_monitors()
            for target in monitor["targets"]
            if (monitor["name"], target["path"]) not in reported
            and not ("*" in target["path"] and monitor["name"] in monitors)
        ]

    def _is_old(self, index: cache.Index) -> bool:
        """Have the files changed, and the plan with them? A file that is saved unchanged does not count."""
        return not places.unchanged(index.header, environment=False) and not _same(index, self._current())

    def _is_another_pythons(self, process: Process) -> bool:
        here = "%d.%d." % sys.version_info[:2]
        return not process.python.startswith(here) or process.prefix not in ("", sys.prefix)

    def _current(self) -> cache.Index | cache.Bad | None:
        """The plan, or the errors, of the configuration as it is now, in this shell."""
        if self._now is None:
            from ...config import child

            made = child.compiled(self._path)
            self._now = cache.decode(made, self._path) if isinstance(made, bytes) else None
        return self._now


def _files(state: str) -> list[str]:
    first = places.plan_file(state)
    stem = os.path.basename(first)[: -len(".bin")]
    try:
        names = os.listdir(state)
    except OSError:
        return []
    return [os.path.join(state, name) for name in sorted(names) if name.startswith(stem) and name.endswith(".bin")]


def _same(one: cache.Index, other: object) -> bool:
    if not isinstance(other, cache.Index):
        return False
    return one.settings() == other.settings() and one.all_monitors() == other.all_monitors()
