"""One file, read: its values, and the position of each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from .node import Key, Mark, Node, of_yaml


class Document(NamedTuple):
    file: str  # as it is opened
    shown: str  # in messages about monitors: relative to the main file
    text: str
    root: Node
    value: dict[str, Any]  # interpolated

    def at(self, *path: Key) -> Placed:
        return Placed(self, (), self.value).at(*path)


class Placed(NamedTuple):
    """A plain value, and its position in a document. The value is None where the document has none at that path."""

    document: Document
    path: tuple[Key, ...]
    value: Any

    def at(self, *keys: Key) -> Placed:
        value = self.value
        for key in keys:
            value = value.get(key) if value.__class__ is dict else _child(value, key)
        return _new(Placed, (self.document, self.path + keys, value))

    def fields(self) -> Iterator[tuple[str, Placed]]:
        """The keys of a mapping, each with its value; nothing where the value is no mapping."""
        for key in self.value if isinstance(self.value, dict) else ():
            yield key, self.at(key)

    def items(self) -> Iterator[Placed]:
        """The items of a list; nothing where the value is no list."""
        for index in range(len(self.value) if isinstance(self.value, list) else 0):
            yield self.at(index)

    def texts(self) -> Iterator[Placed]:
        """The single text, or the texts of a list; empty ones are left out."""
        for each in (self,) if isinstance(self.value, str) else self.items():
            if isinstance(each.value, str) and each.value:
                yield each

    @property
    def node(self) -> Node | None:
        node: Node | None = self.document.root
        for key in self.path:
            node = None if node is None else _child(node.children, key)
        return node

    @property
    def text(self) -> str | None:
        """A scalar as the file has it: `${NAME}` where the value came from the environment."""
        node = self.node
        return None if node is None else node.text

    @property
    def quoted(self) -> str:
        """`text` for messages."""
        return f"`{(self.text or '')[:100]}`"

    @property
    def where(self) -> str:
        return f"{self.document.shown}:{self.position().line}"

    @property
    def where_key(self) -> str:
        return f"{self.document.shown}:{self.position(of_key=True).line}"

    def position(self, *, of_key: bool = False) -> Mark:
        """Of the value, or of its key; where it is absent, of the nearest value around it."""
        node = self.document.root
        mark = Mark(node.line, node.column)
        for depth, key in enumerate(self.path):
            child = _child(node.children, key)
            if child is None:
                break
            mark = Mark(child.line, child.column)
            if of_key and depth == len(self.path) - 1 and isinstance(key, str):
                mark = of_yaml(node.keys[key]) if key in node.keys else mark
            node = child
        return mark

    def within(self, column: int) -> Mark:
        """The position of the `column`-th character (from 1) of a text; of its start where it is not on one line."""
        node = self.node
        if node is None or node.text is None:
            return self.position()
        lines = _lines(self.document.text)
        line = lines[node.line - 1] if node.line <= len(lines) else ""
        start = node.column - 1 + (0 if node.plain else 1)
        inline = line[start : start + len(node.text)] == node.text
        return Mark(node.line, start + column) if inline else Mark(node.line, node.column)


#: Half of a compile's values are made with it: it takes half as long as the constructor.
_new = tuple.__new__


@lru_cache(maxsize=1)
def _lines(text: str) -> list[str]:
    return text.splitlines()


def _child(parent: Any, key: Key) -> Any:
    """Of a mapping or a list, plain or of nodes; None where there is none."""
    if isinstance(parent, dict):
        return parent.get(key) if isinstance(key, str) else None
    if isinstance(parent, list) and isinstance(key, int) and 0 <= key < len(parent):
        return parent[key]
    return None
