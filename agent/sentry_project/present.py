"""What is in Sentry of all that the file wants, and what carries our mark and is wanted no longer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ..base.errors import ConfigError
from .api import ApiError
from .kinds import alerts, crons, dashboards, monitors, ownership, protection, queries
from .site import Site
from .thing import Thing


class Present(NamedTuple):
    things: list[Thing]
    foreign: dict[tuple[str, str], str]  # (kind, name) → why that name cannot be ours
    monitor_ids: dict[str, str]  # what an alert refers to → its number
    ownership: str  # all rules, ours and people's


class TooOldError(ConfigError):
    """Sentry lacks a part of the API."""


def read(site: Site, wanted: Iterable[Thing], kinds: frozenset[str]) -> Present:
    """Raises ApiError, and TooOldError for a Sentry without monitors or alerts."""
    by_name = {(thing.kind, thing.name): thing for thing in wanted}
    found = Present([], {}, {}, "")
    of_alerts = kinds.intersection(alerts.OF.values())
    if of_alerts or "monitor" in kinds:
        found.things.extend(_monitors(site, found.monitor_ids, keep="monitor" in kinds))
    if of_alerts:
        found.things.extend(each for each in _alerts(site, found.monitor_ids) if each.name.split()[-1] in of_alerts)
    if "cron" in kinds:
        found.things.extend(_crons(site, by_name, found.foreign))
    if "dashboard" in kinds:
        found.things.extend(_dashboards(site))
    if "query" in kinds:
        found.things.extend(_queries(site))
    if "ownership" in kinds:
        held = site.api.found(site.of_project("ownership")) or {}
        found = found._replace(ownership=held.get("raw") or "")
        found.things.append(Thing("ownership", "", ownership.from_api(site.mark, found.ownership)))
    if "filter" in kinds:
        found.things.extend(_filters(site, by_name))
    if "scrubbing" in kinds:
        body = by_name["scrubbing", ""].body
        found.things.append(Thing("scrubbing", "", protection.from_api(site.settings, body)))
    return found


def _monitors(site: Site, ids: dict[str, str], *, keep: bool) -> Iterator[Thing]:
    for each in _listed(site, "detectors", "metric monitors", project=site.project_id):
        number, name = str(each["id"]), site.mark.off(each.get("name"))
        if each.get("type") == "error":
            ids.setdefault(alerts.ERRORS, number)
        elif each.get("type") == "metric_issue" and name is not None:
            ids.setdefault(f"monitor:{name}", number)
            if keep:
                yield Thing("monitor", name, monitors.from_api(each, site.people), number)
    if alerts.ERRORS not in ids:
        raise TooOldError(
            f"Sentry at {site.api.url} has no error monitor for project {site.project}, which alerts need: open the "
            "project's monitors in Sentry, or list only the other parts in sentry.project.manage"
        )


def _alerts(site: Site, ids: Mapping[str, str]) -> Iterator[Thing]:
    names = {number: name for name, number in ids.items()}
    for each in _listed(site, "workflows", "alerts"):
        name = site.mark.off(each.get("name"))
        if name is not None:
            yield Thing("alert", name, alerts.from_api(each, site.people, names), str(each["id"]))


def _listed(site: Site, what: str, words: str, **query: object) -> Iterator[Any]:
    try:
        yield from site.api.pages(site.of_organization(what), **query)
    except ApiError as error:
        if error.status != 404:
            raise
        raise TooOldError(
            f"Sentry at {site.api.url} is too old to set up {words}: it has no …/{what}/. Upgrade it, or keep its "
            "alerts by hand: list only the other parts in sentry.project.manage, without issue-alerts and metric-alerts"
        ) from None


def _crons(site: Site, wanted: Mapping[tuple[str, str], Thing], foreign: dict[tuple[str, str], str]) -> Iterator[Thing]:
    slugs = {str(thing.body["slug"]): thing for (kind, _), thing in wanted.items() if kind == "cron"}
    for each in site.api.pages(site.of_organization("monitors"), project=site.project_id):
        slug, name = str(each.get("slug")), site.mark.off(each.get("name"))
        thing = slugs.get(slug)
        if name is not None:
            yield Thing("cron", name, crons.from_api(each, site.people, thing.body if thing else None), slug)
        elif thing is not None and each.get("isUpserting") and each.get("name") in (slug, thing.name):
            body = crons.from_api(each, site.people, thing.body)  # a check-in made it: it lacks our mark
            yield Thing("cron", thing.name, {**body, "name": str(each.get("name"))}, slug)
        elif thing is not None:
            foreign["cron", thing.name] = f"somebody has made a cron monitor {slug}"


def _dashboards(site: Site) -> Iterator[Thing]:
    for each in site.api.pages(site.of_organization("dashboards")):
        name = site.mark.off(each.get("title"))
        whole = site.api.found(site.of_organization("dashboards", each["id"])) if name is not None else None
        if name is not None and whole is not None:
            body = dashboards.from_api(whole)
            if list(whole.get("projects") or []) != [site.project_id]:
                body["projects"] = list(whole.get("projects") or [])
            yield Thing("dashboard", name, body, str(each["id"]))


def _queries(site: Site) -> Iterator[Thing]:
    for each in site.api.pages(site.of_organization("discover", "saved")):
        name = site.mark.off(each.get("name"))
        if name is not None:
            yield Thing("query", name, queries.from_api(each), str(each["id"]))


def _filters(site: Site, wanted: Mapping[tuple[str, str], Thing]) -> Iterator[Thing]:
    held = site.api.get(site.of_project("filters"))
    for each in held if isinstance(held, list) else ():
        if ("filter", str(each.get("id"))) in wanted:
            yield Thing("filter", str(each["id"]), {"active": bool(each.get("active"))})
