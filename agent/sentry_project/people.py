"""Teams, users and integrations of an organization: the names of the file, and the numbers that Sentry wants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from ..language.nearest import did_you_mean
from .api import Api, ApiError, path
from .recipients import ISSUE_OWNERS, provider_of

#: Integrations whose channels are entries of a table of their own: provider → (table, name of the entry).
_TABLES = {"pagerduty": ("service_table", "service"), "opsgenie": ("team_table", "team")}
_PRIORITY = {"pagerduty": "default", "opsgenie": "P3"}


class People:
    """Each list is read when it is first needed."""

    def __init__(self, api: Api, organization: str) -> None:
        self._api = api
        self._organization = organization

    @cached_property
    def teams(self) -> dict[str, str]:
        """Slug → number."""
        return {str(each["slug"]): str(each["id"]) for each in self._list("teams")}

    @cached_property
    def users(self) -> dict[str, str]:
        """E-mail address, in small letters → number. Who was invited and has not joined has none."""
        found: dict[str, str] = {}
        for each in self._list("members"):
            user = each.get("user") or {}
            if user.get("id"):
                found.update(
                    {str(mail).lower(): str(user["id"]) for mail in (each.get("email"), user.get("email")) if mail}
                )
        return found

    @cached_property
    def integrations(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        """(provider, name) → the integration."""
        return {
            (str((each.get("provider") or {}).get("key")), str(each.get("name"))): each
            for each in self._list("integrations")
        }

    def _list(self, what: str) -> Iterator[Any]:
        return self._api.pages(path("organizations", self._organization, what))

    # ------------------------------------------------------------------------------------------------------- to Sentry

    def unknown(self, recipients: Iterable[str]) -> Iterator[str]:
        """A sentence for each that the organization does not have."""
        for each in dict.fromkeys(recipients):
            if each == ISSUE_OWNERS:
                continue
            kind, _, name = each.partition(":")
            where = f"organization {self._organization} of Sentry"
            if kind == "team" and name not in self.teams:
                hint = did_you_mean(name, self.teams, "create it there, or name another one in sentry.project.owners")
                yield f"there is no team {name} in {where}: {hint}"
            elif kind == "user" and name.lower() not in self.users:
                yield f"nobody with the address {name} has joined {where}: invite them, or name someone else"
            elif kind not in ("team", "user"):
                yield from self._unknown_channel(each, where)

    def _unknown_channel(self, recipient: str, where: str) -> Iterator[str]:
        provider, account, channel = provider_of(recipient)
        if (provider, account) not in self.integrations:
            there = [name for key, name in self.integrations if key == provider]
            hint = did_you_mean(account, there, f"it has {', '.join(sorted(there))}" if there else
                                "install the integration in Sentry's settings")  # fmt: skip
            yield f"there is no {provider} integration {account} in {where}: {hint}"
        elif provider in _TABLES and channel not in self._entries(provider, account):
            yield f"the {provider} integration {account} in {where} has no {channel}: add it in Sentry's settings"

    def _entries(self, provider: str, account: str) -> dict[str, str]:
        """Name → number of the services of PagerDuty, or the teams of Opsgenie."""
        table, name = _TABLES[provider]
        data = self.integrations[provider, account].get("configData") or {}
        return {str(each.get(name)): str(each.get("id")) for each in data.get(table) or ()}

    def actor(self, recipient: str) -> str:
        """`team:12`"""
        kind, _, name = recipient.partition(":")
        return f"team:{self.teams[name]}" if kind == "team" else f"user:{self.users[name.lower()]}"

    def address(self, recipient: str) -> str:
        """A user under the address that `owner_of` and `recipient` return."""
        number = self.users.get(recipient.partition(":")[2].lower())
        return recipient if number is None else self._person("user", number)

    def action(self, recipient: str) -> dict[str, Any]:
        """The action of an alert that notifies this one."""
        if recipient == ISSUE_OWNERS:
            config = {"target_type": "issue_owners", "target_identifier": None, "target_display": None}
            return _action("email", config, {"fallthrough_type": "ActiveMembers"})
        kind = recipient.partition(":")[0]
        if kind in ("team", "user"):
            number = self.actor(recipient).partition(":")[2]
            return _action("email", {"target_type": kind, "target_identifier": number, "target_display": None}, {})
        provider, account, channel = provider_of(recipient)
        config = {"target_type": "specific", "target_identifier": "", "target_display": channel}
        if provider in _TABLES:
            config["target_identifier"] = self._entries(provider, account)[channel]
        elif provider == "discord":
            config.update(target_identifier=channel, target_display=None)
        data = {"priority": _PRIORITY[provider]} if provider in _PRIORITY else {}
        return _action(provider, config, data, str(self.integrations[provider, account]["id"]))

    # ----------------------------------------------------------------------------------------------------- from Sentry

    def owner_of(self, found: Mapping[str, Any] | None) -> str | None:
        if not found:
            return None
        return self._person(str(found.get("type")), str(found.get("id")))

    def recipient(self, action: Mapping[str, Any]) -> str:
        kind, config = str(action.get("type")), action.get("config") or {}
        if kind == "email":
            target = str(config.get("targetType"))
            return (
                ISSUE_OWNERS if target == "issue_owners" else self._person(target, str(config.get("targetIdentifier")))
            )
        number = str(action.get("integrationId"))
        account = next((name for (key, name), each in self.integrations.items()
                        if key == kind and str(each.get("id")) == number), number)  # fmt: skip
        channel = config.get("targetIdentifier") if kind == "discord" else config.get("targetDisplay")
        if kind == "slack" and channel and not str(channel).startswith(("#", "@")):
            channel = f"#{channel}"  # Sentry stores it without
        return f"{kind}:{account}/{channel}"

    def _person(self, kind: str, number: str) -> str:
        try:
            known = self.teams if kind == "team" else self.users
        except ApiError as error:
            if error.status != 403:
                raise
            known = {}  # somebody put a user there, and the token needs to know of none
        return f"{kind}:{next((name for name, each in known.items() if each == number), number)}"


def _action(kind: str, config: dict[str, Any], data: dict[str, Any], integration: str | None = None) -> dict[str, Any]:
    return {"type": kind, "integration_id": integration, "config": config, "data": data, "status": "active"}
