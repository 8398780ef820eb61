"""The difference between what the file wants and what is in Sentry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .people import People
from .present import Present
from .recipients import ISSUE_OWNERS
from .thing import KINDS, Thing

CREATE, UPDATE, DELETE = "create", "update", "delete"


class Difference(NamedTuple):
    """One value. A Missing stands for what is not there."""

    where: str  # in words: "Error rate › search"
    there: Any
    wanted: Any


class Missing:
    """There is no such value. Not None: that is a value."""

    def __repr__(self) -> str:
        return "-"


MISSING = Missing()


class Change(NamedTuple):
    action: str
    thing: Thing  # as wanted; as found, where it is to be deleted
    found: Thing | None
    differences: list[Difference]


class Plan(NamedTuple):
    changes: list[Change]  # creations and updates, in the order in which they are done
    leftovers: list[Change]  # ours, and wanted no longer: deleted only on request
    notes: list[str]


def compare(wanted: Iterable[Thing], present: Present, notes: Iterable[str]) -> Plan:
    there: dict[tuple[str, str], Thing] = {}
    again = []  # a second one of a name, left by a request whose response was lost
    for thing in present.things:
        if (thing.kind, thing.name) in there:
            again.append(thing)
        else:
            there[thing.kind, thing.name] = thing
    changes, remarks = [], list(notes)
    for thing in sorted(wanted, key=lambda each: KINDS.index(each.kind)):
        found = there.pop((thing.kind, thing.name), None)
        foreign = present.foreign.get((thing.kind, thing.name))
        if foreign is not None:
            remarks.append(f"{thing.title} is left as it is: {foreign}, and it does not carry our mark")
        elif found is None and thing.kind == "filter":
            remarks.append(f"{thing.title} is left out: this Sentry does not have it")
        elif found is None:
            changes.append(Change(CREATE, thing, None, []))
        elif found.body != thing.body:
            changes.append(Change(UPDATE, thing, found, list(_differences("", found.body, thing.body))))
    left = [*there.values(), *again]
    left.sort(key=lambda each: -KINDS.index(each.kind))  # what refers to others goes before them
    return Plan(changes, [Change(DELETE, thing, thing, []) for thing in left], remarks)


def _differences(where: str, there: Any, wanted: Any) -> Iterator[Difference]:
    if isinstance(there, dict) and isinstance(wanted, dict):
        for key in dict.fromkeys([*wanted, *there]):
            one, other = there.get(key, MISSING), wanted.get(key, MISSING)
            if one != other:
                yield from _differences(_below(where, key.replace("_", " ")), one, other)
    elif _named(there) and _named(wanted):
        # widgets, which have titles: those in both are compared
        old, new = ({each["title"]: each for each in some} for some in (there, wanted))
        for title in dict.fromkeys([*new, *old]):
            one, other = old.get(title, MISSING), new.get(title, MISSING)
            if MISSING in (one, other):
                yield Difference(_below(where, str(title)), one, other)
            elif one != other:
                yield from _differences(_below(where, str(title)), one, other)
        if old == new:
            yield Difference(_below(where, "order"), list(old), list(new))
    elif _of_mappings(there) and _of_mappings(wanted) and len(there) == len(wanted):
        for at, (one, other) in enumerate(zip(there, wanted), 1):
            if one != other:
                named = other.get("level")  # of what an alert notifies of
                step = where if len(wanted) == 1 else f"{where} {named}" if named else f"{where}[{at}]"
                yield from _differences(step, one, other)
    elif there != wanted:
        yield Difference(where, there, wanted)


def _below(where: str, key: str) -> str:
    return f"{where} › {key}" if where else key


def _named(value: Any) -> bool:
    """Whether these have titles, each another one."""
    if not isinstance(value, list) or not all(isinstance(each, dict) and "title" in each for each in value):
        return False
    return 0 < len({each["title"] for each in value}) == len(value)


def _of_mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def canonical(things: Iterable[Thing], people: People) -> list[Thing]:
    """With users under the address that Sentry returns for them: a user may have several."""
    return [thing._replace(body=_with_people(thing.body, people)) for thing in things]


def _with_people(body: dict[str, Any], people: People) -> dict[str, Any]:
    def one(recipient: Any) -> Any:
        kind, _, _ = str(recipient).partition(":")
        if recipient == ISSUE_OWNERS or kind != "user":
            return recipient
        return people.address(str(recipient))

    changed = dict(body)
    if "owner" in body:
        changed["owner"] = one(body["owner"])
    if "notify" in body:
        changed["notify"] = [{**each, "to": [one(to) for to in each["to"]]} for each in body["notify"]]
    return changed
