"""YAML text → Node, and what is wrong on the way. The only file that imports yaml.

PyYAML gives its stream of events alone. The tree is built here, so that every bound (depth, number of nodes after
aliases are followed, size) holds before memory is spent, no tag can construct an object, and keys that YAML would
silently drop are reported.

Scalars are read as YAML 1.2 does, which is what people expect of `on`, `off`, `yes`, `no`, `12:30` and `2024-01-31`:
they are text. Numbers, `true`, `false`, `null` and `~` are what they seem. A number that no JSON document could hold
(`.inf`, `1e999`) stays text, so that the schema refuses it where a number is expected.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ...base.errors import ConfigError
from ...base.model import Json
from ...language import hints
from .node import NOWHERE, Collection, Defect, Key, Mark, Node, Scalar, UnreadableDocument

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_NODES = 500_000  # 10,000 monitors of 50 values each
DEEPEST = 40

#: What the parser reports of keys that are not indented alike.
_UNEVEN = ("expected key", "expected <block end>", "'-' indicator")

_CORE = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:(?=[^.eE]*[.eE])(?:0|[1-9][0-9]{0,30})(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_WORDS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
          "null": None, "Null": None, "NULL": None, "~": None, "": None}  # fmt: skip


def parse(text: str, *, pure: bool = False) -> tuple[Node | None, list[Defect]]:
    """The tree of a text, None for an empty one. Raises UnreadableDocument. `pure` avoids libyaml."""
    return _Composer(text, pure=pure).compose()


def resolve_scalar(text: str) -> Json:
    """What an unquoted scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if abs(number) != float("inf") else text
    return text


class _Frame:
    """A collection that is being read: a mapping, or a list."""

    __slots__ = ("anchor", "items", "key", "keys", "mapping", "merges", "node", "path")

    def __init__(self, node: Collection, path: tuple[Key, ...], anchor: str | None) -> None:
        self.node = node
        self.mapping = node.children if isinstance(node.children, dict) else None
        self.items = node.children if isinstance(node.children, list) else None
        self.keys = node.keys
        self.path = path
        self.anchor = anchor
        self.key: tuple[str, Mark] | None = None
        self.merges: list[tuple[Node, Mark]] = []


class _Composer:
    """The time for a file is spent here: what most events need is done without a call."""

    def __init__(self, text: str, *, pure: bool) -> None:
        self.text = text
        self.pure = pure
        self.defects: list[Defect] = []
        self.anchors: dict[str, Node] = {}
        self.open: list[_Frame] = []
        self.root: Node | None = None
        self.count = 0

    def compose(self) -> tuple[Node | None, list[Defect]]:
        documents = 0
        for event in _events(self.text, pure=self.pure):
            kind = event.__class__.__name__
            if kind == "ScalarEvent":
                self.count += 1
                if self.count > MOST_NODES:
                    raise _too_many(_mark(event))
                frame = self.open[-1] if self.open else None
                if frame and frame.mapping is not None and frame.key is None and event.tag is event.anchor is None:
                    key = event.value
                    frame.key = (key if key != "<<" or not event.style else "<<\0", _mark(event))
                else:
                    self._add(self._scalar(event), event)
            elif kind == "MappingStartEvent":
                self._start(event, {})
            elif kind == "SequenceStartEvent":
                self._start(event, [])
            elif kind in ("MappingEndEvent", "SequenceEndEvent"):
                self._end(event)
            elif kind == "AliasEvent":
                self._add(self._alias(event), event)
            elif kind == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    message = "the file holds more than one YAML document"
                    hint = "remove the `---` that starts the second one"
                    raise UnreadableDocument("yaml-documents", message, hint, _mark(event))
        return self.root, self.defects

    def _next_path(self) -> tuple[Key, ...]:
        if not self.open:
            return ()
        frame = self.open[-1]
        if frame.items is not None:
            return (*frame.path, len(frame.items))
        return (*frame.path, frame.key[0]) if frame.key else frame.path

    def _spend(self, nodes: int, event: Any) -> None:
        self.count += nodes
        if self.count > MOST_NODES:
            raise _too_many(_mark(event))

    def _scalar(self, event: Any) -> Node:
        text, tag, mark = event.value, event.tag, event.start_mark
        plain = tag is None and not event.style
        value = text
        if plain or tag in (_CORE + "int", _CORE + "float", _CORE + "bool", _CORE + "null"):
            value = resolve_scalar(text)
        elif tag not in (None, "!", _CORE + "str"):
            self._refuse_tag(tag, event)
        node = Scalar(mark.line + 1, mark.column + 1, text, value, plain=plain)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> Node:
        if any(frame.anchor == event.anchor for frame in self.open):
            message = f"`*{event.anchor}` is inside the value that it names"
            raise UnreadableDocument("yaml-recursive", message, "a value cannot contain itself", _mark(event))
        node = self.anchors.get(event.anchor)
        if node is None:
            raise UnreadableDocument(
                "yaml-syntax", f"there is no `&{event.anchor}` before `*{event.anchor}`", "", _mark(event)
            )
        return node

    def _start(self, event: Any, children: dict[str, Node] | list[Node]) -> None:
        self._spend(1, event)
        if len(self.open) >= DEEPEST:
            raise _too_deep(_mark(event))
        if event.tag not in (None, "!", _CORE + ("map" if isinstance(children, dict) else "seq")):
            self._refuse_tag(event.tag, event)
        if self.open and self.open[-1].mapping is not None and self.open[-1].key is None:
            raise UnreadableDocument("yaml-key", "a key must be plain text", "", _mark(event))
        mark = event.start_mark
        self.anchors.pop(event.anchor, None)
        node = Collection(mark.line + 1, mark.column + 1, children)
        self.open.append(_Frame(node, self._next_path(), event.anchor))

    def _end(self, event: Any) -> None:
        frame = self.open.pop()
        node = frame.node
        if frame.merges:
            self._merge(frame, event)
        size = 1
        for child in frame.items or (frame.mapping or {}).values():
            size += child.size
        node.size = size
        if size > MOST_NODES:
            raise _too_many(Mark(node.line, node.column))
        if frame.anchor:
            self.anchors[frame.anchor] = node
        self._add(node, event)

    def _add(self, node: Node, event: Any) -> None:
        """Put a finished node where it belongs: as the root, an item, a key or the value of the pending key."""
        if not self.open:
            self.root = node
            return
        frame = self.open[-1]
        if frame.key is None and frame.mapping is not None:
            if node.text is None:
                raise UnreadableDocument("yaml-key", "a key must be plain text", "", _mark(event))
            frame.key = (node.text if node.text != "<<" or node.plain else "<<\0", _mark(event))
            return
        self._spend(1, event)
        if frame.items is not None:
            frame.items.append(node)
        elif frame.key is not None and frame.mapping is not None:
            (key, mark), frame.key = frame.key, None
            if key == "<<":
                frame.merges.append((node, mark))
            elif key in frame.mapping:
                first = frame.keys[key]
                message = (
                    f"`{key}` is given twice here: first at line {first.line}, column {first.column}, "
                    f"again at line {mark.line}, column {mark.column}"
                )
                self.defects.append(Defect("duplicate-key", (*frame.path, key), mark, message, "keep one of them"))
            else:
                frame.mapping[key] = node
                frame.keys[key] = mark

    def _merge(self, frame: _Frame, event: Any) -> None:
        children = frame.mapping
        for value, mark in frame.merges:
            for merged in value.children if isinstance(value.children, list) else [value]:
                if not isinstance(merged.children, dict) or children is None:
                    message = "`<<` merges mappings only: an alias, or a list of aliases"
                    self.defects.append(Defect("yaml-merge", frame.path, mark, message))
                    continue
                self._spend(len(merged.children), event)
                for key, node in merged.children.items():
                    if key not in children:
                        children[key] = node
                        frame.keys[key] = merged.keys[key]

    def _refuse_tag(self, tag: str, event: Any) -> None:
        message = (
            f"the tag `{tag.replace(_CORE, '!!')}` means nothing here: values are plain text, numbers, true, "
            "false, null, lists and mappings"
        )
        self.defects.append(Defect("yaml-tag", self._next_path(), _mark(event), message, "remove the tag"))


