"""The tree of a YAML text: every value with its place."""

from __future__ import annotations

from typing import Any, NamedTuple, Union

from ...base.model import Json

Key = Union[str, int]


class Mark(NamedTuple):
    """A place, counted from 1."""

    line: int
    column: int


NOWHERE = Mark(0, 0)


def of_yaml(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)


class Node:
    """One value of the file: a Scalar or a Collection. A node with an anchor has several positions, and is shared."""

    __slots__ = ()
    mark: Any  # PyYAML's: what most nodes are never asked for is not made
    value: Any  # of a scalar; of the root, all values, unless something has to be interpolated
    text: str | None  # of a scalar, as written
    plain: bool  # of a scalar: without quotes
    children: dict[str, Node] | list[Node] | None
    keys: dict[str, Any]  # of a mapping: the marks of its keys
    size: int  # nodes, aliases followed; counted where there are any

    @property
    def line(self) -> int:
        return int(self.mark.line) + 1

    @property
    def column(self) -> int:
        return int(self.mark.column) + 1


class Scalar(Node):
    __slots__ = ("mark", "plain", "text", "value")
    children = None
    size = 1

    def __init__(self, mark: Any, text: str, value: Json, plain: bool) -> None:
        self.mark = mark
        self.text = text
        self.value = value
        self.plain = plain


class Collection(Node):
    __slots__ = ("children", "keys", "mark", "size", "value")
    text = None
    plain = False

    def __init__(self, mark: Any, children: dict[str, Node] | list[Node], value: Any) -> None:
        self.mark = mark
        self.children = children
        self.value = value
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
