"""Local events, grouped as Sentry groups them, and what else they hold: users, security, where slow calls spent it."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Container, Iterable
from typing import Any

from ...deliver.history.events import LocalEvent
from ...deliver.history.facts import SEVERITIES, section

#: The last slow calls of an operation that are opened to see where their time went.
SLOW_CALLS = 30


class Issue:
    """Equal events: their number, users and last example."""

    def __init__(self, group: str) -> None:
        self.slug = "issue-" + hashlib.sha256(group.encode("utf-8", "replace")).hexdigest()[:12]
        self.count = 0  # occurrences; limits held some of them back
        self.first = self.last = 0.0  # seconds since the epoch
        self.users: set[str] = set()
        self.severity = SEVERITIES[-1]
        self.example: LocalEvent  # the last one

    def add(self, event: LocalEvent) -> None:
        self.count += 1 + max(event.facts.suppressed, 0)
        self.severity = min(self.severity, severity_of(event), key=SEVERITIES.index)
        self.first = min(self.first or event.at, event.at)
        if event.at >= self.last:
            self.last, self.example = event.at, event
        if event.facts.user:
            self.users.add(event.facts.user)


class User:
    """A user that events name: how many events of how many issues."""

    def __init__(self) -> None:
        self.events = 0
        self.issues: set[str] = set()
        self.last = 0.0

    def add(self, event: LocalEvent) -> None:
        self.events += 1
        self.issues.add(event.facts.group)
        self.last = max(self.last, event.at)


class Inside:
    """Slow calls of one operation: what their time went into, in seconds, by the operation called."""

    def __init__(self, events: Iterable[LocalEvent]) -> None:
        self.calls = 0
        self.seconds = 0.0
        self.parts: dict[str, float] = {}
        self.times: Counter[str] = Counter()
        for event in events:
            erp = section(event.data() or {}, "contexts", "erp")
            if _number(erp.get("duration_ms")):
                self._add(erp)

    def _add(self, erp: dict[str, Any]) -> None:
        self.calls += 1
        self.seconds += _number(erp.get("duration_ms")) / 1e3
        inside = erp.get("inside")
        for part in inside if isinstance(inside, list) else ():
            if isinstance(part, dict):
                name = str(part.get("operation"))
                self.parts[name] = self.parts.get(name, 0.0) + _number(part.get("duration_ms")) / 1e3
                self.times[name] += int(_number(part.get("times")))


class Issues:
    """All local events of a period. `security` holds the names of the monitors of that kind."""

    def __init__(self, events: Iterable[LocalEvent], security: Container[str] = ()) -> None:
        self.events = 0
        self.users: dict[str, User] = {}
        groups: dict[str, Issue] = {}
        secured: dict[str, Issue] = {}
        slow: dict[tuple[str, str], deque[LocalEvent]] = {}
        for event in events:
            self.events += 1
            group = event.facts.group
            groups.setdefault(group, Issue(group)).add(event)
            if event.facts.kind == "security" or event.facts.monitor in security:
                secured.setdefault(group, Issue(group)).add(event)
            if event.facts.kind == "slow":
                slow.setdefault((event.facts.module, event.facts.operation), deque(maxlen=SLOW_CALLS)).append(event)
            if event.facts.user:
                self.users.setdefault(event.facts.user, User()).add(event)
        self.security = list(secured.values())
        self.groups = sorted(groups.values(), key=lambda issue: (SEVERITIES.index(issue.severity), -issue.last))
        opened = ((place, Inside(found)) for place, found in slow.items())
        self.inside = {place: inside for place, inside in opened if inside.calls}


def severity_of(event: LocalEvent) -> str:
    return event.facts.severity if event.facts.severity in SEVERITIES else "info"


def _number(value: object) -> float:
    """A damaged file may hold anything in place of a number."""
    return float(value) if isinstance(value, (int, float)) and 0 <= value < 1e12 else 0.0
