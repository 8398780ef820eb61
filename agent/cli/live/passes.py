"""What became of a line in each process that was to watch it, and how often its execution came to the line."""

from __future__ import annotations

from typing import Any

from ..terminal import counted, one_line


class Passes:
    def __init__(self) -> None:
        self._notes: dict[int, dict[str, Any]] = {}  # process → what became of the line there
        self._times: dict[int, tuple[int, int]] = {}  # process → come to, looked at
        self._texts: list[str] = []  # that were not printed yet
        self._known: set[str] = set()

    def take(self, pid: int, note: dict[str, Any]) -> None:
        """What a process notes: see `live.lines`."""
        if "seen" in note:
            self.count(pid, note["seen"], note["looked"])
            if note["failure"]:
                self._add(f"--when cannot be evaluated: {one_line(note['failure'])}")
        if "placed" in note:
            self._notes[pid] = note
            self._add(f"it is in {one_line(note['placed'])} ({one_line(note['file'])}): calls that begin now are seen")
            if note["other"]:
                self._add(f"pid {pid}: {one_line(note['other'])}")
        elif "refused" in note:
            self._notes[pid] = note
            self._add(f"pid {pid}: {one_line(note['refused'])}")

    def count(self, pid: int, seen: int, looked: int) -> None:
        before = self._times.get(pid, (0, 0))
        self._times[pid] = max(seen, before[0]), max(looked, before[1])

    def _add(self, text: str) -> None:
        if text not in self._known:
            self._known.add(text)
            self._texts.append(text)

    def texts(self) -> list[str]:
        """Lines to print about processes, each once."""
        texts, self._texts = self._texts, []
        return texts

    @property
    def is_anywhere(self) -> bool:
        return any("placed" in note for note in self._notes.values())

    @property
    def refusal(self) -> str:
        """Why no process watches the line; "" where one does, or may once it has loaded the file."""
        refused = [note["refused"] for note in self._notes.values() if "refused" in note]
        return str(refused[-1]) if refused and not self.is_anywhere else ""

    def summary(self, shown: int) -> str:
        """Such as: come to 1204 times; 300 of them looked at, 12 shown"""
        seen, looked = (sum(column) for column in zip((0, 0), *self._times.values()))
        return f"come to {counted(seen, 'time')}; {looked} of them looked at, {shown} shown"
