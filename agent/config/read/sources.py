"""The files that one configuration is made of: the main file, what it includes, and the packs it names.

An include that cannot be read is an error of the whole: to go on without it would silently monitor less than before.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from typing import NamedTuple

from ...language.nearest import did_you_mean, listed
from ..build.packs import mentions
from ..findings import Findings
from .document import Document, Placed
from .interpolation import interpolate
from .node import Defect, Mark, Node, UnreadableDocument
from .pieces import Memory
from .shipped import pack_names, pack_path
from .text import read_text
from .tree import parse

MOST_FILES = 1000


class Sources(NamedTuple):
    main: Document | None
    documents: list[Document]  # the main file and its includes, in the order in which they are merged
    packs: list[Document]
    read: dict[str, str | None]  # environment variables
    complete: bool  # every file could be read


def read_sources(path: str, environ: Mapping[str, str], findings: Findings, memory: Memory | None = None) -> Sources:
    """Raises CutWrongly where `memory` cannot be used."""
    reader = _Reader(path, environ, findings, memory)
    main = reader.read(path, os.path.basename(path))
    if main is None:
        return Sources(None, [], [], reader.variables, complete=False)
    reader.follow(main, (os.path.realpath(path),))
    return Sources(main, reader.documents, reader.packs(), reader.variables, complete=reader.complete)


def make_document(
    file: str, shown: str, text: str, root: Node | None, environ: Mapping[str, str], variables: dict[str, str | None]
) -> tuple[Document, list[Defect]]:
    """Raises UnreadableDocument where the tree is no mapping."""
    if root is None or (root.text is not None and root.value is None):
        raise UnreadableDocument("yaml-empty", "the file is empty", "write `version: 1` at the top")
    if not isinstance(root.children, dict):
        what = "a list" if isinstance(root.children, list) else "a single text"
        raise UnreadableDocument(
            "yaml-root",
            f"the file holds {what}, where keys such as `version` and `monitors` are expected",
            "put the list under `monitors:`" if what == "a list" else "",
            Mark(root.line, root.column),
        )
    value, read, defects = interpolate(root, environ)
    variables.update(read)
    return Document(file, shown, text, root, value), defects


class _Reader:
    def __init__(self, path: str, environ: Mapping[str, str], findings: Findings, memory: Memory | None) -> None:
        self.memory = memory
        self.folder = os.path.dirname(os.path.abspath(path))
        self.environ = environ
        self.findings = findings
        self.documents: list[Document] = []
        self.variables: dict[str, str | None] = {}
        self.complete = True
        self.seen: set[str] = set()

    def read(self, file: str, shown: str) -> Document | None:
        defects: list[Defect] = []
        try:
            text, defects = read_text(file)
            root, found = parse(self.memory.shortened(file, text) if self.memory is not None else text)
            document, missing = make_document(file, shown, text, root, self.environ, self.variables)
            if self.memory is not None:
                self.memory.put_back(file, document.root, document.value)
        except UnreadableDocument as unreadable:
            for defect in (*defects, unreadable.defect):
                self.findings.add_file(file, defect)
            return None
        for defect in (*defects, *found, *missing):
            self.findings.add_defect(document, defect)
        return document

    def follow(self, document: Document, trail: tuple[str, ...]) -> None:
        """Adds the document, then what it includes, depth first. `trail` holds the files being included."""
        self.seen.add(trail[-1])
        self.documents.append(document)
        for pattern in document.at("include").items():
            if isinstance(pattern.value, str) and pattern.value:
                self.include(pattern, trail)

    def include(self, pattern: Placed, trail: tuple[str, ...]) -> None:
        base = os.path.dirname(pattern.document.file)
        matches = _matches(os.path.join(base, os.path.expanduser(pattern.value)))
        if not matches:
            message, hint = f"no file matches `{pattern.value}`", f"it is looked for in {base or os.curdir}"
            if glob.has_magic(pattern.value):
                self.findings.add(pattern, "include-empty", message, hint, severity="warning")
            else:
                self.fail(pattern, "include-missing", message, hint)
        for file in matches:
            real = os.path.realpath(file)
            if real in trail:
                names = " → ".join(os.path.basename(step) for step in (*trail[trail.index(real) :], real))
                message = f"the file includes itself: {names}"
                self.fail(pattern, "include-cycle", message, "remove it from `include`")
            elif real not in self.seen:
                if len(self.seen) >= MOST_FILES:
                    self.fail(pattern, "include-many", f"more than {MOST_FILES} files are included")
                    return
                self.seen.add(real)
                included = self.read(file, os.path.relpath(os.path.abspath(file), self.folder))
                if included is None:
                    self.complete = False
                else:
                    self.follow(included, (*trail, real))

    def fail(self, pattern: Placed, slug: str, message: str, hint: str = "") -> None:
        self.complete = False
        self.findings.add(pattern, slug, message, hint)

    def packs(self) -> list[Document]:
        packs: dict[str, Document] = {}
        for document in self.documents:
            for mention in mentions(document):
                name = mention.name
                if name in packs:
                    continue
                if name not in pack_names():
                    hint = did_you_mean(name, pack_names(), f"there are {listed(pack_names())}")
                    message = f"there is no pack `{name[:100]}`"
                    self.findings.add(mention.placed, "unknown-pack", message, hint, of_key=True)
                    continue
                pack = self.read(pack_path(name), f"packs/{name}.yaml")
                if pack is not None:
                    packs[name] = pack
        return list(packs.values())


def _matches(wanted: str) -> list[str]:
    try:
        return sorted(file for file in glob.glob(wanted, recursive=True) if os.path.isfile(file))
    except (ValueError, OSError, RecursionError):
        return []
