"""The tree of a YAML text: every value with its place."""

from __future__ import annotations

from typing import NamedTuple, Union

from ...base.model import Json

Key = Union[str, int]


class Mark(NamedTuple):
    """A place, counted from 1."""

    line: int
    column: int


NOWHERE = Mark(0, 0)


class Node:
    """One value of the file. A node with an anchor has several positions, and is shared."""

    __slots__ = ("children", "column", "keys", "line", "plain", "size", "text", "value")

    def __init__(self, mark: Mark) -> None:
        self.line, self.column = mark
        self.value: Json = None  # of a scalar
        self.text: str | None = None  # of a scalar, as written
        self.plain = False  # of a scalar: without quotes
        self.children: dict[str, Node] | list[Node] | None = None
        self.keys: dict[str, Mark] = {}
        self.size = 1  # nodes, aliases followed


class Defect(NamedTuple):
    """A finding that has no Document to belong to yet."""

    slug: str
    path: tuple[Key, ...]
    mark: Mark
    message: str
    hint: str = ""
    severity: str = "error"


class UnreadableDocument(Exception):
    """The file gives no tree at all."""

    def __init__(self, slug: str, message: str, hint: str = "", mark: Mark = NOWHERE) -> None:
        super().__init__(message)
        self.defect = Defect(slug, (), mark, message, hint)
