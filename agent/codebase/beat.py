"""Celery beat's schedule, as the source of the ERP spells it: `CELERY_BEAT_SCHEDULE = {…}`, `beat_schedule = {…}`.

Only text is read. A value that is computed at run time, or a schedule that lies in a database, is not known here.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .bindings import last_name
from .lookup import Lookup
from .roots import NO_PACKAGES, source_files

_NAMES = ("beat_schedule", "CELERY_BEAT_SCHEDULE", "CELERYBEAT_SCHEDULE", "BEAT_SCHEDULE")
_ZONES = ("CELERY_TIMEZONE", "timezone")
_FIELDS = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")  # as `crontab` takes them
_CRONTAB = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")  # as a crontab line has them
_MOST_BYTES = 1_000_000
_UNITS = {"weeks": 604_800.0, "days": 86_400.0, "hours": 3_600.0, "minutes": 60.0, "seconds": 1.0}
_DEEPEST = 30  # names that stand for names


class Entry(NamedTuple):
    name: str
    task: str  # dotted; "" where it is not plain text
    where: str  # "erp/settings.py:140"
    crontab: str | None  # "0 2 * * *"
    seconds: float | None  # of an interval; None, as crontab: not known from the source
    timezone: str | None


def entries(lookup: Lookup, packages: Iterable[str]) -> list[Entry]:
    """The schedule in the folders in which these packages lie; each name once."""
    found: dict[str, Entry] = {}
    for file, text in _files(_roots(lookup, packages)):
        if any(name in text for name in _NAMES):
            for entry in _in_file(file, text):
                found.setdefault(entry.name, entry)
    return list(found.values())


def _roots(lookup: Lookup, packages: Iterable[str]) -> list[str]:
    """The ERP's folder, where a package lies in one; the package itself, where it is installed among others."""
    roots: dict[str, None] = {}
    for package in packages:
        module = lookup.module(package)
        for place in module.locations if module is not None else ():
            above = os.path.dirname(place.rstrip(os.sep))
            installed = os.path.basename(above).endswith("-packages") or above == os.path.dirname(os.__file__)
            roots.setdefault(place if installed else above)
    return [root for root in roots if not any(root != other and root.startswith(other + os.sep) for other in roots)]


def _files(roots: list[str]) -> Iterator[tuple[str, str]]:
    for root, path in source_files(roots, NO_PACKAGES):
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                yield os.path.relpath(path, root), stream.read(_MOST_BYTES)
        except OSError:
            continue


def _in_file(file: str, text: str) -> Iterator[Entry]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    values = _Values(tree)
    zone = next((found for name in _ZONES for found in [values.assigned.get(name)] if found is not None), None)
    timezone = values.of(zone) if zone is not None else None
    for node in values.schedules:
        for key, value in zip(node.keys, node.values):
            name = values.of(key) if key is not None else None
            if not isinstance(name, str) or not isinstance(value, ast.Dict):
                continue
            parts = {values.of(each): inner for each, inner in zip(value.keys, value.values) if each is not None}
            task = values.of(parts["task"]) if "task" in parts else ""
            crontab, seconds = values.schedule(parts.get("schedule"))
            yield Entry(name, task if isinstance(task, str) else "", f"{file}:{value.lineno}", crontab, seconds,
                        timezone if isinstance(timezone, str) else None)  # fmt: skip


class _Values:
    """What constant expressions of a module are; None for all that only a run would show."""

    def __init__(self, tree: ast.Module) -> None:
        self.assigned: dict[str, ast.expr] = {}
        self.schedules: list[ast.Dict] = []
        for node in ast.walk(tree):
            targets = node.targets if isinstance(node, ast.Assign) else []
            if isinstance(node, ast.AnnAssign) and node.value is not None:
                targets = [node.target]
            for target in targets:
                name = target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")
                assert isinstance(node, (ast.Assign, ast.AnnAssign))
                if name and node.value is not None:
                    self.assigned[name] = node.value
                    self._note(name, node.value)
            if isinstance(node, ast.Call):  # app.conf.update(beat_schedule={…})
                for keyword in node.keywords:
                    self._note(keyword.arg or "", keyword.value)
                    if keyword.arg == "timezone":
                        self.assigned.setdefault("timezone", keyword.value)

    def _note(self, name: str, value: ast.expr) -> None:
        if name in _NAMES and isinstance(value, ast.Dict):
            self.schedules.append(value)

    def of(self, node: ast.expr | None, depth: int = 0) -> Any:
        if depth > _DEEPEST:
            return None
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self.of(self.assigned.get(node.id), depth + 1)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self.of(node.operand, depth + 1)
            return -value if isinstance(value, (int, float)) else None
        if isinstance(node, ast.BinOp):
            return self._computed(node, depth)
        if isinstance(node, ast.Call):
            return self._called(node, depth)
        return None

    def _computed(self, node: ast.BinOp, depth: int) -> Any:
        left, right = self.of(node.left, depth + 1), self.of(node.right, depth + 1)
        if not all(isinstance(each, (int, float)) for each in (left, right)):
            return None
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Div) and right:
            return left / right
        return None

    def _called(self, node: ast.Call, depth: int) -> Any:
        name = last_name(node.func)
        if name in ("float", "int") and len(node.args) == 1:
            value = self.of(node.args[0], depth + 1)
            try:
                return {"float": float, "int": int}[name](value)
            except (TypeError, ValueError, OverflowError):
                return None
        if (name == "getenv" or ast.unparse(node.func).endswith("environ.get")) and len(node.args) == 2:
            return self.of(node.args[1], depth + 1)  # the default: what the variable is in production is not known here
        if name == "timedelta" and not node.args:
            parts = {keyword.arg: self.of(keyword.value, depth + 1) for keyword in node.keywords}
            if all(key in _UNITS and isinstance(value, (int, float)) for key, value in parts.items()):
                return sum(_UNITS[str(key)] * value for key, value in parts.items())
        if name == "schedule":
            first = next((each.value for each in node.keywords if each.arg == "run_every"), None)
            return self.of(node.args[0] if node.args else first, depth + 1)
        return None

    def schedule(self, node: ast.expr | None) -> tuple[str | None, float | None]:
        """(crontab line, seconds of an interval): one of them, or neither."""
        for _ in range(_DEEPEST):
            if not isinstance(node, ast.Name):
                break
            node = self.assigned.get(node.id)
        if isinstance(node, ast.Call) and last_name(node.func) == "crontab":
            given = dict(zip(_FIELDS, node.args))
            given.update({keyword.arg: keyword.value for keyword in node.keywords if keyword.arg in _FIELDS})
            fields = [self.of(given[name]) if name in given else "*" for name in _CRONTAB]
            if any(not isinstance(each, (str, int)) for each in fields):
                return None, None
            return " ".join("".join(str(each).split()) for each in fields), None
        seconds = self.of(node)
        return None, float(seconds) if isinstance(seconds, (int, float)) and seconds > 0 else None
