"""One thing in Sentry, as wanted or as found: in our words, so that both can be compared and read."""

from __future__ import annotations

from typing import Any, NamedTuple
from zlib import crc32

from ..base.model import ProjectData

#: In the order in which they are made: metric monitors first, which Sentry may refuse; alerts after what they refer to.
KINDS = ("monitor", "alert", "cron", "dashboard", "query", "ownership", "filter", "scrubbing")

WORDS = {
    "monitor": "metric monitor", "alert": "alert", "cron": "cron monitor", "dashboard": "dashboard",
    "query": "saved query", "ownership": "ownership rules", "filter": "inbound filter", "scrubbing": "data scrubbing",
}  # fmt: skip

_LONGEST_MARK = 50  # characters; Sentry takes 128 of the name of a cron monitor, and more of all others


class Thing(NamedTuple):
    kind: str
    name: str  # unique among its kind, without the mark
    body: dict[str, Any]  # JSON values; what it refers to is named: `team:sales`, `monitor:sales p95`
    id: str = ""  # in Sentry; "" where it is only wanted

    @property
    def title(self) -> str:
        return f"{WORDS[self.kind]} {self.name}" if self.name else WORDS[self.kind]


class Mark:
    """The end of the name of everything that we made. What lacks it belongs to people, and is never touched."""

    def __init__(self, project: ProjectData) -> None:
        environment = project["environment"]
        where = f"{project['project']}/{environment}" if environment else project["project"]
        self.text = f"[erp-agent {fitting(where, _LONGEST_MARK)}]"

    def on(self, name: str) -> str:
        """The name in Sentry."""
        return f"{name} {self.text}"

    def off(self, title: object) -> str | None:
        """The name without the mark; None for what is not ours."""
        if not isinstance(title, str) or not title.endswith(" " + self.text):
            return None
        return title[: -len(self.text) - 1]


def fitting(name: str, most: int) -> str:
    """The name; a checksum ends one that had to be cut."""
    if len(name) <= most:
        return name
    return f"{name[: most - 9]} {crc32(name.encode('utf-8', 'surrogateescape')):08x}"
