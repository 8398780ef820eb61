"""Thresholds that are learned: from what the operation's own calls took, as all processes of this host counted it."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from typing import NamedTuple

from ..base.model import LearnData, MonitorData
from ..measure import layout
from ..measure.counts import Counts, Key
from ..measure.figures import Figures

#: Calls of which the durations are known, before anything is learned from them.
ENOUGH = 200

_WEEK = 7 * 86400.0
_MONTH = 4 * _WEEK
_HOUR = 3600.0

#: Seconds that are the present, where the level of an operation has changed.
RECENT = 600.0

#: Seconds after which a plan is compiled again for what has been learned since.
RENEW = 600.0


class Learned(NamedTuple):
    threshold: float | None  # seconds; None: not enough is known
    calls: int  # it was learned from so many
    counts: Counts  # of these
    by_hour: bool  # from this hour of the week only


def learn(monitors: list[MonitorData], figures: Figures, now: float, slower: Collection[tuple[str, str]] = ()) -> float:
    """Put what is known into the monitors that learn. Return when to do it again; 0.0 where none learns.

    `slower`: the (monitor, operation) of which the level has changed, see `levels`.
    """
    learning = [monitor for monitor in monitors if monitor["learn"] is not None]
    if not learning:
        return 0.0
    known = Past(figures, now, slower)
    for monitor in learning:
        found = {operation: each.threshold for operation, each in known.of(monitor).items()}
        monitor["learned"] = {operation: seconds for operation, seconds in found.items() if seconds is not None}
    hourly = any(monitor["learn"] is not None and monitor["learn"]["by_hour"] for monitor in learning)
    return min(now + RENEW, (now // _HOUR + 1) * _HOUR) if hourly else now + RENEW


class Past:
    """What the operations of the last weeks took."""

    def __init__(self, figures: Figures, now: float, slower: Collection[tuple[str, str]] = ()) -> None:
        self._figures, self._now = figures, now
        self._week = by_operation(figures.window(_WEEK))
        recent = by_operation(figures.window(RECENT)) if slower else {}
        self._slower = {key: counts for key, counts in recent.items() if key in slower and _timed(counts) >= ENOUGH}
        self._this_hour: dict[tuple[str, str], Counts] | None = None

    def of(self, monitor: MonitorData) -> dict[str, Learned]:
        """Each operation of the monitor that has been called."""
        learn = monitor["learn"]
        if learn is None:
            return {}
        found = {}
        for (name, operation), counts in self._week.items():
            if name == monitor["name"]:
                hour = self._in_this_hour().get((name, operation)) if learn["by_hour"] else None
                by_hour = hour is not None and _timed(hour) >= ENOUGH
                chosen = hour if hour is not None and by_hour else counts
                chosen = self._slower.get((name, operation), chosen)
                found[operation] = Learned(_threshold(chosen, learn), _timed(chosen), chosen, by_hour)
        return found

    def _in_this_hour(self) -> dict[tuple[str, str], Counts]:
        """Of the last four weeks, what was counted in this hour of the week, of local time."""
        if self._this_hour is None:
            here = _hour_of_week(self._now)
            sums: dict[tuple[str, str], Counts] = {}
            for begin, counts in self._figures.series(_MONTH, _HOUR):
                if _hour_of_week(begin + _HOUR / 2) == here:
                    for key, more in by_operation(counts).items():
                        sums[key] = sums.get(key, Counts()) + more
            self._this_hour = sums
        return self._this_hour


def by_operation(counts: dict[Key, Counts]) -> dict[tuple[str, str], Counts]:
    """The counts of all releases together, by (monitor, operation)."""
    sums: dict[tuple[str, str], Counts] = {}
    for key, more in counts.items():
        name = (key.monitor, key.operation)
        sums[name] = sums.get(name, Counts()) + more
    return sums


def _timed(counts: Counts) -> int:
    return sum(counts.buckets)


def _threshold(counts: Counts, learn: LearnData) -> float | None:
    usual = counts.quantile(learn["quantile"])
    if usual is None or _timed(counts) < ENOUGH:
        return None
    seconds = usual * learn["factor"]
    digits = 10.0 ** (math.floor(math.log10(seconds)) - 1) if seconds > 0 else 1.0
    seconds = math.ceil(seconds / digits) * digits  # two digits, so that it seldom changes
    seconds = float(f"{max(seconds, learn['floor'] or 0.0):.2g}")
    return min(seconds, learn["ceiling"]) if learn["ceiling"] is not None else seconds


def beyond(counts: Counts, seconds: float) -> int:
    """How many calls took longer: those of the buckets that begin beyond it."""
    return sum(number for index, number in enumerate(counts.buckets) if index and layout.bound(index - 1) >= seconds)


def _hour_of_week(at: float) -> tuple[int, int]:
    moment = time.localtime(at)
    return moment.tm_wday, moment.tm_hour
