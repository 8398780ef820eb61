"""Changes of level: an operation that has become twice as slow is one event, not a thousand slow calls.

Looked for where thresholds are learned, each time the plan is compiled for that. While an operation is slower than it
used to be, its threshold is learned from what it takes now.
"""

from __future__ import annotations

import json
import os
import time
from typing import NamedTuple

from ..base import own_folders
from ..base.model import MonitorData
from ..measure.counts import Counts, Key
from ..measure.figures import Figures
from ..plan.index import Index
from .learn import RECENT, by_operation

_WEEK = 7 * 86400.0
_LOOK_BACK = 6 * 3600.0
_SLOT = 300.0
_ENOUGH_BEFORE, _ENOUGH_NOW, _ENOUGH_IN_A_SLOT = 1000, 100, 10
_SLOWER, _AGAIN = (
    2.0,
    1.3,
)  # times the usual median: where the level is another one, and where it is the usual one again
_LEAST = 0.001  # seconds that it must be slower


class Change(NamedTuple):
    """`operation` of `monitor` is slower than it used to be, or no longer so (`since` is None)."""

    monitor: str
    operation: str
    usual: float  # median in seconds
    now: float
    since: float | None  # seconds since the epoch
    release: str  # which is new since then, or ""

    def text(self) -> str:
        from ..observe.event.wording import duration_text

        usual, now = duration_text(self.usual), duration_text(self.now)
        if self.since is None:
            return f"{self.operation} takes as long as usual again: {now} in the median, usually {usual}"
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.since))
        release = f", since release {self.release}" if self.release else ""
        return (
            f"{self.operation} is {self.now / self.usual:.1f} times as slow since {when}{release}: "
            f"{now} in the median, usually {usual}"
        )


def path_in(state: str) -> str:
    return os.path.join(state, "levels.json")


def slower(state: str) -> dict[tuple[str, str], float]:
    """(monitor, operation) → since when it is slower than it used to be."""
    try:
        own_folders.check_own(state)
        with open(path_in(state), encoding="utf-8") as stream:
            return {(monitor, operation): float(since) for monitor, operation, since in json.load(stream)}
    except (OSError, ValueError, TypeError):
        return {}


def follow(state: str, monitors: list[MonitorData], figures: Figures, now: float) -> list[Change]:
    """The changes of level since the last time, noted for the next. Raises OSError."""
    learning = {monitor["name"] for monitor in monitors if monitor["learn"] is not None}
    known = slower(state)
    changes = [each for each in look(figures, now, known) if each.monitor in learning]
    if changes:
        for each in changes:
            if each.since is None:
                known.pop((each.monitor, each.operation), None)
            else:
                known[each.monitor, each.operation] = each.since
        rows = [[monitor, operation, since] for (monitor, operation), since in sorted(known.items())]
        own_folders.replace(path_in(state), json.dumps(rows).encode())
    return changes


def report(changes: list[Change], monitors: list[MonitorData], plan: Index, state: str) -> None:
    """One event each, as those of the ERP."""
    from ..base.health import Health
    from ..base.model import Observation
    from ..deliver.sink import Sink

    health = Health(os.path.join(state, "run"), plan.path, command="learn")
    sink = Sink(plan.sentry, plan.spool, state, health, tuple(plan.packages))
    by_name = {monitor["name"]: monitor for monitor in monitors}
    try:
        for each in changes:
            monitor = by_name[each.monitor]
            sink.report(
                Observation(
                    monitor={**monitor, "fingerprint": [each.monitor, "level", each.operation]},
                    operation=each.operation,
                    function=monitor["targets"][0]["path"],
                    report="level",
                    severity="info" if each.since is None else "warning",
                    message=each.text().replace("{", "{{"),
                    duration=each.now,
                    operations=[each.operation],
                    ended=time.time(),
                )
            )
    finally:
        sink.close()
        health.flush(final=True)


def look(figures: Figures, now: float, known: dict[tuple[str, str], float]) -> list[Change]:
    before = by_operation(figures.window(_WEEK, now - RECENT))
    recent = by_operation(figures.window(RECENT))
    found = []
    for key, counts in recent.items():
        usual, median = before.get(key, Counts()).quantile(0.5), counts.quantile(0.5)
        enough = sum(before.get(key, Counts()).buckets) >= _ENOUGH_BEFORE and sum(counts.buckets) >= _ENOUGH_NOW
        if usual is None or median is None or not enough:
            continue
        if key not in known and median >= _SLOWER * usual and median - usual >= _LEAST:
            since, release = _since(figures, key, usual, now)
            found.append(Change(*key, usual, median, since, release))
        elif key in known and median < _AGAIN * usual:
            found.append(Change(*key, usual, median, None, ""))
    return found


def _since(figures: Figures, key: tuple[str, str], usual: float, now: float) -> tuple[float, str]:
    """When the level changed, to five minutes; and the release that is seen for the first time then."""
    slots = [(begin, _of(counts, key)) for begin, counts in figures.series(_LOOK_BACK, _SLOT)]
    since = now - RECENT
    for begin, releases in reversed(slots):
        counts = sum(releases.values(), Counts())
        median = counts.quantile(0.5)
        if median is not None and sum(counts.buckets) >= _ENOUGH_IN_A_SLOT:
            if median < (1 + _SLOWER) / 2 * usual:
                break
            since = begin
    old = {release for begin, releases in slots if begin < since for release in releases}
    new = {release for begin, releases in slots if begin >= since for release in releases} - old
    return since, new.pop() if len(new) == 1 and old else ""


def _of(counts: dict[Key, Counts], key: tuple[str, str]) -> dict[str, Counts]:
    found: dict[str, Counts] = {}
    for each, more in counts.items():
        if (each.monitor, each.operation) == key:
            found[each.release] = found.get(each.release, Counts()) + more
    return found
