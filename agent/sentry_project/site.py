"""The organization and project in Sentry, checked before anything is changed: the token, its scopes, the names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ..base.errors import ConfigError
from . import recipients
from .api import Api, ApiError, path
from .facts import Facts
from .people import People
from .thing import Mark

VARIABLE = "SENTRY_AUTH_TOKEN"
_RANKS = ("read", "write", "admin")
_WRITES = {
    "issue-alerts": "alerts:write", "metric-alerts": "alerts:write", "cron-monitors": "alerts:write",
    "ownership": "project:write", "filters": "project:write", "scrubbing": "project:write",
}  # fmt: skip
#: Parts of `sentry.project.manage` → the feature of Sentry's plans, and what it is called.
_FEATURES = {"metric-alerts": ("incidents", "metric alerts"), "queries": ("discover-query", "saved queries")}
_HOW = "make one in Sentry under Settings › Custom Integrations › Internal Integration; docs/sentry.md lists its scopes"


class Site(NamedTuple):
    api: Api
    organization: str
    project: str  # slugs
    project_id: int
    settings: Mapping[str, Any]  # of the project, as Sentry returns them
    people: People
    mark: Mark

    def of_organization(self, *parts: object) -> str:
        return path("organizations", self.organization, *parts)

    def of_project(self, *parts: object) -> str:
        return path("projects", self.organization, self.project, *parts)


def connect(facts: Facts, environ: Mapping[str, str], *, writing: bool, api: Api | None = None) -> Site:
    """Raises ConfigError or ApiError, each with what to do. `writing`: what is planned is to be done, too."""
    api = api or Api(facts.url, token(environ))
    project = facts.project
    organization, slug = project["organization"], project["project"]
    _check_scopes(api, list(_scopes(facts, writing=writing)))
    found = api.found(path("organizations", organization))
    if found is None:
        raise ConfigError(
            f"Sentry at {api.url} has no organization {organization}, or the token in {VARIABLE} is of another one; "
            "correct sentry.project.organization or sentry.project.url"
        )
    _check_features(facts, found.get("features"))
    settings = api.found(path("projects", organization, slug))
    if settings is None:
        raise ConfigError(
            f"organization {organization} has no project {slug}, or the token may not see it; correct "
            "sentry.project.project, or give the token's integration access to it"
        )
    site = Site(api, organization, slug, int(settings["id"]), settings, People(api, organization), Mark(project))
    _check_environment(site, project["environment"])
    return site


def _check_environment(site: Site, environment: str | None) -> None:
    """Raises ConfigError for an environment from which no event has come: Sentry takes no alert for it."""
    if environment is None:
        return
    there = {str(each.get("name")) for each in site.api.pages(site.of_project("environments"))}
    if environment not in there:
        known = f"it has {', '.join(sorted(filter(None, there)))}" if any(there) else "it has none"
        raise ConfigError(
            f"project {site.project} of Sentry has no environment {environment} ({known}): correct "
            "sentry.project.environment, or send an event from it first: python -m agent test"
        )


def _check_features(facts: Facts, features: object) -> None:
    """Raises ConfigError for a part that the organization has not paid for."""
    if not isinstance(features, list):
        return
    for part, (feature, words) in _FEATURES.items():
        needed = facts.has(part) and (part != "metric-alerts" or facts.traced)
        if needed and feature not in features:
            raise ConfigError(
                f"the plan of organization {facts.project['organization']} has no {words}; change it in Sentry, or "
                f"list the other parts only in sentry.project.manage, without {part}"
            )


def token(environ: Mapping[str, str]) -> str:
    """The token. It comes from the environment only, so that it is in no file."""
    given = environ.get(VARIABLE, "").strip()
    if not given:
        raise ConfigError(f"there is no token of Sentry: set {VARIABLE}; {_HOW}")
    if not given.isascii() or not given.isprintable() or " " in given:
        raise ConfigError(f"{VARIABLE} is no token: it has blanks or other characters that no token has; {_HOW}")
    return given


def _scopes(facts: Facts, *, writing: bool) -> Iterator[str]:
    yield "org:read"
    yield "project:read"
    if any(facts.has(part) for part in ("issue-alerts", "metric-alerts", "cron-monitors")):
        yield "alerts:read"
    if any(each.startswith("user:") for each in people_named(facts)):
        yield "member:read"
    if writing:
        yield from dict.fromkeys(scope for part, scope in _WRITES.items() if facts.has(part))


def people_named(facts: Facts) -> Iterator[str]:
    """Every recipient and owner that the file names."""
    project = facts.project
    for module in facts.modules:
        mine = recipients.owner(project, module.owner)
        if mine is not None:
            yield mine
        listed = [*project["issues"].values()] if facts.has("issue-alerts") else []
        if facts.has("metric-alerts") and facts.traced:
            listed.append(project["metrics"])
        for each in listed:
            yield from recipients.resolved(project, each, module.owner)


def check_people(site: Site, facts: Facts) -> None:
    """Raises ConfigError with a sentence for each team, user and channel that Sentry does not have."""
    named = list(dict.fromkeys(people_named(facts)))
    missing = list(site.people.unknown(named))
    teams = site.settings.get("teams")
    if facts.has("ownership") and isinstance(teams, list):
        inside = {str(each.get("slug")) for each in teams}
        owners = dict.fromkeys(recipients.owner(facts.project, module.owner) for module in facts.modules)
        for owner in owners:
            kind, _, slug = (owner or "").partition(":")
            if kind == "team" and slug in site.people.teams and slug not in inside:
                missing.append(
                    f"team {slug} has no access to project {site.project}, which ownership rules need: add it in the "
                    "project's settings, under Teams"
                )
    if missing:
        raise ConfigError("\n".join(missing))


def _check_scopes(api: Api, needed: Iterable[str]) -> None:
    """Raises ConfigError for a scope that the token lacks. Nothing is checked where Sentry does not list the scopes."""
    try:
        index = api.get("/")
    except ApiError as error:
        if error.status in (0, 401) or 300 <= error.status < 400:
            raise
        return
    auth = index.get("auth") if isinstance(index, dict) else None
    scopes = auth.get("scopes") if isinstance(auth, dict) else None
    if not isinstance(scopes, list):
        return
    missing = [scope for scope in needed if not _covered(scope, scopes)]
    if missing:
        has = ", ".join(sorted(map(str, scopes))) or "none"
        kind = "; it is an organization token, which only uploads releases" if scopes == ["org:ci"] else ""
        raise ConfigError(f"the token in {VARIABLE} lacks the scopes {', '.join(missing)} (it has {has}{kind}); {_HOW}")


def _covered(scope: str, scopes: Iterable[str]) -> bool:
    """`project:write` includes `project:read`; who may change the organization may change its alerts."""
    resource, _, level = scope.partition(":")
    for each in scopes:
        held, _, rank = str(each).partition(":")
        same = held == resource or (resource == "alerts" and held == "org")
        if same and rank in _RANKS and _RANKS.index(rank) >= _RANKS.index(level):
            return True
    return False
