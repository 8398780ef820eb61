"""Whom an alert notifies, as the file names them: `team:sales`, `user:anna@example.com`, `slack:Norrland/#erp`."""

from __future__ import annotations

from ..base.model import ProjectData

#: Whoever owns the issue in Sentry, by its ownership rules.
ISSUE_OWNERS = "issue owners"


def owner(project: ProjectData, name: str | None) -> str | None:
    """The team or user in Sentry of a module's owner; None where the module has no owner."""
    if name is None:
        return None
    given = project["owners"].get(name)
    if given is not None:
        return given
    return f"user:{name.lower()}" if "@" in name else f"team:{name}"


def resolved(project: ProjectData, listed: list[str], module_owner: str | None) -> list[str]:
    """With the module's owner in place of `owner`, or the owners of the issue where it has none; each once."""
    mine = owner(project, module_owner) or ISSUE_OWNERS
    return list(dict.fromkeys(mine if each == "owner" else each for each in listed))


def provider_of(recipient: str) -> tuple[str, str, str]:
    """("slack", "Norrland", "#erp")"""
    provider, _, rest = recipient.partition(":")
    account, _, channel = rest.partition("/")
    return provider, account, channel