def _events(text: str, *, pure: bool) -> Iterator[Any]:
    try:
        import yaml
    except ImportError:
        raise ConfigError("reading monitors.yaml needs PyYAML, which this Python does not have: "
                          "python -m pip install pyyaml") from None  # fmt: skip
    loader = yaml.SafeLoader if pure else getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        yield from iter(loader(text).get_event, None)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Mark(mark.line + 1, mark.column + 1) if mark else NOWHERE
        raise _syntax(text, place, error.problem or error.context or "unreadable") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UnreadableDocument("yaml-syntax", f"this is not valid YAML: {error}") from None


def _too_deep(mark: Mark) -> UnreadableDocument:
    return UnreadableDocument("yaml-depth", f"values are nested more than {DEEPEST} deep", "", mark)


def _syntax(text: str, mark: Mark, problem: str) -> UnreadableDocument:
    if "nesting depth" in problem:  # libyaml has a bound of its own, and reads ahead of the events
        return _too_deep(mark)
    lines = text.splitlines()
    line = lines[mark.line - 1] if 0 < mark.line <= len(lines) else ""
    indentation = line[: len(line) - len(line.lstrip())]
    if "\t" in indentation:
        return UnreadableDocument(
            "yaml-tab", "a tab cannot indent YAML", "use spaces", Mark(mark.line, indentation.index("\t") + 1)
        )
    before = lines[mark.line - 2] if 1 < mark.line <= len(lines) + 1 else ""
    hint = ""
    if "mapping values are not allowed" in problem:
        hint = "quote a text that holds `: `, and indent keys of one mapping alike"
    elif "cannot start any token" in problem and line[mark.column - 1 : mark.column] in "@`%":
        hint = "quote a text that begins with this character"
    elif "\t" in before[:1] or any(what in problem for what in _UNEVEN):
        hint = "keys of one mapping are indented alike, with spaces"
    elif "undefined tag handle" in problem or "alias" in problem:
        hint = "quote a text that begins with `!`, `&` or `*`"
    if "did not find expected" in problem:
        hint = hints.for_yaml(line, mark.column) or hint
    return UnreadableDocument("yaml-syntax", f"this is not valid YAML: {problem}", hint, mark)


def _too_many(mark: Mark) -> UnreadableDocument:
    return UnreadableDocument(
        "yaml-size",
        f"the file holds more than {MOST_NODES} values once its aliases are followed",
        "split it up, or remove aliases that multiply",
        mark,
    )


def _mark(event: Any) -> Mark:
    mark = event.start_mark
    return Mark(mark.line + 1, mark.column + 1)
