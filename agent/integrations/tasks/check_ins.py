"""Check-ins for the entries of a schedule: each is a cron monitor of Sentry's.

Where a scheduler and a worker are two processes, the scheduler sends `in_progress` with the schedule, so that Sentry
expects the next run, and the worker how it ended: the check-in's id travels in a header of the message. Otherwise the
worker sends both. Arguments and results are never sent.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from ...base import clocks, guard
from ...base.interrupts import ours
from ...base.model import Envelope
from ...base.wildcards import segment_match
from ...deliver import wire
from ...privacy.redact import text
from .header import CheckIn

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...base.model import SentryData, TasksData
    from ...boot.engine import Engine

    Schedule = dict[str, object]

_LONGEST_SLUG = 50


def keeper(engine: Engine) -> Callable[[Envelope], None]:
    """What keeps their envelopes. Without a DSN they are dropped: a check-in that arrives late is wrong."""

    def keep(envelope: Envelope) -> None:
        sink = engine.outlet.sink()
        if sink.sender is not None:
            sink.keep_envelope(envelope)

    return keep


def noting(engine: Engine) -> Callable[..., None]:
    """What records the entries of schedules that this process sends, for `sentry plan`: `(name, schedule, zone)`."""

    def note(*entry: object) -> None:
        engine.health.record("scheduled", *entry)
        engine.health.flush()

    return note


class CheckIns:
    """Makes check-ins and passes their envelopes to `keep`."""

    def __init__(
        self,
        settings: TasksData,
        sentry: SentryData,
        keep: Callable[[Envelope], None],
        note: Callable[..., None] = lambda *_: None,
        clock: Callable[[], float] = clocks.time,
    ) -> None:
        """`note(name, schedule, zone)` is called once for each entry, and where its schedule has changed."""
        self._settings = settings
        self._keep = keep
        self._note = note
        self._noted: dict[str, tuple[Schedule, str]] = {}
        self._clock = clock
        self._same = {
            name: value
            for name, value in (("environment", sentry["environment"]), ("release", sentry["release"]))
            if value
        }

    def begin(self, name: object, schedule: Schedule | None, zone: str = "") -> CheckIn | None:
        """An entry of a schedule is due. None where it is no cron monitor. `zone` is the IANA name of its time zone."""
        try:
            if schedule is None or type(name) is not str:
                return None
            if not any(segment_match(each, name) for each in self._settings["check_ins"]):
                return None
            if self._noted.get(name) != (schedule, zone):
                self._noted[name] = schedule, zone
                self._note(name, schedule, zone)
            check_in = CheckIn(slug_of(name), os.urandom(16).hex(), self._clock())
            self._send(check_in, "in_progress", monitor_config=self._config(schedule, zone))
            return check_in
        except ours(Exception):
            guard.swallow("beginning a scheduled task")
            return None

    def _config(self, schedule: Schedule, zone: str) -> dict[str, object]:
        config: dict[str, object] = {"schedule": schedule}
        if zone == "UTC" or "/" in zone:
            config["timezone"] = zone
        for key, seconds in (
            ("checkin_margin", self._settings["margin"]),
            ("max_runtime", self._settings["max_runtime"]),
        ):
            if seconds is not None:
                config[key] = _minutes(seconds)
        return config

    def end(self, check_in: CheckIn, status: str, schedule: Schedule | None = None, zone: str = "") -> None:
        """With `schedule`, from a process that sent how it began: of the two, this one may arrive first."""
        try:
            config = {"monitor_config": self._config(schedule, zone)} if schedule is not None else {}
            self._send(check_in, status, duration=round(max(0.0, self._clock() - check_in.began), 3), **config)
        except ours(Exception):
            guard.swallow("ending a scheduled task")

    def _send(self, check_in: CheckIn, status: str, **more: object) -> None:
        payload = {"check_in_id": check_in.id, "monitor_slug": check_in.slug, "status": status, **self._same, **more}
        data = json.dumps(payload, separators=(",", ":")).encode("ascii")
        event_id = os.urandom(16).hex()
        self._keep(Envelope(event_id, "monitor", wire.encode(event_id, "check_in", data)))


# ----------------------------------------------------------------------------------------------------------- schedules


def every(seconds: float) -> Schedule | None:
    """An interval, in Sentry's form; None for one that is shorter than a minute."""
    if seconds < 60:
        return None
    for unit, length in (("day", 86400), ("hour", 3600)):
        if seconds % length == 0:
            return {"type": "interval", "value": int(seconds // length), "unit": unit}
    return {"type": "interval", "value": _minutes(seconds), "unit": "minute"}


def crontab(line: str) -> Schedule | None:
    """A line of a crontab; None where it has other than five fields."""
    fields = line.split()
    return {"type": "crontab", "value": " ".join(fields)} if len(fields) == 5 else None


def local_zone() -> str:
    """The IANA name of this machine's time zone, or ""."""
    name = os.environ.get("TZ") or os.path.realpath("/etc/localtime").partition("/zoneinfo/")[2]
    return name if "/" in name or name == "UTC" else ""


def _minutes(seconds: float) -> int:
    return max(1, -int(-seconds // 60))


def slug_of(name: str) -> str:
    """Return the entry's name, scrubbed, in the characters that Sentry allows; a checksum follows one that was cut."""
    clean = text(name)
    slug = "".join(each if each.isascii() and (each.isalnum() or each in "_-") else "-" for each in clean.lower())
    slug = "-".join(part for part in slug.split("-") if part)
    if not slug or slug.isdigit():
        slug = "entry-" + (slug or "%08x" % _number(name))
    if len(slug) > _LONGEST_SLUG or clean != name:
        slug = "%s-%08x" % (slug[: _LONGEST_SLUG - 9], _number(name))
    return slug


def _number(name: str) -> int:
    from zlib import crc32

    return crc32(name.encode("utf-8", "surrogateescape"))
