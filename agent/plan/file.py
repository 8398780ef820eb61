"""A plan file of which the head has been read: the rest is read piece by piece, when it is needed.

`write` makes such a file. What is in it is plain data, which `marshal` reads faster than anything else would.
"""

import marshal
import os

from ..base import places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: Bytes that are read with what is wanted, rather than to open the file once more.
_PAGE = 16_384


def open_plan(file: str, path: str) -> "PlanFile | None":
    """The plan in `file` for the configuration `path`, fresh or not; None for one that is torn or of another making."""
    head = places.open_head(file, path)
    return PlanFile(*head) if head is not None else None


class PlanFile:
    """A plan of which the header has been read. What follows the header is read, and checked, when it is needed."""

    __slots__ = ("_identity", "_parts", "_raw", "_rest", "_top", "at", "file", "header")

    def __init__(
        self, file: str, header: "places.Header", raw: bytes, at: int, identity: "tuple[int, ...]", rest: bytes = b""
    ) -> None:
        """`rest` is what follows the index, where that is in memory."""
        self.file = file
        self.header = header
        self._raw = raw
        self.at = at
        self._identity = identity
        self._rest = rest
        self._top: "Any" = None
        self._parts: "dict[str, dict[str, Any]]" = {}

    @property
    def top(self) -> "tuple[dict[str, places.Place], frozenset[str], places.Place, places.Place]":
        """({top-level package: its part}, packages with patterns, the settings, the sizes of the monitors)"""
        if self._top is None:
            try:
                self._top = places.index_in(self._raw)
            except places.ours(ValueError):
                raise Damaged from None
        top: "tuple[dict[str, places.Place], frozenset[str], places.Place, places.Place]" = self._top
        return top

    def part(self, root: str) -> "dict[str, list[places.Place]]":
        """{module: its monitors' places} of one top-level package; patterns are under "*"."""
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

    def load(self, place: "places.Place") -> "Any":
        """Raises Unreadable."""
        at, size = place
        return self._loaded(at, size, self._read(at, size + places.CHECKSUM))

    def load_all(self, wanted: "list[places.Place]") -> "list[Any]":
        """What lies at places in ascending order: with one reading where they lie close together. Raises Unreadable."""
        if len(wanted) < 2:
            return [self.load(place) for place in wanted]
        first, last = wanted[0][0], sum(wanted[-1]) + places.CHECKSUM
        if last - first > 2 * sum([size for _, size in wanted]) + _PAGE:
            return [self.load(place) for place in wanted]
        pieces = self._read(first, last - first)
        return [self._loaded(at, size, pieces[at - first : at - first + size + places.CHECKSUM]) for at, size in wanted]

    def _loaded(self, at: int, size: int, piece: bytes) -> "Any":
        data = piece[:size]
        if places.checksum(self._raw[-places.CHECKSUM :], at, data) != piece[size:]:
            raise Damaged
        return marshal.loads(data)  # noqa: S302

    def hold(self, largest: int) -> None:
        """Keep a plan of at most so many bytes in memory, whole: it then stays as it is. Raises Unreadable."""
        if not self._rest and self._identity[1] <= largest:
            self._rest = self._read(0, self._identity[1] - self.at)

    def release(self) -> None:
        """Read it from its file from now on, if that is still there for this process."""
        rest, self._rest = self._rest, b""
        try:
            self._read(0, 0)
        except places.ours(Unreadable):
            self._rest = rest

    def _read(self, at: int, size: int) -> bytes:
        rest = self._rest  # another thread may release it
        if rest:
            return rest[at : at + size]
        try:
            descriptor, status = places.open_own(self.file)
        except places.ours(OSError):
            raise Unreadable from None
        try:
            if (status.st_ino, status.st_size, status.st_mtime_ns) != self._identity:
                raise Unreadable
            os.lseek(descriptor, self.at + at, os.SEEK_SET)
            return places.read(descriptor, size)
        finally:
            os.close(descriptor)


class Unreadable(Exception):
    """The plan file is gone, or another one than was opened before."""


class Damaged(Unreadable):
    """A piece of it is not as it was written."""
