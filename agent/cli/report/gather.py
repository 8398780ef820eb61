"""Everything that the page shows, read from the state folder: figures, local events, processes and the plan."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from ...deliver.history.events import local_events
from ...measure.figures import Figures
from ...plan import index as cache
from ..options import configured_by
from ..spool.places import places
from ..state import processes
from .issues import Issues
from .measures import Measures, measure

if TYPE_CHECKING:
    from collections.abc import Callable


class Problem(NamedTuple):
    """Something that is wrong with the monitoring itself, and what to do."""

    text: str
    hint: str


class Report(NamedTuple):
    config: str
    environment: str
    host: str
    made: float
    module: str | None
    measures: Measures
    issues: Issues
    problems: list[Problem]
    lost: dict[str, int]  # reason → events that were captured and not kept
    aside: int  # envelopes that Sentry refused
    owners: dict[str, str]  # module → owner
    thresholds: dict[str, float]  # monitor → seconds


def gather(path: str, state: str, seconds: float, module: str | None, clock: Callable[[], float] = time.time) -> Report:
    """Raises AgentError where the spool or the state folder cannot be read."""
    now = clock()
    where = configured_by(path)
    spools = [place.spool for place in places(where)]
    index = cache.load(state, path)
    monitors = index.all_monitors() if index is not None else []
    events = local_events([spool.directory for spool in spools], since=now - seconds, module=module or "")
    shown = processes.of_the_host(processes.read(os.path.join(state, "run")), all_=True)
    lost = Counter[str]()
    for process in shown:
        lost.update(process.lost())
    return Report(
        config=path,
        environment=where.sentry["environment"] or "",
        host=os.uname().nodename,
        made=now,
        module=module,
        measures=measure(Figures(state, clock), seconds, module, now),
        issues=Issues(events, {each["name"] for each in monitors if each["kind"] == "security"}),
        problems=[],
        lost=dict(lost),
        aside=sum(len(spool.quarantined()) for spool in spools),
        owners={each["module"]: each["owner"] for each in monitors if each["module"] and each["owner"]},
        thresholds={each["name"]: each["thresholds"][0][0] for each in monitors if each["thresholds"]},
    )
