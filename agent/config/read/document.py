"""One file, read: its values, and where each of them stands."""

from __future__ import annotations

from typing import Any, NamedTuple

from .node import Key, Mark, Node


class Document(NamedTuple):
    file: str  # as it is opened
    shown: str  # as messages about monitors name it: relative to the main file
    text: str
    root: Node
    value: dict[str, Any]  # interpolated


def find(document: Document, path: tuple[Key, ...]) -> Node | None:
    node: Node | None = document.root
    for key in path:
        node = _child(node, key)
        if node is None:
            return None
    return node


def position(document: Document, path: tuple[Key, ...], *, of_key: bool = False) -> Mark:
    """Where the value at `path` (or its key) stands; where it is absent, the nearest thing around it."""
    node = document.root
    mark = Mark(node.line, node.column)
    for depth, key in enumerate(path):
        child = _child(node, key)
        if child is None:
            break
        mark = Mark(child.line, child.column)
        if of_key and depth == len(path) - 1 and isinstance(key, str):
            mark = node.keys.get(key, mark)
        node = child
    return mark


def written(document: Document, path: tuple[Key, ...]) -> str | None:
    """The text of a scalar as the file has it: `${NAME}` where the value came from the environment."""
    node = find(document, path)
    return None if node is None else node.text


def _child(node: Node | None, key: Key) -> Node | None:
    children = None if node is None else node.children
    if isinstance(children, dict):
        return children.get(key) if isinstance(key, str) else None
    if isinstance(children, list) and isinstance(key, int) and 0 <= key < len(children):
        return children[key]
    return None


def place_within(document: Document, path: tuple[Key, ...], column: int) -> Mark:
    """Where the `column`-th character (from 1) of a text stands; its beginning where the text is not on one line."""
    node = find(document, path)
    if node is None or node.text is None:
        return position(document, path)
    lines = document.text.splitlines()
    line = lines[node.line - 1] if node.line <= len(lines) else ""
    start = node.column - 1 + (0 if node.plain else 1)
    inline = line[start : start + len(node.text)] == node.text
    return Mark(node.line, start + column) if inline else Mark(node.line, node.column)
