"""Which of two monitors with one target, or one name, stays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...language.targets import TargetError
from ..findings import Findings
from ..read.document import Placed
from .merge import WrittenMonitor
from .values import parsed_target


class _Seen(NamedTuple):
    monitor: WrittenMonitor
    environments: frozenset[str] | None
    requires: str | None


def check_duplicates(monitors: list[WrittenMonitor], findings: Findings) -> None:
    """The first of two stays. Two that can never be on together are no duplicates: one switched off, other
    environments, or other requirements.
    """
    targets: dict[str, list[_Seen]] = {}
    names: dict[str, WrittenMonitor] = {}
    for monitor in monitors:
        if monitor.pack:
            continue
        name = monitor.value.get("name")
        if isinstance(name, str) and name:
            first = names.setdefault(name, monitor)
            if first is not monitor:
                message = f"the name `{name[:100]}` is taken by the monitor at {first.where}"
                findings.add(monitor.at("name"), "duplicate-name", message, "give one of them another name")
        if monitor.value.get("enabled") is False:
            continue
        seen = _seen(monitor)
        for placed, target in explicit_targets(monitor, patterns=not monitor.value.get("exclude")):
            others = targets.setdefault(target, [])
            clash = next((other for other in others if other.monitor is not monitor and _overlap(other, seen)), None)
            if clash is not None and not findings.has(placed):
                message = f"`{target}` is already monitored by the monitor at {clash.monitor.where}"
                findings.add(placed, "duplicate-monitor", message, "put everything about it into one monitor")
            others.append(seen)


def can_meet(first: WrittenMonitor, second: WrittenMonitor) -> bool:
    """Whether two monitors can be on in one process."""
    return _overlap(_seen(first), _seen(second))


def overridden(pack: WrittenMonitor, own: frozenset[str]) -> bool:
    """Whether every target of a pack's monitor is among a person's own."""
    targets = {target for _, target in explicit_targets(pack)}
    return bool(targets) and targets <= own


def explicit_targets(monitor: WrittenMonitor, *, patterns: bool = False) -> Iterator[tuple[Placed, str]]:
    """The targets of a monitor that are well-formed, each as written and dotted throughout."""
    for key in ("target", "targets"):
        for placed in monitor.at(key).texts() if key in monitor.value else ():
            try:
                target = parsed_target(placed.value)
            except TargetError:
                continue
            if patterns or not target["pattern"]:
                yield placed, target["path"]


def _seen(monitor: WrittenMonitor) -> _Seen:
    environments, requires = monitor.value.get("environments"), monitor.value.get("requires")
    return _Seen(
        monitor,
        frozenset(each for each in environments if isinstance(each, str)) if isinstance(environments, list) else None,
        requires if isinstance(requires, str) else None,
    )


def _overlap(first: _Seen, second: _Seen) -> bool:
    apart = first.environments is not None and second.environments is not None
    if apart and not (first.environments or frozenset()) & (second.environments or frozenset()):
        return False
    return not (first.requires and second.requires and first.requires != second.requires)
