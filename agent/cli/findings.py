"""The outcome of a validation for machines: JSON, GitHub's annotations, SARIF 2.1.0."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any
from urllib.parse import quote

from ..base.model import Problem
from ..codebase.check import Sighting, counts
from ..config.build.packs import name_of
from ..config.compile import Examined
from .terminal import counted, shown_path

_GITHUB = {"error": "error", "warning": "warning", "note": "notice"}


def summary(results: list[Examined]) -> str:
    """2 problems in 1 file, 34 monitors checked"""
    numbers = Counter(problem.severity for problem in problems_of(results))
    files = len({os.path.realpath(file) for result in results for file in result.files})
    monitors = sum(result.monitors for result in results)
    found = [_number(numbers["error"], "problem")]
    found += [_number(numbers[kind], kind) for kind in ("warning", "note") if numbers[kind]]
    what = " and ".join(found) if len(found) < 3 else f"{found[0]}, {found[1]} and {found[2]}"
    packs = not monitors and any(entry.pack for result in results for entry, _ in result.built)
    checked = "no monitors but those of packs" if packs else f"{_number(monitors, 'monitor')} checked"
    return f"{what} in {_number(files, 'file')}, {checked}"


def packs_summary(results: list[Examined]) -> str:
    """packs: celery 6, django 23 of 25, redis 0 of 7 (monitors in force here); "" where no pack has a monitor."""
    found: dict[str, list[bool]] = {}
    for result in results:
        names = {monitor["name"] for monitor in result.plan["monitors"]} if result.plan is not None else set()
        for entry, monitor in result.built:
            if entry.pack:
                found.setdefault(name_of(entry.document), []).append(monitor["name"] in names)
    shown = [f"{name} {sum(on)}" + (f" of {len(on)}" if not all(on) else "") for name, on in sorted(found.items())]
    return f"packs: {', '.join(shown)}" if shown else ""


def problems_of(results: list[Examined]) -> list[Problem]:
    """Every Problem once, also where two files include the same third one."""
    return list(dict.fromkeys(problem for result in results for problem in result.problems))


def targets_summary(seen: list[Sighting]) -> str:
    """targets: 30 found, 2 found elsewhere, 1 cannot be checked"""
    return "targets: " + ", ".join(f"{number} {status}" for status, number in counts(seen).items() if number)


def as_json(results: list[Examined], seen: list[Sighting]) -> dict[str, Any]:
    """`targets` is empty if they were not looked up."""
    return {
        "files": list(dict.fromkeys(file for result in results for file in result.files)),
        "monitors": sum(result.monitors for result in results),
        "problems": [problem._asdict() for problem in problems_of(results)],
        "targets": [_target(one) for one in seen],
        "summary": summary(results),
    }


def _target(one: Sighting) -> dict[str, Any]:
    outcome = one.outcome
    place = one.placed.position()
    return {
        "monitor": one.monitor["name"] if one.monitor is not None else None,
        "file": one.entry.document.file,
        "line": place.line,
        "column": place.column,
        "target": one.text,
        "outcome": outcome.status,
        "installed": not outcome.absent,
        "defined": {"module": outcome.module, "file": outcome.file, "line": outcome.line} if outcome.line else None,
        "signature": outcome.parameters.text if outcome.parameters else None,
        "note": outcome.note or None,
        "reason": outcome.reason or None,
        "hint": outcome.hint or None,
        "functions": [path for path, _ in one.functions],
    }


def as_github(results: list[Examined]) -> str:
    """One workflow command a problem."""
    lines = []
    for problem in problems_of(results):
        place = {"file": shown_path(problem.file), "title": problem.slug}
        if problem.line:
            place.update(line=str(problem.line), col=str(problem.column))
        properties = ",".join(f"{key}={_property(value)}" for key, value in place.items())
        lines.append(f"::{_GITHUB.get(problem.severity, 'error')} {properties}::{_data(_sentence(problem))}")
    return "\n".join(lines)


def as_sarif(results: list[Examined]) -> dict[str, Any]:
    problems = problems_of(results)
    slugs = sorted({problem.slug for problem in problems})
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "erp-sentry-agent", "rules": [{"id": slug} for slug in slugs]}},
                "columnKind": "unicodeCodePoints",
                "results": [_sarif_result(problem, slugs.index(problem.slug)) for problem in problems],
            }
        ],
    }


def _sarif_result(problem: Problem, rule: int) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(problem.file)}}
    if problem.line:
        place["region"] = {"startLine": problem.line, "startColumn": problem.column}
    return {
        "ruleId": problem.slug,
        "ruleIndex": rule,
        "level": problem.severity,
        "message": {"text": _sentence(problem)},
        "locations": [{"physicalLocation": place}],
    }


def _sentence(problem: Problem) -> str:
    where = f"{problem.path}: " if problem.path else ""
    return where + problem.message + (f" ({problem.hint})" if problem.hint else "")


def _number(number: int, noun: str) -> str:
    return counted(number, noun) if number else f"no {noun}s"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _uri(path: str) -> str:
    shown = shown_path(path).replace(os.sep, "/")
    return ("file://" if shown.startswith("/") else "") + quote(shown)
