"""Numbers, durations and moments in the words of the page."""

from __future__ import annotations

import time

from ..status import numbers


def number(value: float) -> str:
    return f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    return "–" if seconds is None else numbers.duration(seconds)


def place(module: str, operation: str) -> tuple[str, str]:
    """The module as a prefix of the operation's name, which may contain it, and the rest of the name."""
    if module and operation.startswith(module + "."):
        return module + ".", operation[len(module) + 1 :]
    return module + " " if module else "", operation


def percent(part: float, whole: float) -> str:
    """0 % is none at all, and 100 % is every one."""
    if not whole:
        return "–"
    share = 100 * part / whole
    if 0 < share < 0.01:
        return "< 0.01 %"
    if share in (0, 100):
        return f"{share:.0f} %"
    return f"{share:.2f} %" if share < 10 else f"{min(share, 99.9):.1f} %"


def rate(calls: float, seconds: float) -> str:
    """Calls a minute."""
    minute = calls * 60 / seconds if seconds else 0.0
    return f"{minute:,.0f}" if minute >= 10 or not minute else f"{minute:.1f}" if minute >= 0.1 else "< 0.1"


def ago(seconds: float) -> str:
    return f"{numbers.age(seconds)} ago"


def period(seconds: float) -> str:
    """24 hours, 7 days, 90 minutes"""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds % size == 0 and seconds >= (2 if size > 60 else 1) * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def local(stamp: float, form: str = "%Y-%m-%d %H:%M") -> str:
    return time.strftime(form, time.localtime(stamp))


def machine(stamp: float) -> str:
    """For the attribute datetime."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp))
