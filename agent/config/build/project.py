"""The section `sentry.project`: its checks, and its plain form with every default applied."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...base.model import ProjectData
from ...language import units
from ..findings import Findings
from ..read.document import Placed

#: Providers of integrations that an alert can notify; each takes ACCOUNT/CHANNEL.
CHANNELS = ("slack", "discord", "msteams", "pagerduty", "opsgenie")

#: Minutes that Sentry accepts.
WINDOWS = (1, 5, 10, 15, 30, 60, 120, 240, 1440)
_FREQUENCY = (5, 43_200)

_EXPECTED = "a recipient is `owner`, `team:SLUG`, `user:E-MAIL` or `slack:WORKSPACE/#CHANNEL`"
_SLUG = re.compile(r"(?![0-9]+$)[a-z0-9_-]+")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_CRONTAB = re.compile(r"(?:[0-9*,/A-Za-z-]+ +){4}[0-9*,/A-Za-z-]+")


def check(section: Placed, findings: Findings) -> None:
    """Report what the schema cannot check."""
    alerts = section.at("alerts")
    for _, listed in alerts.at("issues").fields():
        _check_recipients(listed, findings)
    _check_recipients(alerts.at("metrics"), findings)
    for _, owner in section.at("owners").fields():
        if isinstance(owner.value, str) and not findings.has(owner) and not _is_person(owner.value):
            findings.add(owner, "bad-recipient", f"{owner.quoted} is neither a team nor a user",
                         "write `team:SLUG` or `user:E-MAIL`, as Sentry has them")  # fmt: skip
    for _, schedule in section.at("crons").fields():
        if not isinstance(schedule.value, str) or findings.has(schedule) or units.is_off(schedule.value):
            continue
        if schedule_of(schedule.value) is None:
            findings.add(schedule, "bad-schedule", f"{schedule.quoted} is no schedule",
                         "write five fields as in a crontab, such as `0 2 * * *`, or how often, in whole minutes: "
                         "`6h`")  # fmt: skip
    _check_minutes(alerts.at("frequency"), findings)
    window = alerts.at("window")
    if not findings.has(window) and window.value is not None:
        try:
            fits = units.duration(window.value) / 60 in WINDOWS
        except units.UnitError:
            return  # the schema has reported it
        if not fits:
            findings.add(window, "bad-duration", "Sentry has no such window",
                         "write 1m, 5m, 10m, 15m, 30m, 1h, 2h, 4h or 24h")  # fmt: skip
    rate = alerts.at("error_rate")
    if isinstance(rate.value, str) and not units.is_off(rate.value) and not findings.has(rate):
        try:
            units.share(rate.value)
        except units.UnitError:
            findings.add(rate, "bad-share", "an error rate is more than 0% and at most 100%", "write `5%`, or `off`")


def _check_minutes(frequency: Placed, findings: Findings) -> None:
    if findings.has(frequency) or frequency.value is None:
        return
    try:
        minutes = units.duration(frequency.value) / 60
    except units.UnitError:
        return  # the schema has reported it
    if minutes != int(minutes) or not _FREQUENCY[0] <= minutes <= _FREQUENCY[1]:
        findings.add(frequency, "bad-duration", "Sentry counts this in whole minutes, from 5m to 30d", "write `30m`")


def _check_recipients(listed: Placed, findings: Findings) -> None:
    for each in listed.items():
        if not isinstance(each.value, str) or findings.has(each) or each.value == "owner" or _is_person(each.value):
            continue
        provider, _, rest = each.value.partition(":")
        if provider not in CHANNELS:
            findings.add(each, "bad-recipient", f"{each.quoted} is no recipient", _EXPECTED)
        elif not all(rest.partition("/")[::2]):
            hint = f"write `{provider}:ACCOUNT/CHANNEL`, both as Sentry shows them"
            findings.add(each, "bad-recipient", f"{each.quoted} does not name an account and a channel", hint)


def _is_person(text: str) -> bool:
    kind, _, name = text.partition(":")
    form = {"team": _SLUG, "user": _EMAIL}.get(kind)
    return form is not None and form.fullmatch(name) is not None


def schedule_of(text: str) -> str | None:
    """A crontab line as it is, or an interval as `6 hour`; None for what Sentry does not accept."""
    if _CRONTAB.fullmatch(text.strip()):
        return " ".join(text.split())
    try:
        seconds = units.duration(text)
    except units.UnitError:
        return None
    return interval(seconds)


def interval(seconds: float) -> str | None:
    """`6 hour` for 21600; None for what is no whole number of minutes."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{int(seconds // length)} {unit}"
    return None


def data(given: Mapping[str, Any] | None) -> ProjectData | None:
    """None where nothing is given."""
    if not given:
        return None
    alerts = given.get("alerts") or {}
    issues = alerts.get("issues", {"fatal": ["owner"], "error": ["owner"]})
    rate = alerts.get("error_rate", "5%")
    p95 = alerts.get("p95", "modules")
    return {
        "organization": given["organization"],
        "project": given["project"],
        "url": (given.get("url") or "").rstrip("/"),
        "environment": given.get("environment"),
        "manage": list(given["manage"]) if "manage" in given else None,
        "owners": dict(given.get("owners", {})),
        "issues": {units.severity(severity): list(each) for severity, each in issues.items()},
        "metrics": list(alerts.get("metrics", ["owner"])),
        "frequency": int(units.duration(alerts.get("frequency", "30m")) // 60),
        "error_rate": None if units.is_off(rate) else units.share(rate),
        "p95": "off" if units.is_off(p95) else p95,
        "window": int(units.duration(alerts.get("window", "15m"))),
        "crons": {
            name: None if units.is_off(schedule) else schedule_of(schedule)
            for name, schedule in given.get("crons", {}).items()
        },
        "filters": list(given["filters"]) if "filters" in given else None,
    }
