"""monitors.yaml → Plan. The one entry to this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..base.model import MonitorData, PlanData, Problem
from .compile import compile_plan
from .findings import Findings
from .read.sources import read_sources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .build.merge import Settings, WrittenMonitor
    from .read.document import Document


class Loaded(NamedTuple):
    plan: PlanData | None  # None: the file as a whole cannot be used; the last good plan stays in force
    problems: list[Problem]


class Examined(NamedTuple):
    plan: PlanData | None
    problems: list[Problem]
    files: list[str]  # as opened, packs left out
    monitors: int  # how many were checked, packs left out
    environment: dict[str, str | None]  # every variable that was read, also where there is no plan
    documents: list[Document]
    built: list[tuple[WrittenMonitor, MonitorData]]  # each monitor that is right by itself, and where it was written
    settings: Settings | None
    wrong: list[WrittenMonitor]  # a person's own that a Problem switched off


def load(path: str, environ: Mapping[str, str], *, environment: str | None = None) -> Loaded:
    """Both the Problems of every file and the Plan of what is right. Raises ConfigError where a library is missing.

    `environment` overrides the file's Sentry environment in the choice of monitors by their `environments`.
    """
    examined = examine(path, environ, environment=environment)
    return Loaded(examined.plan, examined.problems)


def examine(path: str, environ: Mapping[str, str], *, environment: str | None = None) -> Examined:
    """`load` with what a summary needs."""
    findings = Findings()
    sources = read_sources(path, environ, findings)
    compiled = compile_plan(sources, environ, findings, environment=environment)
    return Examined(
        compiled.plan,
        findings.ordered(),
        [document.file for document in sources.documents] or [path],
        compiled.checked,
        sources.read,
        sources.documents,
        compiled.built,
        compiled.settings,
        compiled.wrong,
    )
