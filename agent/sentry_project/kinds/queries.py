"""Saved queries: what failed, and what was slow, of each module. `report` links to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..facts import Facts
from ..thing import Thing
from . import searches
from .searches import both, of_module

_FIELDS = ["title", "erp.operation", "level", "release", "user", "timestamp"]


def wanted(facts: Facts) -> Iterator[Thing]:
    for module in facts.modules:
        here = of_module(module.name)
        yield _query(facts, errors_of(module.name), both(here, searches.FAILED))
        yield _query(facts, f"{module.name} slow calls", both(here, "erp.report:slow"))


def errors_of(module: str) -> str:
    return f"{module} errors"


def _query(facts: Facts, name: str, search: str) -> Thing:
    environment = facts.project["environment"]
    return Thing("query", name, {"search": search, "fields": list(_FIELDS), "orderby": "-timestamp", "range": "24h",
                                 "environment": [environment] if environment else []})  # fmt: skip


def to_api(body: Mapping[str, Any], title: str, project_id: int) -> dict[str, Any]:
    return {"version": 2, "name": title, "query": body["search"], "fields": body["fields"],
            "orderby": body["orderby"], "range": body["range"], "environment": body["environment"],
            "projects": [project_id], "queryDataset": "error-events"}  # fmt: skip


def from_api(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"search": found.get("query") or "", "fields": list(found.get("fields") or []),
            "orderby": found.get("orderby") or "", "range": found.get("range"),
            "environment": list(found.get("environment") or [])}  # fmt: skip
