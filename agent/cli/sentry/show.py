"""A plan for a person to read, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ...language.units import format_duration
from ...sentry_project.kinds import crons
from ...sentry_project.plan import CREATE, DELETE, MISSING, UPDATE, Change, Difference, Plan
from ...sentry_project.site import Site
from ...sentry_project.thing import WORDS, Thing
from ..terminal import console, counted, one_line, out, styled

DONE = {CREATE: "created", UPDATE: "changed", DELETE: "deleted"}
_SIGNS = {CREATE: ("+", "green"), UPDATE: ("~", "yellow"), DELETE: ("-", "red")}
_LONGEST = 70  # characters of a value
_MOST = 12  # differences of one thing


def plan(site: Site, compared: Plan, *, delete: bool) -> None:
    """Print it."""
    out(f"Project {site.project} of organization {site.organization} at {site.api.url}")
    out(f"What is set up ends in {site.mark.text}; everything else is left as it is.")
    changes = [*compared.changes, *(compared.leftovers if delete else ())]
    target = console()
    for kind in dict.fromkeys(change.thing.kind for change in changes):
        out()
        target.print(styled((_plural(WORDS[kind]), "bold")))
        for change in changes:
            if change.thing.kind == kind:
                target.print(
                    styled("  ", _SIGNS[change.action], f" {one_line(change.thing.name or change.thing.title)}")
                )
                for line in _lines(change):
                    target.print(styled(("      " + one_line(line), "dim")))
    left = [] if delete else compared.leftovers
    out()
    for change in left:
        target.print(styled(("left over", "yellow"), f": {one_line(change.thing.title)}"))
    for note in compared.notes:
        target.print(styled(("note", "cyan"), f": {one_line(note)}"))
    if left or compared.notes:
        out()
    out(_sum(changes, left))


def _sum(changes: list[Change], left: list[Change]) -> str:
    numbers = [(sum(change.action == action for change in changes), words)
               for action, words in ((CREATE, "to create"), (UPDATE, "to change"), (DELETE, "to delete"))]  # fmt: skip
    text = (
        ", ".join(f"{number} {words}" for number, words in numbers if number)
        or "Nothing to do: Sentry is as the file describes it"
    )
    if left:
        text += f"; {counted(len(left), 'thing')} of ours that the file no longer has: add --delete to delete"
    return text + "."


def _plural(word: str) -> str:
    word = word.capitalize()
    return word if word.endswith(("s", "ing")) else word[:-1] + "ies" if word.endswith("y") else word + "s"


def _lines(change: Change) -> Iterator[str]:
    if change.action == CREATE:
        yield from _summary(change.thing)
    for difference in change.differences[:_MOST]:
        where = difference.where
        if _texts(difference.there) and _texts(difference.wanted):
            yield from _each(difference)
        elif difference.there is MISSING:
            yield f"{where}: is missing"
        elif difference.wanted is MISSING:
            yield f"{where}: {_value(difference.there)} is not in the file"
        else:
            yield f"{where}: {_value(difference.there)} → {_value(difference.wanted)}"
    if len(change.differences) > _MOST:
        yield f"and {len(change.differences) - _MOST} more"


def _summary(thing: Thing) -> Iterator[str]:
    body = thing.body
    if thing.kind == "monitor":
        yield f"{_above(body)} over {body['window'] // 60} min"
    elif thing.kind == "alert":
        for each in body["notify"]:
            yield f"{each['level'] or 'each'} → {', '.join(each['to'])}"
    elif thing.kind == "cron":
        number, _, unit = body["schedule"].partition(" ")
        every = f"every {counted(int(number), unit)}" if unit in crons.UNITS else ""
        yield f"{every or body['schedule'] + ', ' + body['timezone']} → {body['owner'] or 'nobody'}"
    elif thing.kind == "dashboard":
        yield counted(len(body["widgets"]), "widget")
    elif thing.kind == "query":
        yield body["search"]


def _above(body: dict[str, Any]) -> str:
    if body["aggregate"].startswith("failure_rate"):
        return f"error rate above {100 * body['above']:g}%"
    return f"95th percentile above {format_duration(body['above'] / 1000)}"


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _each(difference: Difference) -> Iterator[str]:
    there, wanted = difference.there, difference.wanted
    lines = [f"- {each}" for each in there if each not in wanted] + [
        f"+ {each}" for each in wanted if each not in there
    ]
    for line in lines or [f"another order: {', '.join(wanted)}"]:
        yield f"{difference.where}: {line}"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text or '""'
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def as_json(site: Site, compared: Plan) -> dict[str, Any]:
    """The document of `plan --format json`."""

    def one(change: Change) -> dict[str, Any]:
        return {
            "action": change.action,
            "kind": change.thing.kind,
            "name": change.thing.name,
            "id": change.found.id or None if change.found is not None else None,
            "differences": [
                {"where": each.where, "there": None if each.there is MISSING else each.there,
                 "wanted": None if each.wanted is MISSING else each.wanted}
                for each in change.differences
            ],
        }  # fmt: skip

    return {
        "version": 1,
        "url": site.api.url,
        "organization": site.organization,
        "project": site.project,
        "changes": [one(change) for change in compared.changes],
        "leftovers": [one(change) for change in compared.leftovers],
        "notes": compared.notes,
    }
