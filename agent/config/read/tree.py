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
from collections.abc import Iterator
from typing import Any

from ...base.errors import ConfigError
from ...base.model import Json
from ...language import hints
from .node import NOWHERE, Collection, Defect, Key, Mark, Node, Scalar, UnreadableDocument, of_yaml

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

    __slots__ = ("anchor", "items", "key", "mapping", "mark", "merges", "node", "plain")

    def __init__(self, node: Collection, anchor: str | None) -> None:
        self.node = node
        self.mapping = node.children if node.children.__class__ is dict else None
        self.items = node.children if node.children.__class__ is list else None
        self.plain: Any = node.value
        self.anchor = anchor
        self.key: str | None = None
        self.mark: Any = None  # of the key
        self.merges: list[tuple[Node, Any]] = []


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
        self.aliases = "&" in text  # then what a collection counts for depends on what it refers to
        self.simple = not self.aliases and "$" not in text and "<<" not in text

    def compose(self) -> tuple[Node | None, list[Defect]]:
        yaml = _yaml()
        loader = yaml.SafeLoader if self.pure else getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            self._compose(yaml, iter(loader(self.text).get_event, None))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Mark(mark.line + 1, mark.column + 1) if mark else NOWHERE
            raise _syntax(self.text, place, error.problem or error.context or "unreadable") from None
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise UnreadableDocument("yaml-syntax", f"this is not valid YAML: {error}") from None
        if isinstance(self.root, Collection) and not self.simple:
            self.root.value = None
        if isinstance(self.root, Collection) and not self.aliases:
            self.root.size = self.count
        return self.root, self.defects

    def _compose(self, yaml: Any, events: Iterator[Any]) -> None:
        documents = 0
        scalar = yaml.ScalarEvent
        meanings: dict[str, Json] = dict(_WORDS)
        frame: _Frame | None = None
        for event in events:
            kind = event.__class__
            if kind is scalar:
                self.count += 1
                if frame is None or event.tag is not None or event.anchor is not None:
                    self._add(self._scalar(event), event)
                elif frame.key is None and frame.mapping is not None:
                    frame.key = event.value if event.value != "<<" or not event.style else "<<\0"
                    frame.mark = event.start_mark
                else:
                    self.count += 1
                    text = value = event.value
                    plain = not event.style
                    if plain:
                        if text not in meanings:
                            meanings[text] = resolve_scalar(text)
                        value = meanings[text]
                    node = Scalar(event.start_mark, text, value, plain)
                    key, mapping = frame.key, frame.mapping
                    if mapping is None:
                        frame.items.append(node)  # type: ignore[union-attr]
                        frame.plain.append(value)
                    elif key in mapping or key == "<<":
                        self._put(frame, node)
                    else:
                        mapping[key] = node  # type: ignore[index]
                        frame.plain[key] = value
                        frame.node.keys[key] = frame.mark  # type: ignore[index]
                        frame.key = None
                if self.count > MOST_NODES:
                    raise _too_many(_mark(event))
                continue
            if kind is yaml.MappingStartEvent:
                self._start(event, {}, {})
            elif kind is yaml.SequenceStartEvent:
                self._start(event, [], [])
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._end(event)
            elif kind is yaml.AliasEvent:
                self._add(self._alias(event), event)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    message = "the file holds more than one YAML document"
                    hint = "remove the `---` that starts the second one"
                    raise UnreadableDocument("yaml-documents", message, hint, _mark(event))
            frame = self.open[-1] if self.open else None

    def _path(self, last: str | None = None) -> tuple[Key, ...]:
        """Of the value that comes next; with `last`, of a key of the collection that is being read."""
        frames = self.open if last is None else self.open[:-1]
        steps = [len(frame.items) if frame.items is not None else frame.key for frame in frames]
        return tuple([step for step in (*steps, last) if step is not None])

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
        node = Scalar(mark, text, value, plain)
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

    def _start(self, event: Any, children: Any, plain: Any) -> None:
        above = self.open[-1] if self.open else None
        self._spend(1, event)
        if len(self.open) >= DEEPEST:
            raise _too_deep(_mark(event))
        if event.tag not in (None, "!", _CORE + ("map" if isinstance(children, dict) else "seq")):
            self._refuse_tag(event.tag, event)
        if above is not None and above.mapping is not None and above.key is None:
            raise UnreadableDocument("yaml-key", "a key must be plain text", "", _mark(event))
        self.anchors.pop(event.anchor, None)
        self.open.append(_Frame(Collection(event.start_mark, children, plain), event.anchor))

    def _end(self, event: Any) -> None:
        frame = self.open.pop()
        node = frame.node
        if frame.merges:
            self._merge(frame, event)
        if self.aliases:
            node.size = 1 + sum([child.size for child in frame.items or (frame.mapping or {}).values()])
            if node.size > MOST_NODES:
                raise _too_many(Mark(node.line, node.column))
            if frame.anchor:
                self.anchors[frame.anchor] = node
        if self.open and self.open[-1].key == "tags":
            self.simple = False  # numbers there are text
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
            frame.key = node.text if node.text != "<<" or node.plain else "<<\0"
            frame.mark = event.start_mark
            return
        self._spend(1, event)
        if frame.items is not None:
            frame.items.append(node)
            frame.plain.append(node.value)
        else:
            self._put(frame, node)

    def _put(self, frame: _Frame, node: Node) -> None:
        """Give the pending key its value."""
        key, frame.key = frame.key, None
        assert key is not None
        assert frame.mapping is not None
        if key == "<<":
            frame.merges.append((node, frame.mark))
        elif key in frame.mapping:
            first, again = of_yaml(frame.node.keys[key]), of_yaml(frame.mark)
            message = (
                f"`{key}` is given twice here: first at line {first.line}, column {first.column}, "
                f"again at line {again.line}, column {again.column}"
            )
            self.defects.append(Defect("duplicate-key", self._path(key), again, message, "keep one of them"))
        else:
            frame.mapping[key] = node
            frame.plain[key] = node.value
            frame.node.keys[key] = frame.mark

    def _merge(self, frame: _Frame, event: Any) -> None:
        children = frame.mapping
        for value, mark in frame.merges:
            for merged in value.children if isinstance(value.children, list) else [value]:
                if not isinstance(merged.children, dict) or children is None:
                    message = "`<<` merges mappings only: an alias, or a list of aliases"
                    self.defects.append(Defect("yaml-merge", self._path(), of_yaml(mark), message))
                    continue
                self._spend(len(merged.children), event)
                for key, node in merged.children.items():
                    if key not in children:
                        children[key] = node
                        frame.node.keys[key] = merged.keys[key]

    def _refuse_tag(self, tag: str, event: Any) -> None:
        message = (
            f"the tag `{tag.replace(_CORE, '!!')}` means nothing here: values are plain text, numbers, true, "
            "false, null, lists and mappings"
        )
        self.defects.append(Defect("yaml-tag", self._path(), _mark(event), message, "remove the tag"))


def _yaml() -> Any:
    try:
        import yaml
    except ImportError:
        raise ConfigError(
            "reading monitors.yaml needs PyYAML, which this Python does not have: python -m pip install pyyaml, "
            "or name one that has it in AGENT_PYTHON"
        ) from None
    return yaml


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
    return of_yaml(event.start_mark)
