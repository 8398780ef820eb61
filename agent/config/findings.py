"""Collects Problems, and remembers which parts of which file they make unusable."""

from __future__ import annotations

from ..base.model import Problem
from .read.document import Document, Placed
from .read.node import Defect, Key, Mark

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
        placed: Placed,
        slug: str,
        message: str,
        hint: str = "",
        *,
        severity: str = "error",
        of_key: bool = False,
        mark: Mark | None = None,
    ) -> None:
        """Only an error makes the value unusable; a warning or note does not."""
        document, path = placed.document, placed.path
        line, column = mark or placed.position(of_key=of_key)
        problem = Problem(slug, document.file, line, column, words(placed), message, hint, severity)
        if severity == "error":
            prefixes = self._wrong.setdefault(document.file, set())
            prefixes.update(path[:length] for length in range(len(path) + 1))
            self._exact.setdefault(document.file, set()).add(path)
            if len(path) > 1 and path[0] == "monitors":
                self.first.setdefault((document.file, path[1]), problem)
        self._keep(problem)

    def add_defect(self, document: Document, found: Defect) -> None:
        placed = document.at(*found.path)
        self.add(placed, found.slug, found.message, found.hint, severity=found.severity, mark=found.mark)

    def add_file(self, file: str, defect: Defect) -> None:
        """A finding about a file that gave no Document."""
        self._keep(Problem(defect.slug, file, *defect.mark, "", defect.message, defect.hint, defect.severity))

    def is_wrong(self, placed: Placed) -> bool:
        """Whether there is an error at this position or below it."""
        return bool(self._wrong) and placed.path in self._wrong.get(placed.document.file, ())

    def has(self, placed: Placed) -> bool:
        """Whether there is an error of exactly this value."""
        return bool(self._exact) and placed.path in self._exact.get(placed.document.file, ())

    @property
    def number(self) -> int:
        return len(self.problems) + self.left_out

    def ordered(self) -> list[Problem]:
        """By file, in the order the files were read, then by place."""
        rank = {file: index for index, file in enumerate(self._files)}
        problems = sorted(self.problems, key=lambda problem: (rank[problem.file], problem.line, problem.column))
        if self.left_out:
            message = f"{self.left_out} further problems are not shown"
            problems.append(Problem("too-many", problems[0].file, 0, 0, "", message, "mend these first"))
        return problems

    def _keep(self, problem: Problem) -> None:
        if problem.file not in self._files:
            self._files.append(problem.file)
        if len(self.problems) < _MOST:
            self.problems.append(problem)
        else:
            self.left_out += 1


def words(placed: Placed) -> str:
    """A path as people follow it: monitors[2] "reserve_stock" › threshold. List places count from 1."""  # noqa: RUF002  (not an ASCII `>`: a path is no comparison)
    steps: list[str] = []
    for depth, key in enumerate(placed.path):
        if isinstance(key, int) and steps:
            steps[-1] += f"[{key + 1}]"
            if depth == 1 and placed.path[0] == "monitors":
                label = label_of(placed.document.at("monitors", key).value)
                steps[-1] += f' "{label}"' if label else ""
        else:
            steps.append(str(key)[:100])
    return " › ".join(steps)


def label_of(monitor: object) -> str:
    """What a person calls a monitor: its name, else its operation, else the last part of its target."""
    if not isinstance(monitor, dict):
        return ""
    for key in ("name", "operation", "process", "endpoint", "event_type"):
        value = monitor.get(key)
        if isinstance(value, str) and value and "{" not in value:
            return value[:80]
    target = monitor.get("target")
    if target is None and isinstance(monitor.get("targets"), list) and monitor["targets"]:
        target = monitor["targets"][0]
    if isinstance(target, str) and target:
        parts = target.replace(":", ".").split(".")
        return ".".join(parts[-2:])[:80] if "*" in parts[-1] else parts[-1][:80]
    return ""
