"""A plan file of which the head has been read: the rest is read piece by piece, when it is asked for.

`config.cache` draws such a file. What is in it is plain data, which `marshal` reads faster than anything else would.
"""

import marshal
import os

from . import start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def open_plan(file: str, path: str) -> "PlanFile | None":
    """The plan in `file` for the configuration `path`, fresh or not; None for one that is torn or of another making."""
    head = start.open_head(file, path)
    return PlanFile(*head) if head is not None else None


class PlanFile:
    """A plan file whose header has been read. What follows the header is read when it is asked for."""

    __slots__ = ("_at", "_identity", "_parts", "_raw", "_top", "file", "header")

    def __init__(self, file: str, header: "start.Header", raw: bytes, at: int, identity: "tuple[int, ...]") -> None:
        self.file = file
        self.header = header
        self._raw = raw
        self._at = at
        self._identity = identity
        self._top: "Any" = None
        self._parts: "dict[str, dict[str, Any]]" = {}

    @property
    def top(self) -> "tuple[dict[str, start.Place], frozenset[str], start.Place, start.Place]":
        """({top-level package: its part}, packages with patterns, the settings, the sizes of the monitors)"""
        if self._top is None:
            self._top = marshal.loads(self._raw)  # noqa: S302  (the user's own file: the owner was checked)
            self._raw = b""
        top: "tuple[dict[str, start.Place], frozenset[str], start.Place, start.Place]" = self._top
        return top

    def part(self, root: str) -> "dict[str, list[start.Place]]":
        """{module: its monitors' places} of one top-level package; patterns stand under "*"."""
        part = self._parts.get(root)
        if part is None:
            place = self.top[0].get(root)
            part = self._parts[root] = self.load(place) if place is not None else {}
        return part

    def __contains__(self, name: object) -> bool:
        root = str(name).partition(".")[0]
        if root not in self.top[0]:
            return False
        part = self.part(root)
        return name in part or "*" in part

    def load(self, place: "start.Place") -> "Any":
        return marshal.loads(self.bytes_at(place))  # noqa: S302

    def bytes_at(self, place: "start.Place") -> bytes:
        """Raises Replaced where another process has written a newer plan since."""
        opened = start.open_own(self.file)
        if opened is None:
            raise Replaced
        descriptor, identity = opened
        try:
            if identity != self._identity:
                raise Replaced
            os.lseek(descriptor, self._at + place[0], os.SEEK_SET)
            return start.read(descriptor, place[1])
        finally:
            os.close(descriptor)


class Replaced(Exception):
    """The plan file is not the one that was opened before."""
