"""What the pages of the documentation show: their commands, what these print, and what is needed to run them.

Commands stand in blocks of their own, as in a terminal:

    ```console
    $ python -m agent validate
    no problems in 1 file, 1 monitor checked
    ```

`…` stands for text that differs each time, and alone on a line for any number of lines. Nothing below a command: what it prints is
not shown. Comments before a block, which no reader sees, prepare it:

    <!-- file: sales/services.py -->   the block is this file
    <!-- before: python run.py -->     what has happened meanwhile; may be several lines
    <!-- exit: 1 -->                   the exit status that its last command has; else 0
    <!-- until: Listening|ready -->    its commands go on: each is ended when it has printed a match of this
    <!-- not run: REASON -->           its commands cannot be run here
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(
        ROOT / name
        for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "tests/README.md", "examples/erp/README.md")
    ),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
]

_COMMENT = re.compile(r"<!-- (file|before|exit|until|not run): (.*?)\s*-->", re.DOTALL)
_PROGRAMS = (
    "apt-get bwrap celery cat cd cp curl docker dramatiq erp-agent export frappe git grep gunicorn helm huey_consumer kubectl ls make odoo patch pip pip3 "
    "podman python python3 rq sudo systemctl terraform trytond tr uvicorn uwsgi"
).split()
_COMMAND = re.compile(r"(?:\$ .|(?:[A-Z_]+=(?:\$\([^)]*\)|\S)* +)*(?:%s) +\S)" % "|".join(_PROGRAMS))


@dataclass
class Block:
    """A block of code: its language ("" without one, "indented" without a fence), its text, and the comments before it."""

    line: int
    language: str
    text: str
    comments: dict[str, str] = field(default_factory=dict)

    def commands(self) -> list[tuple[str, str]]:
        """(command, what the page shows of its output), for a block `console`."""
        found: list[tuple[str, str]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], ""))
            elif found and not found[-1][1] and found[-1][0].endswith("\\"):
                found[-1] = (found[-1][0] + "\n" + line, "")
            elif found:
                found[-1] = (found[-1][0], found[-1][1] + line + "\n")
        return found

    def unmarked(self) -> list[str]:
        """Lines that look like commands and are not in a block `console`."""
        if self.language in ("console", "python", "yaml", "toml", "json"):
            return []
        return [line.strip() for line in self.text.splitlines() if _COMMAND.match(line.strip())]


def blocks(text: str) -> list[Block]:
    found: list[Block] = []
    fenced = r"^(?P<indent> *)```(?P<language>\w*).*\n(?P<fenced>(?:.*\n)*?) *```$"
    indented = r"(?P<indented>(?:^(?: {4}(?! *(?:```|<!--)).*)?\n)+)"
    comments: dict[str, str] = {}
    for match in re.finditer(rf"^ *<!--[\s\S]*?-->|{fenced}|{indented}|^.*\n", text, re.MULTILINE):
        line = text.count("\n", 0, match.start()) + 1
        comment = _COMMENT.fullmatch(match[0].strip())
        if comment:
            comments[comment[1]] = textwrap.dedent(comment[2])
        elif match["fenced"] is not None:
            found.append(Block(line, match["language"], textwrap.dedent(match["fenced"]), comments))
            comments = {}
        elif match["indented"] and match["indented"].strip():
            found.append(Block(line, "indented", textwrap.dedent(match["indented"]), comments))
            comments = {}
    return found


#: What differs from run to run: times, ids, process ids, durations, sizes, the Python.
_VARIES = [
    (r"─+", "─+"),
    (r"\d{4}-\d\d-\d\d", r"\\d{4}-\\d\\d-\\d\\d"),
    (r"\d\d:\d\d(?::\d\d)?", r"\\d\\d:\\d\\d(?::\\d\\d)?"),
    (r"\b(?=[0-9a-f]*\d)[0-9a-f]{6,40}\b", r"[0-9a-f]{6,40}"),
    (r"\bpid \d+", r"pid \\d+"),
    (r"\+?\d+(?:\.\d+)? ?(?:µs|us|ms|s)\b", r"\\+?[\\d.]+ ?(?:µs|us|ms|s)"),
    (r"\d+(?:\.\d+)? ?(?:kB|KB|MB|bytes)\b", r"[\\d.]+ ?(?:kB|KB|MB|bytes)"),
    (r"\b3\.\d\d?(?:\.\d+)?\b", r"3\\.\\d+(?:\\.\\d+)?"),
]


def matches(shown: str, printed: str) -> bool:
    """Whether a command printed what the page shows; times, ids, durations and widths of columns may differ."""
    pattern = ""
    for line in shown.splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
            continue
        pattern += r"[ \t]*" + _of_line(line.strip()) + r"[ \t]*\n"
    return re.fullmatch(pattern + r"\s*", re.sub(r"\n*\Z", "\n", printed)) is not None


def _of_line(line: str) -> str:
    whole = "|".join(f"(?P<v{number}>{what})" for number, (what, _) in enumerate(_VARIES))
    pattern = ""
    for part in re.finditer(rf"{whole}|(?P<any>…)|(?P<space>\s+)|(?P<text>.)", line):
        kind = part.lastgroup or ""
        if kind.startswith("v"):
            pattern += _VARIES[int(kind[1:])][1].replace("\\\\", "\\")
        else:
            pattern += {"any": ".*?", "space": r"\s+"}.get(kind) or re.escape(part[0])
    return pattern
