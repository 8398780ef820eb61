"""Durations, sizes, rates and severities as people write them.

Each function takes the plain value of the file and returns the parsed one, or raises `UnitError`: its text is what was
expected, its `hint` what may have been meant. Bare numbers are seconds, bytes, or events a second.
"""

from __future__ import annotations

import math
import re

from ..base.interrupts import ours
from ..base.model import SEVERITIES
from . import hints
from .nearest import did_you_mean

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4,
          "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}  # fmt: skip
_PERIODS = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "m": 60.0, "minute": 60.0,
            "h": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0}  # fmt: skip

#: How people spell a unit when they forget which ones there are.
_ALIASES = {"msec": "ms", "msecs": "ms", "millis": "ms", "milliseconds": "ms", "millisecond": "ms", "sec": "s",
            "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
            "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "day": "d", "days": "d"}  # fmt: skip
_SEVERITY_ALIASES = {"warn": "warning", "err": "error", "crit": "fatal", "notice": "info", "information": "info",
                     "emergency": "fatal", "alert": "fatal", "trace": "debug", "low": "info", "medium": "warning",
                     "high": "error"}  # fmt: skip

LONGEST = 366 * 86400.0
BOOLEANS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-zµ]*)", re.ASCII)
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(?:/|per)\s*([A-Za-z]+)", re.ASCII)


_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%", re.ASCII)


class UnitError(ValueError):
    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


#: Texts that were read as durations: a file has the same ones over and over.
_durations: dict[str, float] = {}


def duration(value: object) -> float:
    """Seconds, greater than zero."""
    if value.__class__ is str and value in _durations:
        return _durations[value]
    expected = "expected a duration such as `250ms`, `2s`, `1.5s`, `5m`, `2h`, `7d`, or a number of seconds"
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise UnitError(expected)
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value.strip())
        if match is None:
            raise UnitError(expected, _duration_hint(value) or hints.for_duration(value))
        number, unit = match.groups()
        if not unit:
            raise UnitError(expected, f"did you mean `{number}s` or `{number}ms`?")
        if unit not in _SECONDS:
            meant = _ALIASES.get(unit.lower()) or (unit.lower() if unit.lower() in _SECONDS else "")
            raise UnitError(expected, f"did you mean `{number}{meant}`?" if meant else f"`{unit}` is no unit of time")
        seconds = float(number) * _SECONDS[unit]
        if unit == "ms":
            seconds = float(number) / 1000  # exact where a thousandth is not
    else:
        seconds = _finite(value, expected)
    if seconds <= 0:
        raise UnitError("a duration must be more than zero", "write `off` to switch an inherited one off")
    if seconds > LONGEST:
        raise UnitError("a duration may be at most 366 days", "did you forget the unit?" if value == seconds else "")
    if isinstance(value, str) and len(_durations) < 1000:
        _durations[value] = seconds
    return seconds


def size(value: object) -> int:
    """Bytes, greater than zero. `MB` counts in thousands, `MiB` in 1024s."""
    expected = "expected a size such as `256MB`, `1.5GB`, `512KiB`, or a number of bytes"
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise UnitError(expected)
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value.strip())
        if match is None:
            raise UnitError(expected)
        number, unit = match.groups()
        if unit not in _BYTES:
            folded = {name.lower(): name for name in _BYTES}
            folded.update({name.lower()[0]: name for name in ("kB", "MB", "GB", "TB")})
            word = (
                unit.lower()
                if unit.lower() in folded or not unit.lower().endswith(("byte", "bytes"))
                else unit[0].lower()
            )
            meant = folded.get(word, "" if unit else "MB")
            raise UnitError(expected, f"did you mean `{number}{meant}`?" if meant else f"`{unit}` is no unit of size")
        amount = float(number) * _BYTES[unit]
    else:
        amount = _finite(value, expected)
    if not 1 <= amount <= 10**15:
        raise UnitError("a size must be between one byte and 1000TB")
    return int(amount)


def rate(
    value: object, *, usual: str = "min", zero: str = "write `enabled: false` for a monitor that shall be silent"
) -> tuple[float, float]:
    """(events, per seconds), both greater than zero. For hints: the `usual` period, and what to write for `zero`."""
    expected = "expected a rate such as `30/min`, `5/s` or `100/h`"
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise UnitError(expected)
    if not isinstance(value, str):
        raise UnitError(expected, f"did you mean `{value}/{usual}`?")
    match = _RATE.fullmatch(value.strip())
    if match is None:
        digits = re.match(r"\s*([0-9]+)", value)
        raise UnitError(expected, f"did you mean `{digits.group(1)}/{usual}`?" if digits else "")
    number, period = match.groups()
    if period not in _PERIODS:
        fallback = f"the periods are `s`, `min`, `h` and `d`, not `{period}`"
        near = _PERIODS.keys() & {period.lower(), period.lower().rstrip("s"), _ALIASES.get(period.lower(), "")}
        meant = min(near, key=len) if near else ""
        raise UnitError(expected, f"did you mean `{number}/{meant}`?" if meant else fallback)
    events = float(number)
    if events <= 0:
        raise UnitError("a rate must be more than zero", zero)
    return events, _PERIODS[period]


