"""Collects Problems, and remembers which parts of which file they make unusable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.model import Problem
from .read.document import position
from .read.node import Mark

if TYPE_CHECKING:
    from .read.document import Document
    from .read.node import Defect, Key

_MOST = 2000  # a file that is wrong 2000 times is not read to the end by anyone


class Findings:
    """Not for threads. `problems` grows in the order of discovery; `ordered` is for people."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.left_out = 0
        self.first: dict[tuple[str, Key], Problem] = {}  # (file, index of a monitor) → its first error
        self._files: list[str] = []
        self._wrong: dict[str, set[tuple[Key, ...]]] = {}
        self._exact: dict[str, set[tuple[Key, ...]]] = {}

    def add(
        self,
        document: Document,
        path: tuple[Key, ...],
        slug: str,
        message: str,
        hint: str = "",
        *,
        severity: str = "error",
        of_key: bool = False,
        mark: Mark | None = None,
    ) -> None:
        """Only an error makes what it is about unusable; a warning or note does not."""
        line, column = mark or position(document, path, of_key=of_key)
        problem = Problem(slug, document.file, line, column, words(document, path), message, hint, severity)
        if severity == "error":
            prefixes = self._wrong.setdefault(document.file, set())
            prefixes.update(path[:length] for length in range(len(path) + 1))
            self._exact.setdefault(document.file, set()).add(path)
            if len(path) > 1 and path[0] == "monitors":
                self.first.setdefault((document.file, path[1]), problem)
        self._keep(problem)

    def add_defect(self, document: Document, defect: Defect) -> None:
        self.add(
            document, defect.path, defect.slug, defect.message, defect.hint, severity=defect.severity, mark=defect.mark
        )

    def add_file(self, file: str, defect: Defect) -> None:
        """A finding about a file that gave no Document."""
        self._keep(Problem(defect.slug, file, *defect.mark, "", defect.message, defect.hint, defect.severity))

    def is_wrong(self, document: Document, *path: Key) -> bool:
        """Whether an error lies at `path` or below it."""
        return path in self._wrong.get(document.file, ())

    def has(self, document: Document, path: tuple[Key, ...]) -> bool:
        """Whether an error was already found for exactly this value."""
        return path in self._exact.get(document.file, ())

    def ordered(self) -> list[Problem]:
        """By file, in the order the files were read, then by place."""
        rank = {file: index for index, file in enumerate(self._files)}
        problems = sorted(self.problems, key=lambda problem: (rank[problem.file], problem.line, problem.column))
        if self.left_out:
            problems.append(
                Problem(
                    "too-many",
                    problems[0].file,
                    0,
                    0,
                    "",
                    f"{self.left_out} further problems are not shown",
                    "mend these first",
                )
            )
        return problems

    def _keep(self, problem: Problem) -> None:
        if problem.file not in self._files:
            self._files.append(problem.file)
        if len(self.problems) < _MOST:
            self.problems.append(problem)
        else:
            self.left_out += 1


def words(document: Document, path: tuple[Key, ...]) -> str:
    """A path as people follow it: monitors[2] "reserve_stock" › threshold. List places count from 1."""  # noqa: RUF002  (not an ASCII `>`: a path is no comparison)
    steps: list[str] = []
    for depth, key in enumerate(path):
        if isinstance(key, int) and steps:
            steps[-1] += f"[{key + 1}]"
            if depth == 1 and path[0] == "monitors":
                label = label_of(document, key)
                steps[-1] += f' "{label}"' if label else ""
        else:
            steps.append(str(key)[:100])
    return " › ".join(steps)


def label_of(document: Document, index: int) -> str:
    """What a person calls a monitor: its name, else its operation, else the last part of its target."""
    monitors = document.value.get("monitors")
    entry = monitors[index] if isinstance(monitors, list) and 0 <= index < len(monitors) else None
    if not isinstance(entry, dict):
        return ""
    for key in ("name", "operation", "process", "endpoint", "event_type"):
        value = entry.get(key)
        if isinstance(value, str) and value and "{" not in value:
            return value[:80]
    target = entry.get("target")
    if target is None and isinstance(entry.get("targets"), list) and entry["targets"]:
        target = entry["targets"][0]
    if isinstance(target, str) and target:
        parts = target.replace(":", ".").split(".")
        return ".".join(parts[-2:])[:80] if "*" in parts[-1] else parts[-1][:80]
    return ""
