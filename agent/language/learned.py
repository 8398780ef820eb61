"""Thresholds that are learned: `auto`, `p95 * 3`, `{auto: {floor: 50ms, ceiling: 10s, by: hour_of_week}}`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .units import UnitError, duration, format_duration

if TYPE_CHECKING:
    from ..base.model import LearnData

_FORMULA = re.compile(r"p(50|75|90|95|99)\s*\*\s*([0-9]{1,4}(?:\.[0-9]{1,3})?)", re.ASCII)
_AUTO = "p95 * 3"


def is_learned(value: object) -> bool:
    """Is this value of `threshold` one that is learned, right or wrong?"""
    if isinstance(value, dict):
        return "auto" in value
    return isinstance(value, str) and (value.strip() == "auto" or value.strip()[:1] == "p")


def parse(value: object) -> LearnData:
    """Raises UnitError."""
    given = value.get("auto") if isinstance(value, dict) else {"of": value}
    given = given if isinstance(given, dict) else {}
    text = str(given.get("of") or _AUTO).strip()
    found = _FORMULA.fullmatch(_AUTO if text == "auto" else text)
    if found is None:
        raise UnitError("expected `auto`, or a quantile and a factor such as `p95 * 3` (p50, p75, p90, p95 or p99)")
    factor = float(found[2])
    if factor < 1:
        raise UnitError(f"a factor below 1 would report most calls: `{text}`", "write `p95 * 3`, for example")
    floor = duration(given["floor"]) if "floor" in given else None
    ceiling = duration(given["ceiling"]) if "ceiling" in given else None
    if floor is not None and ceiling is not None and floor > ceiling:
        raise UnitError(f"`floor` ({format_duration(floor)}) is more than `ceiling` ({format_duration(ceiling)})")
    return {
        "quantile": int(found[1]) / 100, "factor": factor, "floor": floor, "ceiling": ceiling,
        "by_hour": given.get("by") == "hour_of_week",
    }  # fmt: skip


def spelled(learn: LearnData) -> str:
    """As monitors.yaml would have it: p95 * 3 (floor 50ms)."""
    more = [f"{name} {format_duration(value)}" for name in ("floor", "ceiling") if (value := learn[name])]
    more += ["by hour of the week"] * learn["by_hour"]
    text = f"p{learn['quantile'] * 100:.0f} * {learn['factor']:g}"
    return f"{text} ({', '.join(more)})" if more else text


def check(value: object) -> object:
    """A duration, or a threshold that is learned. Raises UnitError."""
    return parse(value) if is_learned(value) else duration(value)
