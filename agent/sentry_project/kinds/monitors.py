"""Metric monitors: the error rate of each module, and the 95th percentile against the thresholds of the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...language.units import format_duration
from .. import recipients
from ..facts import Facts, Module
from ..people import People
from ..thing import Thing, fitting
from .searches import both, of_module, term

#: Sentry's priorities of what a condition finds.
_HIGH, _RESOLVED = 75, 0
_PERFORMANCE = 1

_LONGEST_NAME = 130  # Sentry takes 200, with the mark


def wanted(facts: Facts) -> Iterator[Thing]:
    """None where no share of the calls becomes spans: there is nothing to measure then."""
    if not facts.traced:
        return
    for module in facts.modules:
        yield from of_one(facts, module)


def of_one(facts: Facts, module: Module) -> Iterator[Thing]:
    project = facts.project
    here = of_module(module.name)
    if project["error_rate"] is not None:
        percent = f"{100 * project['error_rate']:g}%"
        yield _monitor(facts, module, f"{module.name} error rate", here, "failure_rate()", project["error_rate"],
                       f"More than {percent} of the calls of {module.name} failed.")  # fmt: skip
    if project["p95"] == "modules" and module.threshold is not None:
        text = f"More than 5% of the calls of {module.name} took longer than {format_duration(module.threshold)}."
        yield _monitor(facts, module, f"{module.name} p95", here, "p95(span.duration)", module.threshold * 1000, text)
    if project["p95"] == "operations":
        for operation, seconds in module.operations.items():
            search = both(here, term("erp.operation", operation))
            text = f"More than 5% of the calls of {operation} took longer than {format_duration(seconds)}."
            yield _monitor(facts, module, f"{module.name} {operation} p95", search, "p95(span.duration)",
                           seconds * 1000, text)  # fmt: skip


def _monitor(
    facts: Facts, module: Module, name: str, search: str, aggregate: str, above: float, description: str
) -> Thing:
    return Thing("monitor", fitting(name, _LONGEST_NAME), {
        "description": description,
        "search": search,
        "aggregate": aggregate,
        "above": float(above),
        "window": facts.project["window"],
        "environment": facts.project["environment"],
        "owner": recipients.owner(facts.project, module.owner),
    })  # fmt: skip


def to_api(body: Mapping[str, Any], title: str, people: People) -> dict[str, Any]:
    owner = body["owner"]
    return {
        "name": title,
        "type": "metric_issue",
        "description": body["description"],
        "enabled": True,
        "owner": people.actor(owner) if owner is not None else None,
        "config": {"detection_type": "static"},
        "data_sources": [{
            "aggregate": body["aggregate"],
            "dataset": "events_analytics_platform",
            "environment": body["environment"],
            "event_types": ["trace_item_span"],
            "query": body["search"],
            "query_type": _PERFORMANCE,
            "time_window": body["window"],
        }],
        "condition_group": {
            "logic_type": "any",
            "conditions": [
                {"type": "gt", "comparison": body["above"], "condition_result": _HIGH},
                {"type": "lte", "comparison": body["above"], "condition_result": _RESOLVED},
            ],
        },
    }  # fmt: skip


def from_api(found: Mapping[str, Any], people: People) -> dict[str, Any]:
    sources = found.get("dataSources") or [{}]
    query = ((sources[0].get("queryObj") or {}).get("snubaQuery")) or {}
    conditions = (found.get("conditionGroup") or {}).get("conditions") or []
    above = [each.get("comparison") for each in conditions if each.get("type") == "gt"]
    results = {each.get("type"): each.get("conditionResult") for each in conditions}
    whole = results == {"gt": _HIGH, "lte": _RESOLVED}
    return {
        "description": found.get("description") or "",
        "search": query.get("query") or "",
        "aggregate": query.get("aggregate"),
        "above": float(above[0]) if len(above) == 1 and whole and isinstance(above[0], (int, float)) else None,
        "window": query.get("timeWindow"),
        "environment": query.get("environment"),
        "owner": people.owner_of(found.get("owner")),
        **({} if found.get("enabled", True) else {"enabled": False}),
    }
