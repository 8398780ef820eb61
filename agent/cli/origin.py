"""Where each effective setting of a monitor comes from. Only `explain` needs it: the plan does not contain it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..base.model import MonitorData
from ..config.build import stances
from ..config.build.inherit import choose
from ..config.build.merge import Settings, WrittenMonitor
from ..config.findings import Findings
from ..config.read.document import Placed
from ..language.monitor_keys import KEYS, MonitorKey
from ..language.spelled import explained


class Setting(NamedTuple):
    key: str
    value: str
    origin: str  # "monitors.yaml:56", "defaults of module sales, monitors.yaml:43", "kind api", "built in"


def settings_of(entry: WrittenMonitor, monitor: MonitorData, settings: Settings) -> list[Setting]:
    """Every key that has an effect on this monitor, in the order of the documentation."""
    chosen = choose(entry, settings, Findings())
    found: list[Setting] = []
    for row in KEYS:
        key, value = row.name, explained(row, monitor)
        if row.adds:
            found += _adding(row, entry, monitor, settings)
        if row.adds or not value:
            continue
        if row.inherited:
            placed = chosen.get(key)
            origin = _place(placed, entry) if placed is not None else _implied(key, monitor)
        elif key == "owner":
            declared = [placed for placed in settings.module(monitor["module"]) if placed.value.get("owner")]
            origin = _place(declared[0], entry) if declared else "built in"
        elif key in entry.value:
            origin = entry.at(key).where_key
        elif key == "tags" and monitor["module"]:
            origin = f"module {monitor['module']}"
        elif key == "operation" and monitor["detail"] and monitor["kind"] != "database":
            origin = f"from `{next(iter(monitor['detail']))}`, " + entry.at(next(iter(monitor["detail"]))).where_key
        elif key == "name":
            origin = "from the operation or target"
        else:
            origin = "built in"
        found.append(Setting(key, value, origin))
    return found


def _adding(row: MonitorKey, entry: WrittenMonitor, monitor: MonitorData, settings: Settings) -> Iterator[Setting]:
    """One line for each place that names exceptions, the nearest first."""
    every: list[Placed | WrittenMonitor] = [entry, *stances.inherited(monitor["module"], settings)]
    for given in every:
        made = stances.checked(given, Findings())
        value = explained(row, {**monitor, **stances.lists(made)})
        if value:
            yield Setting(row.name, value, _place(given.at(row.name), entry))


def _place(placed: Placed, entry: WrittenMonitor) -> str:
    where = placed.where_key
    if placed.path[0] == "modules":
        return f"{'defaults of ' if len(placed.path) > 3 else ''}module {placed.path[1]}, {where}"
    if placed.path[0] == "defaults":
        return f"defaults{' of the pack' if entry.pack and placed.document is entry.document else ''}, {where}"
    return where


def _implied(key: str, monitor: MonitorData) -> str:
    by_kind = (key == "threshold" and monitor["thresholds"]) or (key == "severity" and monitor["kind"] == "security")
    return f"kind {monitor['kind']}" if by_kind else "built in"
