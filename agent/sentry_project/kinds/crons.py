"""Cron monitors of schedules: the owner, and for beat's, Sentry expects the first run before there was one.

Beat's schedule is read from the source. Entries of every queue are known from the processes that have sent check-ins.

Check-ins keep a cron monitor's schedule in step with beat. Where they do, theirs counts, and only the rest is compared.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from ...base.model import TasksData
from ...base.wildcards import segment_match
from ...codebase.beat import Entry
from ...config.build.project import interval
from ...integrations.tasks.check_ins import slug_of
from .. import recipients
from ..facts import Facts
from ..people import People
from ..thing import Thing, fitting

_LONGEST_NAME = 60  # Sentry takes 128, with the mark
UNITS = ("year", "month", "week", "day", "hour", "minute")  # of an interval


class Seen(NamedTuple):
    """An entry of a schedule for which a process has sent a check-in."""

    name: str
    schedule: str  # "0 2 * * *", "5 minute"
    timezone: str


def wanted(facts: Facts, entries: list[Entry], seen: Collection[Seen] = ()) -> tuple[list[Thing], list[str]]:
    """The cron monitors, and a sentence for each entry that cannot be one."""
    things, notes = _of_beat(facts, entries, {each.name for each in seen})
    known = {thing.name for thing in things}
    for each in seen:
        schedule = facts.project["crons"].get(each.name, each.schedule)
        settings = _of_entry(facts, each.name)
        if settings is None or schedule is None or fitting(each.name, _LONGEST_NAME) in known:
            continue  # its check-ins have been switched off since; `off`; or one of beat's
        things.append(_thing(facts, settings, each.name, each.name, schedule, each.timezone))
    return things, notes


def _of_entry(facts: Facts, name: str) -> TasksData | None:
    """The section by which this entry sends check-ins, if one does."""
    for settings in (facts.sentry["tasks"], facts.sentry["celery"]):
        if settings is not None and any(segment_match(each, name) for each in settings["check_ins"]):
            return settings
    return None


def _of_beat(facts: Facts, entries: list[Entry], seen: Collection[str]) -> tuple[list[Thing], list[str]]:
    celery = facts.sentry["celery"]
    patterns = celery["check_ins"] if celery is not None else []
    given = facts.project["crons"]
    every = {entry.name: entry for entry in entries}
    things: list[Thing] = []
    notes: list[str] = []
    if every and not patterns:
        notes.append(
            "there are no cron monitors: celery.check_ins is empty, so that no entry of beat sends check-ins; "
            'write `celery: {check_ins: ["*"]}`'
        )
        return things, notes
    for name in dict.fromkeys([*every, *given]):
        entry = every.get(name)
        if name in given and given[name] is None:
            continue
        if not any(segment_match(each, name) for each in patterns):
            notes.append(
                f"beat's entry {name} gets no cron monitor: it sends no check-ins; add it to celery.check_ins, or "
                f"write `crons: {{{name}: off}}`"
            )
            continue
        schedule = given.get(name) or (_schedule(entry) if entry is not None else None)
        if schedule is None and name in seen:
            continue
        if schedule is None:
            where = f" ({entry.where})" if entry is not None else ""
            notes.append(
                f"beat's entry {name}{where} gets its cron monitor with its first check-in: its schedule is not in the "
                "source in a form that Sentry takes; to have it before, add it to sentry.project.crons"
            )
            continue
        things.append(_cron(facts, name, schedule, entry))
    return things, notes


def _schedule(entry: Entry) -> str | None:
    return entry.crontab if entry.crontab is not None else interval(entry.seconds) if entry.seconds else None


def _cron(facts: Facts, name: str, schedule: str, entry: Entry | None) -> Thing:
    celery = facts.sentry["celery"]
    assert celery is not None
    task, timezone = (entry.task, entry.timezone) if entry is not None else ("", None)
    return _thing(facts, celery, name, task, schedule, timezone or "UTC")


def _thing(facts: Facts, settings: TasksData, name: str, task: str, schedule: str, timezone: str) -> Thing:
    owner = next((module.owner for module in facts.modules if task.partition(".")[0] in module.packages and task), None)
    body = {
        "slug": slug_of(name),
        "schedule": schedule,
        "timezone": timezone,
        "margin": _minutes(settings["margin"]),
        "max_runtime": _minutes(settings["max_runtime"]),
        "owner": recipients.owner(facts.project, owner),
    }
    return Thing("cron", fitting(name, _LONGEST_NAME), body)


def _minutes(seconds: float | None) -> int | None:
    return None if seconds is None else max(1, -int(-seconds // 60))


def to_api(body: Mapping[str, Any], title: str, project: str, people: People) -> dict[str, Any]:
    number, _, unit = body["schedule"].partition(" ")
    crontab = unit not in UNITS
    config: dict[str, Any] = {
        "schedule_type": "crontab" if crontab else "interval",
        "schedule": body["schedule"] if crontab else [int(number), unit],
        "timezone": body["timezone"],
    }
    config.update({
        key: body[name] for key, name in (("checkin_margin", "margin"), ("max_runtime", "max_runtime"))
        if body[name] is not None
    })  # fmt: skip
    owner = body["owner"]
    return {"project": project, "name": title, "slug": body["slug"], "status": "active", "config": config,
            "owner": people.actor(owner) if owner is not None else None}  # fmt: skip


def from_api(found: Mapping[str, Any], people: People, wanted: Mapping[str, Any] | None) -> dict[str, Any]:
    config = found.get("config") or {}
    schedule = config.get("schedule")
    seen = {
        "slug": found.get("slug"),
        "schedule": f"{schedule[0]} {schedule[1]}" if isinstance(schedule, list) else schedule,
        "timezone": config.get("timezone") or "UTC",
        "margin": config.get("checkin_margin"),
        "max_runtime": config.get("max_runtime"),
        "owner": people.owner_of(found.get("owner")),
        **({} if found.get("status", "active") == "active" else {"status": found["status"]}),
    }
    if wanted is not None:
        kept = ("schedule", "timezone", "margin", "max_runtime") if found.get("isUpserting") else ()
        unset = [name for name in ("margin", "max_runtime") if wanted[name] is None]
        seen.update({name: wanted[name] for name in (*kept, *unset)})
    return seen
