"""Check-ins for the entries of Celery beat's schedule: each is a cron monitor of Sentry's.

When beat publishes an entry's task, it sends `in_progress` with the schedule, so that Sentry expects the next run. The
process that runs the task sends how it ended; where that process was killed, the worker's main process does. The
check-in's id travels in a header of the message, and retries keep it. Arguments and results are never sent.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from ...base import guard
from ...base.interrupts import ours
from ...base.model import Envelope
from ...base.wildcards import segment_match
from ...deliver import wire
from ...privacy.redact import text
from . import failures, messages
from .messages import CheckIn

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...base.model import CeleryData, SentryData

_LONGEST_SLUG = 50

#: The state of a task that ended → the check-in's status. RETRY and REJECTED (another worker may run it) are no end.
_ENDS = {"SUCCESS": "ok", "IGNORED": "ok", "FAILURE": "error", "REVOKED": "error"}


class CheckIns:
    """Makes check-ins and passes their envelopes to `keep`."""

    def __init__(
        self,
        settings: CeleryData,
        sentry: SentryData,
        keep: Callable[[Envelope], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._keep = keep
        self._clock = clock
        self._same = {
            name: value
            for name, value in (("environment", sentry["environment"]), ("release", sentry["release"]))
            if value
        }

    # In beat.

    def scheduling(self, original: Callable[..., Any], scheduler: Any, entry: Any, *rest: Any, **options: Any) -> Any:
        """Wrapper of `celery.beat.Scheduler.apply_async(entry, …)`."""
        check_in = self._begin(entry)
        if check_in is None:
            return original(scheduler, entry, *rest, **options)
        token = messages.publishing.set(check_in)
        try:
            return original(scheduler, entry, *rest, **options)
        except Exception:
            self.end(check_in, "error")
            raise
        finally:
            messages.publishing.reset(token)

    def _begin(self, entry: Any) -> CheckIn | None:
        try:
            name = entry.name
            if type(name) is not str or not any(segment_match(each, name) for each in self._settings["check_ins"]):
                return None
            schedule = schedule_of(entry.schedule)
            if schedule is None:
                return None
            check_in = CheckIn(slug_of(name), os.urandom(16).hex(), self._clock())
            self._send(check_in, "in_progress", monitor_config=self._config(entry.schedule, schedule))
            return check_in
        except ours(Exception):
            guard.swallow("beginning a scheduled task")
            return None

    def _config(self, given: Any, schedule: dict[str, object]) -> dict[str, object]:
        config: dict[str, object] = {"schedule": schedule}
        zone = str(getattr(given, "tz", None))
        if zone == "UTC" or "/" in zone:
            config["timezone"] = zone
        for key, seconds in (
            ("checkin_margin", self._settings["margin"]),
            ("max_runtime", self._settings["max_runtime"]),
        ):
            if seconds is not None:
                config[key] = _minutes(seconds)
        return config

    # In the process that runs the task, and in the worker's main process.

    def ended(self, task: Any = None, state: object = None, **_: Any) -> None:
        """Receives `task_postrun`: this process has run a task to `state`."""
        request = task.request_stack.top
        header = messages.of_request(request)
        check_in = header.check_in if header is not None else None
        if check_in is None and getattr(request, "is_eager", False):
            check_in = messages.publishing.get()
        if check_in is not None and state in _ENDS:
            self.end(check_in, _ENDS[str(state)])

    def revoked(self, request: Any = None, **_: Any) -> None:
        """Receives `task_revoked`: the task expired, or somebody revoked it."""
        self._lost(request)

    def _lost(self, request: Any) -> None:
        """End the check-in of a request that no process will run to its end; called in the main process."""
        try:
            header = messages.of_main_process(request)
            if header is not None and header.check_in is not None:
                self.end(header.check_in, "error")
        except ours(Exception):
            guard.swallow("giving a scheduled task up")

    def timed_out(self, original: Callable[..., Any], request: Any, soft: Any, *rest: Any, **options: Any) -> Any:
        """Wrapper of `Request.on_timeout(soft, timeout)`: a hard limit has killed the process."""
        if not soft:
            self._lost(request)
        return original(request, soft, *rest, **options)

    def failed(self, original: Callable[..., Any], request: Any, exc_info: Any, *rest: Any, **options: Any) -> Any:
        """Wrapper of `Request.on_failure(exc_info, …)`, which is called for tasks that `ended` has seen, too."""
        try:
            if failures.is_lost(exc_info) and not failures.runs_again(request):
                self._lost(request)
        except ours(Exception):
            guard.swallow("losing a process")
        return original(request, exc_info, *rest, **options)

    def end(self, check_in: CheckIn, status: str) -> None:
        try:
            self._send(check_in, status, duration=round(max(0.0, self._clock() - check_in.began), 3))
        except ours(Exception):
            guard.swallow("ending a scheduled task")

    def _send(self, check_in: CheckIn, status: str, **more: object) -> None:
        payload = {"check_in_id": check_in.id, "monitor_slug": check_in.slug, "status": status, **self._same, **more}
        data = json.dumps(payload, separators=(",", ":")).encode("ascii")
        event_id = os.urandom(16).hex()
        self._keep(Envelope(event_id, "monitor", wire.encode(event_id, "check_in", data)))


# ----------------------------------------------------------------------------------------------------------- schedules


def schedule_of(schedule: Any) -> dict[str, object] | None:
    """Return Celery's schedule in Sentry's form; None where there is none: the sun, a single time, seconds."""
    schedules: Any = sys.modules["celery.schedules"]
    if isinstance(schedule, schedules.crontab):
        fields = [getattr(schedule, "_orig_" + name) for name in _FIELDS]
        return {"type": "crontab", "value": " ".join(map(_field, fields))}
    if isinstance(schedule, schedules.schedule):
        seconds = schedule.run_every.total_seconds()
        if seconds < 60:
            return None
        for unit, length in (("day", 86400), ("hour", 3600)):
            if seconds % length == 0:
                return {"type": "interval", "value": int(seconds // length), "unit": unit}
        return {"type": "interval", "value": _minutes(seconds), "unit": "minute"}
    return None


_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


def _field(value: Any) -> str:
    if isinstance(value, (str, int)):
        return "".join(str(value).split())
    return ",".join(str(each) for each in sorted(value))


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
