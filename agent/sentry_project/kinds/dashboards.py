"""Dashboards: one of the whole ERP, and one of each module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..facts import Facts, Module
from ..thing import Thing
from . import searches
from .searches import both, of_module

WHOLE = "all modules"
_WIDTH = 6  # columns of Sentry's grid
_PERIOD = "24h"
_ERRORS, _SPANS, _COUNTS, _ISSUES = "error-events", "spans", "tracemetrics", "issue"


def wanted(facts: Facts) -> Iterator[Thing]:
    yield _dashboard(facts, None)
    for module in facts.modules:
        yield _dashboard(facts, module)


def _dashboard(facts: Facts, module: Module | None) -> Thing:
    environment = facts.project["environment"]
    body: dict[str, Any] = {
        "period": _PERIOD,
        "environment": [environment] if environment else [],
        "widgets": _placed(list(_widgets(facts, module))),
    }
    return Thing("dashboard", module.name if module is not None else WHOLE, body)


def _widgets(facts: Facts, module: Module | None) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(columns, rows, widget), in the order in which they are laid out."""
    here = of_module(module.name if module is not None else None)
    failed = both(here, searches.FAILED)
    yield 2, 1, _widget("Errors", "big_number", _ERRORS, failed, ["count()"])
    yield 2, 1, _widget("Users affected", "big_number", _ERRORS, failed, ["count_unique(user)"])
    if facts.traced:
        calls = here or "has:erp.module"
        yield 2, 1, _widget("Error rate", "big_number", _SPANS, calls, ["failure_rate()"])
        yield 2, 2, _widget("Error rate over time", "line", _SPANS, calls, ["failure_rate()"])
        yield 2, 2, _widget("95th percentile of durations", "line", _SPANS, calls, ["p95(span.duration)"])
        yield 2, 2, _widget("Calls, extrapolated from the sample", "area", _SPANS, calls, ["count(span.duration)"])
    else:
        slow = both(here, "erp.report:slow")
        yield 2, 1, _widget("Slow calls", "big_number", _ERRORS, slow, ["count()"])
    if facts.counted:
        yield 3, 2, _widget("Calls and failures, counted", "line", _COUNTS, here, [searches.CALLS, searches.FAILURES])
        yield 3, 2, _widget("95th percentile, counted: the slowest process", "line", _COUNTS, here,
                            [searches.P95_COUNTED], ["erp.operation"], limit=5)  # fmt: skip
    yield 3, 2, _widget("Errors by release", "area", _ERRORS, failed, ["count()"], ["release"], limit=5)
    yield 3, 2, _widget("Users affected over time", "line", _ERRORS, failed, ["count_unique(user)"])
    yield 3, 3, _widget("Operations that fail", "table", _ERRORS, failed, ["count()", "count_unique(user)"],
                        ["erp.operation"] if module is not None else ["erp.module", "erp.operation"])  # fmt: skip
    yield 3, 3, _slowest(facts, here, whole=module is None)
    kinds = module.kinds if module is not None else {kind for each in facts.modules for kind in each.kinds}
    if "security" in kinds:
        yield 3, 2, _widget("Security events", "table", _ERRORS, both(here, "erp.kind:security"), ["count()"],
                            ["event_type", "level"])  # fmt: skip
    if module is None:
        yield from _queues(facts)
    unresolved = both("is:unresolved", here or "has:erp.module")
    issues = _widget("Unresolved issues", "table", _ISSUES, unresolved, [], ["issue", "assignee", "title"], limit=10)
    issues["queries"][0]["orderby"] = "date"
    yield _WIDTH, 3, issues


def _slowest(facts: Facts, here: str, *, whole: bool) -> dict[str, Any]:
    columns = ["erp.module", "erp.operation"] if whole else ["erp.operation"]
    if facts.traced:
        calls = both(here, "has:erp.operation")
        return _widget("Slowest operations", "table", _SPANS, calls, ["p95(span.duration)", "count(span.duration)"],
                       columns)  # fmt: skip
    return _widget("Slow operations", "table", _ERRORS, both(here, "erp.report:slow"), ["count()"], columns)


def _queues(facts: Facts) -> Iterator[tuple[int, int, dict[str, Any]]]:
    celery = facts.sentry["celery"]
    if celery is not None and (celery["queue_wait"] or celery["queues"]):
        yield 3, 2, _widget("Tasks that waited too long", "table", _ERRORS, searches.QUEUE_WAIT, ["count()"],
                            ["title"])  # fmt: skip
        if facts.traced and facts.sentry["tracing"] == "sdk":  # the SDK measures it
            yield 3, 2, _widget("Wait in queues", "line", _SPANS, searches.PROCESSED,
                                [f"avg({searches.LATENCY})"], ["messaging.destination.name"], limit=5)  # fmt: skip


def _widget(
    title: str,
    display: str,
    dataset: str,
    conditions: str,
    aggregates: list[str],
    columns: list[str] | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    columns = columns or []
    if display == "table" and limit is None:
        limit = 10
    query = {
        "name": "",
        "fields": [*columns, *aggregates],
        "aggregates": aggregates,
        "columns": columns,
        "conditions": conditions,
        "orderby": f"-{aggregates[0]}" if columns and aggregates else "",
    }
    return {"title": title, "display_type": display, "widget_type": dataset, "interval": "5m",
            "limit": limit, "queries": [query]}  # fmt: skip


def _placed(widgets: list[tuple[int, int, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Rows of the grid, filled from left to right; what does not fit begins the next one."""
    placed = []
    x = y = tallest = 0
    for width, height, widget in widgets:
        if x + width > _WIDTH:
            x, y, tallest = 0, y + tallest, 0
        placed.append({**widget, "layout": {"x": x, "y": y, "w": width, "h": height, "min_h": min(height, 2)}})
        x, tallest = x + width, max(tallest, height)
    return placed


def to_api(body: Mapping[str, Any], title: str, project_id: int) -> dict[str, Any]:
    return {**body, "title": title, "projects": [project_id]}


def from_api(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "period": found.get("period"),
        "environment": list(found.get("environment") or []),
        "widgets": [_seen(each) for each in found.get("widgets") or ()],
    }


def _seen(widget: Mapping[str, Any]) -> dict[str, Any]:
    layout = widget.get("layout") or {}
    return {
        "title": widget.get("title"),
        "display_type": widget.get("displayType"),
        "widget_type": widget.get("widgetType"),
        "interval": widget.get("interval"),
        "limit": widget.get("limit"),
        "queries": [
            {
                "name": query.get("name") or "",
                "fields": list(query.get("fields") or []),
                "aggregates": list(query.get("aggregates") or []),
                "columns": list(query.get("columns") or []),
                "conditions": query.get("conditions") or "",
                "orderby": query.get("orderby") or "",
            }
            for query in widget.get("queries") or ()
        ],
        "layout": {"x": layout.get("x"), "y": layout.get("y"), "w": layout.get("w"), "h": layout.get("h"),
                   "min_h": layout.get("minH")},
    }  # fmt: skip
