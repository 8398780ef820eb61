"""Addresses of Sentry's pages. They are made of the configuration alone: no request is sent."""

from __future__ import annotations

from urllib.parse import quote, urlencode, urlsplit

from ..base.model import SentryData
from ..language.dsn import DsnError, parse_dsn
from . import facts
from .kinds import queries, searches
from .thing import Mark


class Links:
    """Of one project. `of` returns None where none is configured."""

    def __init__(self, sentry: SentryData) -> None:
        project = sentry["project"]
        assert project is not None
        address, organization = facts.address(project, sentry["dsn"]), project["organization"]
        self._organization = f"{address}/organizations/{organization}"
        # On sentry.io, each organization has a host of its own, and shorter addresses.
        host = urlsplit(address).hostname or ""
        saas = host == "sentry.io" or host.endswith(".sentry.io")
        self._base = f"https://{organization}.sentry.io" if saas else self._organization
        self._project = project["project"]
        self._mark = Mark(project)
        try:
            number = parse_dsn(sentry["dsn"] or "").project
        except DsnError:
            number = ""
        self._number = number if number.isdigit() else ""  # pages take it; a slug they ignore

    def event(self, event_id: str) -> str:
        """The issue of this event, at the event."""
        return f"{self._organization}/projects/{self._project}/events/{quote(event_id)}/"

    def trace(self, trace_id: str) -> str:
        return f"{self._base}/performance/trace/{quote(trace_id)}/"

    def dashboards(self) -> str:
        """The list of our dashboards: their numbers are known to Sentry only."""
        return self._with("dashboards/", query=self._mark.text.strip("[]"))

    def issues(self, module: str) -> str:
        return self._with("issues/", project=self._number, query=f"is:unresolved {searches.of_module(module)}")

    def saved_query(self, module: str) -> str:
        """The saved query of a module's errors, in the list of queries."""
        return self._with("explore/saved-queries/", query=queries.errors_of(module))

    def _with(self, page: str, **query: str) -> str:
        return (
            f"{self._base}/{page}?{urlencode({name: value for name, value in query.items() if value}, quote_via=quote)}"
        )


def of(sentry: SentryData) -> Links | None:
    return Links(sentry) if sentry.get("project") else None
