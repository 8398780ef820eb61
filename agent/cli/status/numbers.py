"""Numbers in as many digits as they mean something, and as few characters as a table has room for."""

from __future__ import annotations

import sys


def duration(seconds: float | None, *, space: str = " ") -> str:
    """Two digits, as the measurement has no more: 2.8 ms. `space` separates the unit."""
    if seconds is None:
        return "-"
    rounded = two_digits(seconds)
    size, unit = next((each for each in ((1.0, "s"), (1e-3, "ms")) if rounded >= each[0]), (1e-6, _encoded("µs", "us")))
    return f"{two_digits(rounded / size):,g}{space}{unit}"


def rate(per_minute: float | None, *, at_least: bool = False) -> str:
    """12/min, 0.4/h; `at_least`: ≥12/min."""
    if per_minute is None:
        return "-"
    more = _encoded("≥", ">=") if at_least else ""
    if not per_minute:
        return more + "0/min"
    size, unit = next((each for each in ((1.0, "min"), (1 / 60, "h")) if per_minute >= each[0]), (1 / 1440, "d"))
    return f"{more}{two_digits(per_minute / size):,g}/{unit}"


def share(part: float, whole: float) -> str:
    """Per cent: <0.1 %; 100 % only if it is all."""
    if not whole:
        return "-"
    percent = 100.0 * part / whole
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 99 < percent < 100:
        return ">99 %"
    return f"{two_digits(percent):g} %"


def age(seconds: float | None) -> str:
    """12 s, 3 min, 2 h, 5 d"""
    if seconds is None:
        return "-"
    whole = int(max(seconds, 0.0))
    size, unit = next((each for each in ((86400, "d"), (3600, "h"), (60, "min")) if whole >= each[0]), (1, "s"))
    return f"{whole // size} {unit}"


def factor(now: float, before: float) -> str:
    """x2.1"""
    return f"x{two_digits(now / before):g}"


def two_digits(number: float) -> float:
    return float(f"{number:.2g}")


def _encoded(text: str, otherwise: str) -> str:
    """`otherwise` where what is printed to has no such character."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return otherwise
    return text
