"""Monitors that were compiled before: of a large file of which one line changed, only that monitor is read again.

A file is cut into its monitors at the lines that begin one (`  - …`, all indented alike). In the text that is parsed,
each monitor that is known is replaced by `- ~`, on the same line; so the parser itself shows whether the cut was right:
every monitor has to begin on its line, and be nothing where it was left out. In all other cases, and if anything is
wrong with the configuration, the file is compiled as a whole.

What a monitor becomes depends on its own text and on everything else that counts: the rest of the file, the other
files, the environment variables, this release. If one of these has changed, nothing is known.
"""

from __future__ import annotations

import marshal
import re
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ...base import places
from .. import kept
from .shipped import schema_path
from .tree import MOST_NODES

if TYPE_CHECKING:
    from ...base.model import MonitorData
    from ..build.merge import WrittenMonitor
    from .node import Node
    from .sources import Sources

FEWEST = 500  # of monitors, for which it is worth a file
MOST_NEW = 0.02  # of all monitors, before what is kept is written again

_LIST = re.compile(r"^monitors:[ ]*\n(?:[ ]*(?:#[^\n]*)?\n)*(?P<indent>[ ]*)- ", re.MULTILINE)
_END = re.compile(r"^(?=[^ #\n-])", re.MULTILINE)
_ANCHOR = re.compile(r"(?:^|[\s\[{,:-])&\S")  # which may be meant elsewhere
_LINE_BREAKS = "\r\x85\u2028\u2029"  # lines are counted by another kind
_BEGINS = re.compile(r"[A-Za-z_\"'{]")  # of a monitor, whose place is there
#: What is looked at in a monitor after it was built.
_LOOKED_AT = ("name", "target", "targets", "enabled", "environments", "requires", "exclude", "quiet_inside")


class Pieces(NamedTuple):
    """A text, cut."""

    around: tuple[str, str]  # all that is not a monitor
    lines: list[int]  # where each monitor begins
    texts: list[str]


def cut(text: str) -> Pieces | None:
    """None where it has few monitors, or does not have each on lines of its own."""
    found = _LIST.search(text)
    if found is None or any(each in text for each in _LINE_BREAKS) or ("&" in text and _ANCHOR.search(text)):
        return None
    indent = found.group("indent")
    begin = found.end() - len(indent) - 2
    end = _END.search(text, found.end())
    stop = end.start() if end else len(text)
    head = f"{indent}- "
    texts = [f"{head}{piece}\n" for piece in text[begin + len(head) : stop].split(f"\n{head}")]
    texts[-1] = texts[-1][:-1]
    if len(texts) < FEWEST or not texts[-1].endswith("\n"):
        return None
    lines, line = [], text.count("\n", 0, begin) + 1
    for piece in texts:
        if not _BEGINS.match(piece, len(indent) + 2):
            return None
        lines.append(line)
        line += piece.count("\n")
    return Pieces((text[:begin], text[stop:]), lines, texts)


class Memory:
    """What is known from earlier compilations, in a file of the state folder; and what is new."""

    def __init__(self, state: str) -> None:
        self.file = places.plan_file(state, "monitors")
        self.known: dict[str, Any] = {}
        self.files: dict[str, Pieces] = {}
        self.forget()
        before = kept.read(self.file)
        if before is not None:
            self.key, self.size, self.known = before

    def forget(self) -> None:
        self.key, self.size = b"", 0  # of what it is known for: all but the monitors, and the nodes at most
        self.known, self.files = {}, {}
        self.nodes = 0  # of what was read
        self.reuses = False

    def shortened(self, file: str, text: str) -> str:
        """The text to parse in place of that of a file."""
        pieces = cut(text)
        if pieces is None:
            return text
        self.files[file] = pieces
        texts = [_left_out(piece) if piece in self.known else piece for piece in pieces.texts]
        return "".join([pieces.around[0], *texts, pieces.around[1]])

    def put_back(self, file: str, root: Node, value: dict[str, Any]) -> None:
        """Fill in the values that were left out. Raises CutWrongly."""
        self.nodes += root.size
        pieces = self.files.get(file)
        if pieces is None:
            return
        monitors = root.children.get("monitors") if isinstance(root.children, dict) else None
        nodes = monitors.children if monitors is not None else None
        if not isinstance(nodes, list) or [node.line for node in nodes] != pieces.lines:
            del self.files[file]
            if any(piece in self.known for piece in pieces.texts):
                raise CutWrongly
            return
        values = value["monitors"]
        for at, piece in enumerate(pieces.texts):
            if piece in self.known:
                if nodes[at].text != "~":
                    raise CutWrongly
                values[at] = self.known[piece][0]
                self.reuses = True

    def fits(self, sources: Sources) -> bool:
        """Whether what was read with it may be used. `keep` needs it too."""
        key = self._key(sources)
        right = key == self.key and self.size + self.nodes <= MOST_NODES
        self.key = key
        return right or not self.reuses

    def _key(self, sources: Sources) -> bytes:
        """Of all that the monitors of these sources depend on, besides their own text."""
        rest = [self.files[each.file].around if each.file in self.files else each.text
                for each in (*sources.documents, *sources.packs)]  # fmt: skip
        code = kept.code_of("base", "config", "language"), places.stamp(schema_path())
        return marshal.dumps((code, rest, sorted(sources.read.items())), 2)

    def monitor(self, entry: WrittenMonitor) -> MonitorData | None:
        """What is known of it."""
        pieces = self.files.get(entry.document.file) if not entry.pack else None
        if pieces is None:
            return None
        at = entry.placed.path[1]
        assert isinstance(at, int)
        known = self.known.get(pieces.texts[at])
        if known is None:
            return None
        return cast("MonitorData", {**known[1], "where": f"{entry.document.shown}:{pieces.lines[at]}"})

    def keep(self, built: list[tuple[WrittenMonitor, MonitorData | None]]) -> None:
        """What is new, for the next time; nothing is wrong with these, and nobody has changed them yet."""
        made: dict[str, Any] = {}
        new = 0
        for entry, monitor in built:
            pieces = self.files.get(entry.document.file) if not entry.pack else None
            if pieces is None or monitor is None:
                continue
            piece = pieces.texts[entry.placed.path[1]]  # type: ignore[index]
            if "$" in piece:
                continue  # what it means depends on more than the variables that are read
            new += piece not in self.known
            value = entry.value
            made[piece] = ({key: value[key] for key in _LOOKED_AT if key in value}, monitor)
        if new > len(made) * MOST_NEW:
            size = self.nodes + self.size * self.reuses  # at most
            kept.write(self.file, (self.key, size, made), make_folder=True)


class CutWrongly(Exception):
    """The parser sees other monitors than `cut`."""


def _left_out(piece: str) -> str:
    return piece[: piece.index("-")] + "- ~\n" + "#\n" * (piece.count("\n") - 1)
