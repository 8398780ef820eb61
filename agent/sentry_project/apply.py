"""Carries a plan out, one thing after the other. What fails ends it; the next run goes on from what is there then."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..base.errors import AgentError
from .api import ApiError
from .kinds import alerts, crons, dashboards, monitors, ownership, protection, queries
from .plan import CREATE, DELETE, Change
from .present import Present
from .site import Site
from .thing import Thing

#: Kind → the collection in the organization.
_PLACES = {
    "monitor": ("detectors",), "alert": ("workflows",), "cron": ("monitors",), "dashboard": ("dashboards",),
    "query": ("discover", "saved"),
}  # fmt: skip


def apply(site: Site, present: Present, changes: Iterable[Change], done: Callable[[Change], None]) -> None:
    """`done` is called after each. Raises AgentError with what could not be done; nothing after it was tried."""
    ids = dict(present.monitor_ids)
    for change in changes:
        thing = change.thing
        try:
            if change.action == DELETE:
                site.api.send("DELETE", site.of_organization(*_PLACES[thing.kind], thing.id))
            elif thing.kind in _PLACES:
                found = _put(site, change, _body(site, thing, ids))
                if thing.kind == "monitor":
                    ids[f"monitor:{thing.name}"] = str(found["id"])
            else:
                _set(site, present, thing)
        except ApiError as error:
            if change.action == DELETE and error.status == 404:
                done(change)  # somebody was faster
                continue
            raise AgentError(_why(change, error)) from None
        done(change)


def _put(site: Site, change: Change, body: dict[str, Any]) -> Any:
    thing = change.thing
    if change.action == CREATE and thing.kind == "monitor":
        return site.api.send("POST", site.of_organization("projects", site.project, "detectors"), body)
    if change.action == CREATE:
        return site.api.send("POST", site.of_organization(*_PLACES[thing.kind]), body)
    assert change.found is not None
    if thing.kind == "alert":
        body = {"id": change.found.id, **body}
    return site.api.send("PUT", site.of_organization(*_PLACES[thing.kind], change.found.id), body)


def _body(site: Site, thing: Thing, ids: dict[str, str]) -> dict[str, Any]:
    title = site.mark.on(thing.name)
    if thing.kind == "monitor":
        return monitors.to_api(thing.body, title, site.people)
    if thing.kind == "alert":
        return alerts.to_api(thing.body, title, site.people, ids)
    if thing.kind == "cron":
        return crons.to_api(thing.body, title, site.project, site.people)
    if thing.kind == "dashboard":
        return dashboards.to_api(thing.body, title, site.project_id)
    return queries.to_api(thing.body, title, site.project_id)


def _set(site: Site, present: Present, thing: Thing) -> None:
    if thing.kind == "ownership":
        site.api.send("PUT", site.of_project("ownership"), ownership.to_api(thing.body, site.mark, present.ownership))
    elif thing.kind == "filter":
        site.api.send("PUT", site.of_project("filters", thing.name), thing.body)
    else:
        site.api.send("PUT", site.of_project(), protection.to_api(thing.body, site.settings))


def _why(change: Change, error: ApiError) -> str:
    text = f"could not {change.action} {change.thing.title}: {error}"
    if change.thing.kind == "monitor" and change.action == CREATE and error.status in (400, 403):
        quota = any(word in error.detail.lower() for word in ("limit", "quota", "allowed", "plan", "feature"))
        if quota:
            text += (
                "; the plan of this organization does not allow it: remove metric-alerts from sentry.project.manage, "
                "set alerts.p95 or alerts.error_rate to off, or change the plan"
            )
    if change.thing.kind == "ownership" and error.status == 400:
        text += "; teams in ownership rules need access to the project: add them in its settings, under Teams"
    return text
