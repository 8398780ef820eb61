"""The lines that are watched in this process: found, watched for their time, and given back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..base import guard
from ..base.errors import CannotPatch
from ..base.interrupts import ours
from ..deliver import stream
from ..hook.code import inject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..base.model import LineData, MonitorData
    from ..hook.targets.at_line import Placed
    from ..observe.call.terms import Terms
    from ..observe.call.watched_line import WatchedLine

#: Where code can be put at a line.
POSSIBLE = inject.AVAILABLE and sys.version_info >= (3, 11)


class _Watched:
    """One line: waiting for its file, in place, or refused."""

    def __init__(self, monitor: MonitorData) -> None:
        self.monitor = monitor
        self.at: WatchedLine | None = None
        self.placed: Placed | None = None
        self.refused = ""


class Lines:
    """`state` returns the state folder; `record(what, monitor, path, note)` shows in `status` what became of a line."""

    def __init__(
        self,
        terms_of: Callable[[MonitorData], Terms],
        state: Callable[[], str],
        record: Callable[[str, str, str, str], None],
        look: Callable[[], None],
    ) -> None:
        self._terms_of, self._state, self._record, self._look = terms_of, state, record, look
        self._all: dict[str, _Watched] = {}
        self._modules = 0  # that were loaded when those that wait were looked for

    def follow(self, monitors: Iterable[MonitorData]) -> None:
        """These are watched from now on, and no others."""
        wanted = {monitor["name"]: monitor for monitor in monitors}
        for name in [name for name in self._all if name not in wanted]:
            self._take_out(self._all.pop(name))
        for name, monitor in wanted.items():
            if name not in self._all:
                self._all[name] = watched = _Watched(monitor)
                self._place(watched)
        self._modules = len(sys.modules)

    def look(self) -> None:
        """Called about once a second: a file that is waited for may have been loaded."""
        waiting = [each for each in self._all.values() if each.placed is None and not each.refused]
        if not waiting or self._modules == len(sys.modules):
            return
        self._modules = len(sys.modules)
        for watched in waiting:
            self._place(watched)
            if watched.placed is not None or watched.refused:
                self._record(*_record_of(watched))

    def after_fork(self) -> None:
        for watched in self._all.values():
            if watched.at is not None:
                watched.at.begin()
                self._show(watched)

    def records(self) -> Iterator[tuple[str, str, str, str]]:
        """What `record` is called with, of all that is so now."""
        return map(_record_of, self._all.values())

    def _place(self, watched: _Watched) -> None:
        if POSSIBLE:
            self._try_to_place(watched)
        else:
            watched.refused = _impossible()
        self._show(watched)

    def _try_to_place(self, watched: _Watched) -> None:
        from ..hook.targets import at_line
        from ..observe.call.watched_line import WatchedLine

        monitor, line = watched.monitor, watched.monitor["line"]
        assert line is not None
        name = monitor["name"]
        try:
            at = WatchedLine(
                self._terms_of(monitor),
                line,
                look=self._look,
                counted=lambda: stream.note(self._state(), name, **_times(at)),
                give_up=lambda why: self._give_up(watched, why),
            )
            watched.placed = at_line.place(line["file"], line["path"], line["number"], at.come, at.why_not)
            watched.at = at
        except ours(at_line.NotLoaded):
            pass
        except ours(CannotPatch) as reason:
            watched.refused = str(reason)
        except ours(Exception):
            watched.refused = "the agent's own code failed: see stderr"
            guard.swallow("putting code at a line")

    def _give_up(self, watched: _Watched, why: str) -> None:
        watched.refused = "taken out of this process: " + why
        self._take_out(watched)
        self._show(watched)
        self._record(*_record_of(watched))

    def _take_out(self, watched: _Watched) -> None:
        placed, watched.placed = watched.placed, None
        if watched.at is not None:
            watched.at.closed = True
        if placed is not None:
            placed.undo()

    def _show(self, watched: _Watched) -> None:
        monitor, line, placed = watched.monitor, watched.monitor["line"], watched.placed
        assert line is not None
        facts: dict[str, object] = {"waiting": True}
        if watched.refused:
            facts = {"refused": watched.refused, **(_times(watched.at) if watched.at is not None else {})}
        elif placed is not None:
            facts = {
                "placed": placed.where,
                "file": placed.file,
                "functions": placed.count,
                "other": _other(line, placed),
            }
        stream.note(self._state(), monitor["name"], **facts)


def _times(at: WatchedLine) -> dict[str, object]:
    return {"seen": at.seen, "looked": at.looked, "failure": at.failure}


def _record_of(watched: _Watched) -> tuple[str, str, str, str]:
    name, line = watched.monitor["name"], watched.monitor["line"]
    assert line is not None
    path = f"{line['file']}:{line['number']}"
    if watched.placed is not None:
        return "patched", name, path, f"in {watched.placed.where}"
    if watched.refused:
        return "failed", name, path, watched.refused
    return "waiting", name, path, "no module of this file is loaded"


def _other(line: LineData, placed: Placed) -> str:
    """Where the process has loaded another text than the file has now."""
    if line["function"] in ("", placed.where):
        return ""
    return f"this process has loaded another version of {line['file']}, in which the line is in {placed.where}"


def _impossible() -> str:
    version = "%d.%d" % sys.version_info[:2]
    why = "not with AGENT_INJECTION=0, and not in a Python that is untested: see status"
    return f"code is put at a line from CPython 3.11 on ({why}), and this process runs {version}"
