"""Facts about a user, from what is in memory already: runs no property and no query, and loads no lazy object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...base.interrupts import ours
from ..event.represent import class_attribute, instance_dict, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MOST_PERMISSIONS = 50

#: Framework → a function that returns facts about the user of the current piece of work, at the cost of a few look-ups.
current: dict[str, Callable[[], Mapping[str, object]]] = {}

_FIELDS = ("id", "username", "email", "permissions", "ip", "is_staff", "is_superuser")


def current_id() -> object:
    """The id of the user of the current piece of work; None where nobody is known."""
    for provider in list(current.values()):
        try:
            identity = provider().get("id")
        except ours(BaseException):
            continue
        if identity is not None:
            return identity
    return None


def facts(user: object) -> dict[str, object]:
    """The user's fields, of an id, of a mapping of fields, or of an object of the ERP's."""
    if type(user) is dict:
        found = {name: user[name] for name in _FIELDS if name in user}
        if "id" not in found and "pk" in user:
            found["id"] = user["pk"]
        return found
    plain = _plain(user)
    return {"id": plain} if plain is not None else facts_of(user)


def facts_of(user: object) -> dict[str, object]:
    """The fields of a user object, as far as they are loaded; none for an anonymous user or an unloaded lazy object."""
    held = instance_dict(user)
    if held is None:
        return {}
    if "_wrapped" in held:
        held = instance_dict(held["_wrapped"])
        user = user if held is None else instance_dict(user)["_wrapped"]  # type: ignore[index]
        if held is None:
            return {}
    identity = _plain(held.get(_key_field(user)))
    if identity is None:
        return {}
    facts: dict[str, object] = {"id": identity}
    for fact, attribute, fallback in (("username", "USERNAME_FIELD", "username"), ("email", "EMAIL_FIELD", "email")):
        field = class_attribute(user, attribute)
        value = held.get(field if type(field) is str else fallback)
        if type(value) is str and value:
            facts[fact] = value
    for flag in ("is_staff", "is_superuser"):
        if held.get(flag) is True:
            facts[flag] = True
    granted = held.get("_perm_cache")
    if type(granted) is set:
        facts["permissions"] = sorted(each for each in granted if type(each) is str)[:_MOST_PERMISSIONS]
    return facts


def _plain(value: object) -> object:
    if type(value) is int or type(value) is str:
        return value
    if value is not None and type_name(type(value)) == "uuid.UUID":
        return value
    return None


def _key_field(user: object) -> str:
    options = instance_dict(class_attribute(user, "_meta")) or {}
    key = instance_dict(options.get("pk")) or {}
    name = key.get("attname")
    return name if type(name) is str else "id"
