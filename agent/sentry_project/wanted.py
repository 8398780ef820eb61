"""All that the file wants in Sentry."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from ..codebase.beat import Entry
from .facts import Facts
from .kinds import alerts, crons, dashboards, monitors, ownership, protection, queries
from .thing import Thing

#: The parts of `sentry.project.manage` → kinds of things.
PARTS = {
    "metric-alerts": "monitor", "cron-monitors": "cron", "dashboards": "dashboard", "queries": "query",
    "ownership": "ownership", "filters": "filter", "scrubbing": "scrubbing",
}  # fmt: skip


class Wanted(NamedTuple):
    things: list[Thing]
    notes: list[str]  # sentences about what is left out, and why


def all_of(facts: Facts, entries: list[Entry], seen: Collection[crons.Seen] = ()) -> Wanted:
    """`entries` are those of beat's schedule in the source, `seen` those of any queue that processes have sent."""
    cron_things, notes = crons.wanted(facts, entries, seen) if facts.has("cron-monitors") else ([], [])
    if facts.has("metric-alerts") and not facts.traced:
        notes.append(
            "there are no metric alerts: sentry.traces_sample_rate is 0, so that Sentry does not learn how many calls "
            "succeed and how long they take; set it to 0.1"
        )
    return Wanted([*_things(facts), *cron_things], notes)


def _things(facts: Facts) -> Iterator[Thing]:
    if facts.has("metric-alerts"):
        yield from monitors.wanted(facts)
    yield from alerts.wanted(facts)
    if facts.has("dashboards"):
        yield from dashboards.wanted(facts)
    if facts.has("queries"):
        yield from queries.wanted(facts)
    if facts.has("ownership"):
        yield from ownership.wanted(facts)
    if facts.has("filters"):
        yield from protection.filters(facts)
    if facts.has("scrubbing"):
        yield from protection.scrubbing(facts)


def kinds(facts: Facts) -> frozenset[str]:
    """The kinds of things that are managed. What is not is neither read nor changed."""
    found = {kind for part, kind in PARTS.items() if facts.has(part)}
    found.update(alerts.OF[part] for part in alerts.OF if facts.has(part))
    return frozenset(found)
