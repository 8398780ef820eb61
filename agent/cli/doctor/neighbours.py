"""Other monitoring agents: installed beside the ERP, or started in its processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from ...config import requirements
from .finding import FAIL, OK, WARN, Finding
from .installation import Erp, Installation, named
from .libraries import environments
from .starts import entries_of

_DOCS = "docs/limits.md, Beside other agents"


class Neighbour(NamedTuple):
    name: str
    package: str  # as pip knows it
    folder: str  # a part of the folder that its wrapper puts on PYTHONPATH
    library: str  # a part of the paths of its compiled modules


NEIGHBOURS = (
    Neighbour("Datadog (ddtrace)", "ddtrace", "ddtrace/bootstrap", "/ddtrace/"),
    Neighbour("New Relic", "newrelic", "newrelic/bootstrap", "/newrelic/"),
    Neighbour("OpenTelemetry", "opentelemetry-instrumentation", "opentelemetry/instrumentation", ""),
    Neighbour("Elastic APM", "elastic-apm", "elasticapm/instrumentation/wrapper", ""),
    Neighbour("Scout", "scout-apm", "", "/scout_apm/"),
)  # fmt: skip


def check(installation: Installation) -> Iterator[Finding]:
    for one in NEIGHBOURS:
        running = [process for process in installation.erp if _runs(one, process)]
        if running:
            yield from _beside(one, running, installation.agent)
        elif any(_is_installed(one.package, each.path) for each in environments(installation)):
            yield Finding("neighbour-installed", OK, f"{one.name} is installed", "it was not seen in a process")


def _beside(one: Neighbour, running: list[Erp], agent: str) -> Iterator[Finding]:
    ours = os.path.realpath(agent)
    hidden = []
    for process in running if one.package.startswith("opentelemetry") else ():
        entries = [os.path.realpath(each) for each in entries_of(process.environ or {}, process.folder)]
        theirs = next((number for number, each in enumerate(entries) if one.folder in each), None)
        if theirs is not None and ours in entries[theirs:]:
            hidden.append(process)
    if hidden:
        yield Finding("neighbour-first", FAIL, f"{one.name} starts first and runs no other", named(hidden),
                      f"put {agent} before its folder in PYTHONPATH ({_DOCS})")  # fmt: skip
    else:
        yield Finding("neighbour", WARN if one.package == "ddtrace" and _debugs(running) else OK,
                      f"{one.name} runs in the same processes", named(running),
                      f"nothing: both work; exceptions are in {_DOCS}")  # fmt: skip


def _debugs(running: list[Erp]) -> bool:
    """Ddtrace's debugger changes functions as the agent does."""
    return any((each.environ or {}).get("DD_DYNAMIC_INSTRUMENTATION_ENABLED", "").lower() in ("1", "true")
               for each in running)  # fmt: skip


def _runs(one: Neighbour, process: Erp) -> bool:
    if one.folder and any(one.folder in each for each in entries_of(process.environ or {}, process.folder)):
        return True
    if not one.library:
        return False
    try:
        with open(f"/proc/{process.pid}/maps", encoding="utf-8", errors="replace") as stream:
            return any(one.library in line for line in stream)
    except OSError:
        return False


def _is_installed(package: str, path: list[str]) -> bool:
    return any(True for _ in requirements.installed().distributions(name=package, path=path))
