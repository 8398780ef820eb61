"""monitors.yaml → Plan. The one entry to this folder."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from ..base.model import PlanData, Problem
from .compile import Examined, compile_plan
from .findings import Findings
from .overlaid import Overlaid
from .overlay import Overlay
from .read.pieces import CutWrongly, Memory
from .read.sources import read_sources


class Loaded(NamedTuple):
    plan: PlanData | None  # None: the file as a whole cannot be used; the last good plan stays in force
    problems: list[Problem]


def load(path: str, environ: Mapping[str, str]) -> Loaded:
    """Both the Problems of every file and the Plan of what is right. Raises ConfigError where a library is missing."""
    examined = examine(path, environ)
    return Loaded(examined.plan, examined.problems)


def examine(
    path: str,
    environ: Mapping[str, str],
    *,
    environment: str | None = None,
    overlay: Overlay | None = None,
    memory: Memory | None = None,
) -> Examined:
    """`load` with what a summary needs. `environment` overrides the file's Sentry environment in the choice of monitors
    by their `environments`. `overlay`: what is changed for a time beside the file. With a `memory`, what was compiled
    before is not compiled again; the result is the same.
    """
    with without_collection():
        if memory is not None and memory.known:
            try:
                made = _examine(path, environ, environment, overlay, memory)
            except CutWrongly:
                made = None
            if made is not None and not made.problems:
                return made
            memory.forget()
        made = _examine(path, environ, environment, overlay, memory)
        assert made is not None
        return made


def _examine(
    path: str, environ: Mapping[str, str], environment: str | None, overlay: Overlay | None, memory: Memory | None
) -> Examined | None:
    """None where what is known is of another configuration."""
    findings = Findings()
    sources = read_sources(path, environ, findings, memory)
    if sources.main is None:
        return Examined(None, findings.ordered(), [path], 0, sources.read, [], [], None, [])
    if memory is not None and not memory.fits(sources):
        return None
    overlaid = Overlaid(overlay) if overlay is not None else None
    return compile_plan(sources, sources.main, environ, findings, environment, overlaid, memory)


@contextmanager
def without_collection() -> Iterator[None]:
    """Trees hold no cycles, but so many objects that a search for cycles takes up to half of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
