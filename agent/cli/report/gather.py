"""Everything that the page shows, read from the state folder: figures, local events, processes and the plan."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import NamedTuple

from ...base.errors import AgentError
from ...base.model import MonitorData
from ...config.load import load
from ...deliver.history.events import local_events
from ...sentry_project import links
from ...sentry_project.links import Links
from ..spool.places import places
from ..state.problems import Problem, problems
from ..state.whole import Whole
from .issues import Issues
from .measures import Measures, Past, measure
from .traces import Traces


class Report(NamedTuple):
    config: str
    environment: str
    host: str
    made: float
    module: str | None
    measures: Measures
    issues: Issues
    traces: Traces
    problems: list[Problem]  # of the monitoring itself, the heaviest first
    lost: dict[str, int]  # reason → events that were captured and not kept
    aside: int  # envelopes that Sentry refused
    owners: dict[str, str]  # module → owner
    thresholds: dict[str, float]  # monitor → seconds
    pages: Links | None = None  # of Sentry


def gather(
    path: str,
    seconds: float,
    module: str | None,
    clock: Callable[[], float] = time.time,
    past: Past | None = None,
) -> Report:
    """`past` is what the last call has left, if any: see `measures.measure`.

    What cannot be read is left out, and is one of the problems. Raises AgentError for a module that is not there.
    """
    whole = Whole(path, clock=clock)
    spools = [place.spool for place in places(whole.settings)] if whole.settings is not None else []
    monitors = _monitors(whole)
    known = {each["module"] for each in monitors if each["module"]}
    if module is not None and known and module not in known:
        raise AgentError(f"there is no module {module!r}; the configuration has {', '.join(sorted(known))}")
    directories = [spool.directory for spool in spools]
    events = local_events(directories, since=whole.at - seconds, module=module or "")
    kept = () if module else local_events(directories, since=whole.at - seconds, kind="transaction")  # of all modules
    measures = measure(whole.figures, seconds, module, whole.at, past)
    security = {each["name"] for each in monitors if each["kind"] == "security"}
    security.update(each.monitor for each in measures.operations if each.kind == "security")  # also of an older plan
    return Report(
        config=path,
        environment=whole.settings.sentry["environment"] or "" if whole.settings is not None else "",
        host=os.uname().nodename,
        made=whole.at,
        module=module,
        measures=measures,
        issues=Issues(events, security),
        traces=Traces(kept),
        problems=problems(whole),
        lost=whole.lost(),
        aside=sum(len(spool.quarantined()) for spool in spools),
        owners={each["module"]: each["owner"] for each in monitors if each["module"] and each["owner"]},
        thresholds={each["name"]: each["thresholds"][0][0] for each in monitors if each["thresholds"]},
        pages=links.of(whole.settings.sentry) if whole.settings is not None else None,
    )


def _monitors(whole: Whole) -> list[MonitorData]:
    """Those that are in force; where this Python has no plan of them, those of the file."""
    if whole.index is not None:
        return whole.index.all_monitors()
    plan = load(whole.path, os.environ).plan
    return plan["monitors"] if plan is not None else []
