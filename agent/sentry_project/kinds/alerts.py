"""Alerts: who is notified of a module's issues, by severity, and of its metric monitors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...base.model import SEVERITIES
from .. import recipients
from ..facts import Facts, Module
from ..people import People
from ..thing import Thing
from . import monitors

#: The monitor of every project that finds errors.
ERRORS = "errors of the project"

#: The part of `sentry.project.manage` → the last word of its alerts' names.
OF = {"issue-alerts": "issues", "metric-alerts": "metrics"}

#: Sentry's numbers of levels.
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "fatal": 50}
_TRIGGERS = ("first_seen_event", "regression_event", "reappeared_event")


def wanted(facts: Facts) -> Iterator[Thing]:
    for module in facts.modules:
        if facts.has("issue-alerts") and facts.project["issues"]:
            yield _of_issues(facts, module)
        if facts.has("metric-alerts") and facts.traced:
            watched = [f"monitor:{thing.name}" for thing in monitors.of_one(facts, module)]
            if watched:
                to = recipients.resolved(facts.project, facts.project["metrics"], module.owner)
                yield _alert(
                    facts, f"{module.name} {OF['metric-alerts']}", watched, [{"module": None, "level": None, "to": to}]
                )


def _of_issues(facts: Facts, module: Module) -> Thing:
    issues = facts.project["issues"]
    return _alert(facts, f"{module.name} {OF['issue-alerts']}", [ERRORS], [
        {"module": module.name, "level": level, "to": recipients.resolved(facts.project, issues[level], module.owner)}
        for level in reversed(SEVERITIES) if level in issues
    ])  # fmt: skip


def _alert(facts: Facts, name: str, watched: list[str], notify: list[dict[str, Any]]) -> Thing:
    project = facts.project
    body = {"monitors": watched, "environment": project["environment"], "frequency": project["frequency"],
            "notify": notify}  # fmt: skip
    return Thing("alert", name, body)


def to_api(body: Mapping[str, Any], title: str, people: People, monitor_ids: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": title,
        "enabled": True,
        "environment": body["environment"],
        "config": {"frequency": body["frequency"]},
        "detector_ids": sorted(int(monitor_ids[each]) for each in body["monitors"]),
        "triggers": {"logic_type": "any-short", "conditions": [
            {"type": each, "comparison": True, "condition_result": True} for each in _TRIGGERS
        ]},
        "action_filters": [
            {"logic_type": "all", "conditions": list(_conditions(each)),
             "actions": [people.action(one) for one in each["to"]]}
            for each in body["notify"]
        ],
    }  # fmt: skip


def _conditions(notify: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if notify["module"] is not None:
        comparison: dict[str, Any] = {"key": "erp.module", "match": "eq", "value": notify["module"]}
        yield {"type": "tagged_event", "comparison": comparison, "condition_result": True}
    if notify["level"] is not None:
        comparison = {"level": LEVELS[notify["level"]], "match": "eq"}
        yield {"type": "level", "comparison": comparison, "condition_result": True}


def from_api(found: Mapping[str, Any], people: People, names: Mapping[str, str]) -> dict[str, Any]:
    """`names`: id → what a monitor is called here. What has no place in our form makes a difference."""
    triggers = found.get("triggers") or {}
    whole = {each.get("type") for each in triggers.get("conditions") or ()} == set(_TRIGGERS)
    ids = sorted(found.get("detectorIds") or (), key=int)
    return {
        "monitors": [names.get(str(each), f"monitor {each}") for each in ids],
        "environment": found.get("environment"),
        "frequency": (found.get("config") or {}).get("frequency"),
        "notify": [_notified(each, people) for each in found.get("actionFilters") or ()],
        **({} if whole else {"triggers": sorted(str(each.get("type")) for each in triggers.get("conditions") or ())}),
        **({} if found.get("enabled", True) else {"enabled": False}),
    }


def _notified(action_filter: Mapping[str, Any], people: People) -> dict[str, Any]:
    conditions = {str(each.get("type")): each.get("comparison") for each in action_filter.get("conditions") or ()}
    tag = conditions.pop("tagged_event", None) or {}
    level = conditions.pop("level", None) or {}
    names = {number: name for name, number in LEVELS.items()}
    number = level.get("level")
    other = {} if not conditions else {"conditions": sorted(conditions)}
    for form, right in ((tag, {"key": "erp.module", "match": "eq"}), (level, {"match": "eq"})):
        if form and any(form.get(key) != value for key, value in right.items()):
            other["conditions"] = [str(form)]
    return {
        "module": tag.get("value"),
        "level": names.get(int(number)) if number is not None else None,
        "to": [people.recipient(each) for each in action_filter.get("actions") or ()],
        **other,
    }
