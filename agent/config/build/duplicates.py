"""Which of two monitors with one target, or one name, stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...language.targets import TargetError, parse_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..findings import Findings
    from ..read.node import Key
    from .merge import Entry


class _Seen(NamedTuple):
    entry: Entry
    environments: frozenset[str] | None
    requires: str | None


def check_duplicates(entries: list[Entry], findings: Findings) -> None:
    """The first of two stays. Two that can never be on together are no duplicates: one switched off, other
    environments, or other requirements.
    """
    targets: dict[str, list[_Seen]] = {}
    names: dict[str, Entry] = {}
    for entry in entries:
        if entry.pack:
            continue
        name = entry.value.get("name")
        if isinstance(name, str) and name:
            first = names.setdefault(name, entry)
            if first is not entry:
                findings.add(
                    entry.document,
                    (*entry.path, "name"),
                    "duplicate-name",
                    f"the name `{name[:100]}` is taken by the monitor at {first.where}",
                    "give one of them another name",
                )
        if entry.value.get("enabled") is False:
            continue
        seen = _seen(entry)
        for path, target in explicit_targets(entry, patterns=not entry.value.get("exclude")):
            others = targets.setdefault(target, [])
            clash = next((other for other in others if other.entry is not entry and _overlap(other, seen)), None)
            if clash is not None and not findings.has(entry.document, path):
                findings.add(
                    entry.document,
                    path,
                    "duplicate-monitor",
                    f"`{target}` is already monitored by the monitor at {clash.entry.where}",
                    "put everything about it into one monitor",
                )
            others.append(seen)


def can_meet(first: Entry, second: Entry) -> bool:
    """Whether two monitors can be on in one process."""
    return _overlap(_seen(first), _seen(second))


def overridden(pack: Entry, own: frozenset[str]) -> bool:
    """Whether every target of a pack's monitor is among a person's own."""
    targets = {target for _, target in explicit_targets(pack)}
    return bool(targets) and targets <= own


def explicit_targets(entry: Entry, *, patterns: bool = False) -> Iterator[tuple[tuple[Key, ...], str]]:
    """The dotted targets of a monitor that are well-formed, each with its place; patterns only where asked for."""
    for key in ("target", "targets"):
        given = entry.value.get(key)
        path = (*entry.path, key)
        listed = [((*path, index), item) for index, item in enumerate(given)] if isinstance(given, list) else []
        for place, item in [(path, given)] if isinstance(given, str) else listed:
            try:
                target = parse_target(item) if isinstance(item, str) else None
            except TargetError:
                continue
            if target is not None and (patterns or not target["pattern"]):
                yield place, target["path"]


def _seen(entry: Entry) -> _Seen:
    return _Seen(entry, _environments(entry), _text(entry.value.get("requires")))


def _overlap(first: _Seen, second: _Seen) -> bool:
    apart = first.environments is not None and second.environments is not None
    if apart and not (first.environments or frozenset()) & (second.environments or frozenset()):
        return False
    return not (first.requires and second.requires and first.requires != second.requires)


def _environments(entry: Entry) -> frozenset[str] | None:
    given = entry.value.get("environments")
    return frozenset(item for item in given if isinstance(item, str)) if isinstance(given, list) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
