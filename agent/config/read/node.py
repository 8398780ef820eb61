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
    """One value of the file: a Scalar or a Collection. A node with an anchor has several positions, and is shared."""

    __slots__ = ()
    line: int
    column: int
    value: Json  # of a scalar
    text: str | None  # of a scalar, as written
    plain: bool  # of a scalar: without quotes
    children: dict[str, Node] | list[Node] | None
    keys: dict[str, Mark]  # of a mapping
    size: int  # nodes, aliases followed


class Scalar(Node):
    __slots__ = ("column", "line", "plain", "text", "value")
    children = None
    size = 1

    def __init__(self, line: int, column: int, text: str, value: Json, *, plain: bool) -> None:
        self.line = line
        self.column = column
        self.text = text
        self.value = value
        self.plain = plain


class Collection(Node):
    __slots__ = ("children", "column", "keys", "line", "size")
    value = text = None
    plain = False

    def __init__(self, line: int, column: int, children: dict[str, Node] | list[Node]) -> None:
        self.line = line
        self.column = column
        self.children = children
        self.keys = {}
        self.size = 1


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
