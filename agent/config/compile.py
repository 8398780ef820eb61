"""The Sources, checked → PlanData: plain JSON values, every default applied."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from ..base.model import MonitorData, PlanData, Problem
from ..language.nearest import did_you_mean
from ..language.targets import own_packages
from . import releases
from .build.alike import Alike
from .build.context import providers
from .build.distribution import release_of
from .build.duplicates import check_duplicates, overridden
from .build.merge import Settings, WrittenMonitor, merge, monitors_of
from .build.monitor_names import name_all
from .build.packs import changed
from .build.sections import check_sections, is_usable, processes_data, sentry_data, spool_data
from .findings import Findings
from .overlaid import Overlaid
from .read.document import Document
from .read.pieces import Memory
from .read.sources import Sources
from .requirements import of_a_source_tree, unmet_requirements
from .schema import check


class Examined(NamedTuple):
    plan: PlanData | None  # None: the file as a whole cannot be used; the last good plan stays in force
    problems: list[Problem]
    files: list[str]  # as opened, packs left out
    monitors: int  # how many were checked, packs left out
    environment: dict[str, str | None]  # every variable that was read, also where there is no plan
    documents: list[Document]
    built: list[tuple[WrittenMonitor, MonitorData]]  # each that is right by itself, in force or not
    settings: Settings | None
    wrong: list[WrittenMonitor]  # a person's own that a Problem switched off


def compile_plan(
    sources: Sources,
    main: Document,
    environ: Mapping[str, str],
    findings: Findings,
    environment: str | None,
    overlaid: Overlaid | None = None,
    memory: Memory | None = None,
) -> Examined:
    """The Plan of all that is right. None: see `sections.is_usable`.

    `environment` replaces Sentry's environment in the comparison with `environments` of monitors.
    """
    for document in (*sources.documents, *sources.packs):
        check(document, findings)
        check_sections(document, findings)
    settings = merge(sources.documents, sources.packs, findings)
    packs = monitors_of(sources.packs, pack=True)
    every = [*monitors_of(sources.documents, pack=False), *changed(sources.documents, packs, findings)]
    checked = sum(1 for document in sources.documents for _ in document.at("monitors").items())
    check_duplicates(every, findings)
    known = memory.monitor if memory is not None else lambda _: None
    alike = Alike(settings, findings)
    tried = [(entry, known(entry) or alike.build(entry)) for entry in every]
    if memory is not None and not findings.problems:
        memory.keep(tried)
    built = [(entry, monitor) for entry, monitor in tried if monitor is not None]
    wrong = [entry for entry, monitor in tried if monitor is None and not entry.pack]
    context = providers(sources.documents, findings)
    chosen = _without_overridden(built)
    name_all([monitor for _, monitor in chosen])
    _check_quiet(chosen, {monitor["name"] for _, monitor in (*built, *chosen)}, findings)
    files = [document.file for document in sources.documents]
    made = Examined(None, [], files, checked, sources.read, sources.documents, chosen, settings, wrong)
    if not sources.complete or not all(is_usable(document, findings) for document in sources.documents):
        return made._replace(problems=findings.ordered())
    sentry = sentry_data(settings, context, environ, sources.read, main, findings)
    here = environment or sentry["environment"]
    noted: set[tuple[str, str]] = set()
    on = [
        (entry, monitor, _is_met(entry, monitor, findings, noted)) for entry, monitor in chosen if _is_on(entry, here)
    ]
    monitors = [monitor for _, monitor, is_met in on if is_met]
    releases.check(sources.documents, [(entry, is_met) for entry, _, is_met in on], findings)
    live = settings.running["live"].value != "off" if "live" in settings.running else True
    if overlaid is not None and live:
        monitors = overlaid.applied(monitors, settings, findings)
    if sentry["release"] is None:
        sentry["release"] = release_of(own_packages(monitors, sentry))
    plan: PlanData = {
        "path": os.path.abspath(main.file),
        "files": [os.path.abspath(document.file) for document in (*sources.documents, *sources.packs)],
        "environment": sources.read,
        "sentry": sentry,
        "spool": spool_data(settings, main),
        "processes": processes_data(settings),
        "expires": overlaid.expires if overlaid is not None and live else 0.0,
        "renew": 0.0,
        "follows": "reload" not in settings.running or settings.running["reload"].value != "off",
        "monitors": monitors,
        "disabled": _disabled(every, findings),
    }
    return made._replace(plan=plan, problems=findings.ordered())


def _without_overridden(built: list[tuple[WrittenMonitor, MonitorData]]) -> list[tuple[WrittenMonitor, MonitorData]]:
    """A person's monitor of the same target wins over a pack's, also when it is there to switch it off."""
    own = frozenset([
        target["path"] for entry, monitor in built if not entry.pack
        for target in monitor["targets"] if not target["pattern"]
    ])  # fmt: skip
    return [(entry, monitor) for entry, monitor in built if not (entry.pack and overridden(entry, own))]


def _check_quiet(chosen: list[tuple[WrittenMonitor, MonitorData]], names: set[str], findings: Findings) -> None:
    """Report a name in `quiet_inside` that no monitor has. Packs may name each other."""
    for entry, _ in chosen:
        for placed in entry.at("quiet_inside").items():
            name = placed.value
            if name not in names and not (entry.pack and placed.document is entry.document):
                message = f"no monitor is called `{name[:100]}`"
                hint = did_you_mean(name, names, "see: python -m agent list")
                findings.add(placed, "unknown-monitor", message, hint, severity="warning")


def _is_on(entry: WrittenMonitor, environment: str) -> bool:
    environments = entry.value.get("environments")
    return entry.value.get("enabled") is not False and (not environments or environment in environments)


def _is_met(entry: WrittenMonitor, monitor: MonitorData, findings: Findings, noted: set[tuple[str, str]]) -> bool:
    requires = entry.value.get("requires")
    reason = unmet_requirements(requires)
    if reason:
        monitor["source"] = of_a_source_tree(requires)
        if monitor["source"] is not None:
            return True
    if reason and not entry.pack and (entry.document.file, str(requires)) not in noted:
        noted.add((entry.document.file, str(requires)))
        message = f"monitors are left out that require {reason}"
        findings.add(entry.at("requires"), "requirement-unmet", message, severity="note")
    return not reason


def _disabled(every: list[WrittenMonitor], findings: Findings) -> list[str]:
    """One line for each monitor that a Problem switched off: "monitors.yaml:35 reserve_stock: threshold: …"."""
    lines = []
    for entry in every:
        problem = findings.first.get((entry.document.file, entry.placed.path[1]))
        if problem is not None:
            head, _, rest = problem.path.partition(" › ")
            label = head.partition(" ")[2].strip('"') or head
            what = f"{rest}: " if rest else ""
            lines.append(f"{entry.where} {label}: {what}{problem.message}")
    return lines