def share(value: object) -> float:
    """A fraction of one, from a percentage."""
    expected = "expected a share of the process's time such as `1%` or `0.5%`, or `off`"
    match = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        meant = isinstance(value, (int, float)) and not isinstance(value, bool)
        raise UnitError(expected, f"did you mean `{value}%`?" if meant else "")
    percent = float(match.group(1))
    if not 0 < percent <= 100:
        raise UnitError("a share must be more than 0% and at most 100%", "write `off` for no limit")
    return percent / 100


def spool_rate(value: object) -> tuple[float, float]:
    events, seconds = rate(value, usual="s", zero="write `off` for any number")
    if events < seconds:
        raise UnitError(
            "the limit applies to each second, so it must be at least 1/s",
            "lower the `rate_limit` of what is so frequent",
        )
    return events, seconds


def escalation_rate(value: object) -> tuple[float, float]:
    return rate(value, usual="h", zero="to report every occurrence, remove it from `expect` and write no `escalate`")


def is_off(value: object) -> bool:
    return value is None or value is False or value == "off"


def severity(value: object) -> str:
    """One of `model.SEVERITIES`; `critical` means `fatal`."""
    if value == "critical":
        return "fatal"
    if isinstance(value, str) and value in SEVERITIES:
        return value
    expected = "expected a severity: `debug`, `info`, `warning`, `error` or `fatal` (`critical` means `fatal`)"
    if not isinstance(value, str):
        raise UnitError(expected)
    folded = value.strip().lower()
    meant = _SEVERITY_ALIASES.get(folded)
    raise UnitError(expected, f"did you mean `{meant}`?" if meant else did_you_mean(folded, (*SEVERITIES, "critical")))


def audit(value: object) -> str:
    """The severity of an audit: `info` for `true`, because a success is no failure; "" for none."""
    if isinstance(value, bool):
        return "info" if value else ""
    try:
        return severity(value)
    except ours(UnitError) as error:
        meant = BOOLEANS.get(value.lower()) if isinstance(value, str) else None
        expected = "expected `true` (reports of severity `info`), `false`, or the severity of these reports"
        raise UnitError(expected, f"did you mean `{meant}`?" if meant else error.hint) from None


def rank(name: str) -> int:
    """How severe: 0 for debug … 4 for fatal."""
    return SEVERITIES.index(name)


def format_duration(seconds: float) -> str:
    """The shortest spelling that `duration` reads back as the same number."""
    for unit in ("d", "h", "m", "s"):
        count = seconds / _SECONDS[unit]
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    milliseconds = round(seconds * 1000, 6)
    if seconds < 1 and milliseconds / 1000 == seconds and milliseconds >= 0.000001:
        return f"{milliseconds:.9f}".rstrip("0").rstrip(".") + "ms"
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def format_rate(limit: tuple[float, float]) -> str:
    events, period = limit
    spelled = {1.0: "s", 60.0: "min", 3600.0: "h", 86400.0: "d"}.get(period)
    return f"{events:g}/{spelled}" if spelled else f"{events:g} per {format_duration(period)}"


def _finite(value: float, expected: str) -> float:
    try:
        number = float(value)
    except ours(OverflowError):
        raise UnitError(expected) from None
    if not math.isfinite(number):
        raise UnitError(expected)
    return number


def _duration_hint(value: str) -> str:
    comma = re.fullmatch(r"([0-9]+),([0-9]+)\s*(ms|s|m|h|d)", value.strip())
    if comma:
        return f"did you mean `{comma.group(1)}.{comma.group(2)}{comma.group(3)}`?"
    clock = re.fullmatch(r"([0-9]{1,4}):([0-5][0-9])", value.strip())
    if clock:
        minutes, seconds = int(clock.group(1)), int(clock.group(2))
        return f"did you mean `{minutes * 60 + seconds}s`? (a clock time is not a duration)"
    compound = re.fullmatch(r"(?:[0-9.]+\s*(?:ms|s|m|h|d)\s*){2,}", value.strip())
    if compound:
        parts = re.findall(r"([0-9.]+)\s*(ms|s|m|h|d)", value)
        try:
            return f"did you mean `{format_duration(sum(float(n) * _SECONDS[u] for n, u in parts))}`?"
        except ours(ValueError, OverflowError):
            return ""
    if re.fullmatch(r"-.*", value.strip()):
        return "a duration must be more than zero"
    return ""
