"""monitors.yaml → Plan. The one entry to this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..base.model import PlanData, Problem
from .compile import Examined, compile_plan
from .findings import Findings
from .overlaid import Overlaid
from .read.sources import read_sources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .overlay import Overlay


class Loaded(NamedTuple):
    plan: PlanData | None  # None: the file as a whole cannot be used; the last good plan stays in force
    problems: list[Problem]


def load(path: str, environ: Mapping[str, str], *, environment: str | None = None) -> Loaded:
    """Both the Problems of every file and the Plan of what is right. Raises ConfigError where a library is missing.

    `environment` overrides the file's Sentry environment in the choice of monitors by their `environments`.
    """
    examined = examine(path, environ, environment=environment)
    return Loaded(examined.plan, examined.problems)


def examine(
    path: str, environ: Mapping[str, str], *, environment: str | None = None, overlay: Overlay | None = None
) -> Examined:
    """`load` with what a summary needs. `overlay`: what is changed for a time beside the file."""
    findings = Findings()
    sources = read_sources(path, environ, findings)
    if sources.main is None:
        return Examined(None, findings.ordered(), [path], 0, sources.read, [], [], None, [])
    overlaid = Overlaid(overlay) if overlay is not None else None
    return compile_plan(sources, sources.main, environ, findings, environment, overlaid)
