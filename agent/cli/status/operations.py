"""The ERP's operations over all processes: how often they ran, failed, and how long they took."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from ...base.wildcards import segment_match
from ...measure.figures import Counts, Figures, Key, add_up
from . import numbers

_HOUR = 3600.0
_MUCH = 1.5  # how many times as long, or as often, is more than chance and the width of buckets
_ENOUGH = 20  # calls of which a quantile is worth a comparison
_FAILURES = 3  # of which a share is
_POINTS = 0.005  # by which a share of failures must differ

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class Name(NamedTuple):
    """What is counted by itself, whatever the release."""

    module: str
    operation: str
    monitor: str
    kind: str


class Operation:
    """One row: what was counted in `seconds`, and in `before_seconds` at the same time a week ago."""

    def __init__(self, name: Name, counts: Counts, seconds: float, before: Counts, before_seconds: float) -> None:
        self.name = name
        self.counts = counts
        self.seconds = seconds
        self.before = before
        self.before_seconds = before_seconds
        self.calls = counts.calls
        self.failures = counts.failures

    @property
    def per_minute(self) -> float | None:
        return _per_minute(self.calls, self.seconds)

    @property
    def held(self) -> int:
        """What was worth a report, and was held back by a limit or as equal to an event."""
        return sum(self.counts.held.get(reason, 0) for reason in ("rate", "sample"))

    @cached_property
    def quantiles(self) -> dict[str, float | None]:
        """p50, p95 and p99 in seconds."""
        return {name: self.counts.quantile(part) for name, part in QUANTILES.items()}

    @cached_property
    def trend(self) -> str:
        """What has changed most since the week before: errors, then the 95th percentile, then calls.

        "-": nothing is known of that time; "new": it did not run then; "same".
        """
        before = self.before.calls
        if not self.before_seconds:
            return "-"
        if not before:
            return "new"
        now, then = self.failures / self.calls if self.calls else 0.0, self.before.failures / before
        if abs(now - then) >= _POINTS and max(self.failures, self.before.failures) >= _FAILURES:
            if not then:
                return "errors new"
            if not now:
                return "no errors"
            if _differ(now, then):
                return "errors " + numbers.factor(now, then)
        p95, was = self.quantiles["p95"], self.before.quantile(0.95)
        if p95 and was and min(self.calls, before) >= _ENOUGH and _differ(p95, was):
            return "p95 " + numbers.factor(p95, was)
        often, then_often = self.per_minute, _per_minute(before, self.before_seconds)
        if often and then_often and max(self.calls, before) >= _ENOUGH and _differ(often, then_often):
            return "calls " + numbers.factor(often, then_often)
        return "same"

    def as_json(self) -> dict[str, Any]:
        """Durations in seconds, times in seconds since the epoch; null: not known."""
        counts = self.counts
        return {
            **self.name._asdict(),
            **_figures(counts, self.seconds),
            "failures_by_severity": counts.by_severity,
            "expected": counts.expected,
            "slow": counts.slow,
            "rules": counts.rules,
            "held_back": counts.held,
            "reported": counts.reported,
            "users_affected": counts.users,
            "seconds": counts.total,
            "last_failure": counts.last_failure,
            "uncounted_seconds": counts.uncounted,
            "trend": self.trend,
            "week_before": _figures(self.before, self.before_seconds) if self.before_seconds else None,
        }


def _figures(counts: Counts, seconds: float) -> dict[str, Any]:
    calls, failures = counts.calls, counts.failures
    return {
        "calls": calls,
        "calls_per_minute": _per_minute(calls, seconds),
        "failures": failures,
        "failed_share": failures / calls if calls else None,
        **{name: counts.quantile(part) for name, part in QUANTILES.items()},
        "max": counts.longest,
    }


def _per_minute(calls: int, seconds: float) -> float | None:
    """Of less than a minute, what came in it: the first call is no stream of calls."""
    return calls * 60.0 / max(seconds, 60.0) if seconds else None


def _differ(now: float, before: float) -> bool:
    return max(now, before) >= _MUCH * min(now, before)


class Selection(NamedTuple):
    """Which operations: patterns with * for modules and monitors, and a text in any of the names."""

    module: str = "*"
    monitor: str = "*"
    text: str = ""

    def has(self, name: Name) -> bool:
        text = self.text.casefold()
        return (
            segment_match(self.module, name.module)
            and segment_match(self.monitor, name.monitor)
            and (not text or any(text in each.casefold() for each in name))
        )


def operations(figures: Figures, seconds: float, selection: Selection) -> tuple[list[Operation], float]:
    """Those that ran in the last `seconds`, most worth a look first; and of how many seconds there are figures."""
    window = figures.measured(seconds)
    before = figures.week_before(seconds)
    now, then = _summed(window.counts, selection), _summed(before.counts, selection)
    nothing = Counts()
    # Where the totals were lost, since when there are figures is not known, but the hours are there.
    hour = before.seconds or (max(seconds, _HOUR) if before.counts else 0.0)
    found = [Operation(name, counts, window.seconds, then.get(name, nothing), hour) for name, counts in now.items()]
    return ordered(found), window.seconds


def _summed(counts: Mapping[Key, Counts], selection: Selection) -> dict[Name, Counts]:
    """Over all releases."""
    named = ((Name(key.module, key.operation, key.monitor, key.kind), more) for key, more in counts.items())
    return add_up((name, more) for name, more in named if selection.has(name))


#: Letter → what rows are sorted by, greatest first; names are sorted from a to z.
ORDERS: dict[str, tuple[str, Callable[[Operation], Any]]] = {
    "e": ("errors", lambda row: (-row.failures, -row.counts.total, row.name)),
    "t": ("time", lambda row: (-row.counts.total, row.name)),
    "c": ("calls", lambda row: (-row.calls, row.name)),
    "p": ("p95", lambda row: (-(row.quantiles["p95"] or 0.0), row.name)),
    "m": ("max", lambda row: (-(row.counts.longest or 0.0), row.name)),
    "n": ("name", lambda row: row.name),
}


def ordered(rows: Iterable[Operation], order: str = "e", *, reverse: bool = False) -> list[Operation]:
    """`order` is a letter of ORDERS."""
    return sorted(rows, key=ORDERS[order][1], reverse=reverse)
