"""Rows under a header that names a private column: `name,password`, and below it `anna,X`; CSV, or a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .names import SCRUBBED, is_secret, sounds_private
from .patterns import Patterns
from .quoting import with_replaced

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_patterns = Patterns(
    line=r"\r?\n|\\r\\n|\\n",
    name=r"[\"'|\s]{0,40}([\w.-]{1,60}(?: [\w.-]{1,40}){0,2})[\"'|\s]{0,40}",
    name_at_end=r"[\w.-]{1,60}[\"'\s]{0,10}\Z",
    ruler=r"[-+=|:\s]{3,2000}",
    **{
        name: rf"(?:\s{{0,200}}\"(?:[^\"]|\"\"){{0,2000}}\"[^{sign}]{{0,200}}|[^{sign}]{{0,4000}})(?:{sign}|\Z)"
        for name, sign in (("comma", ","), ("semicolon", ";"), ("tab", r"\t"), ("bar", r"\|"))
    },
)
_LONGEST = 4_000  # characters of a header
_SIGNS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


def private_columns(header: Sequence[object]) -> list[int]:
    """The numbers of the columns whose names are private; none where not all are names."""
    if not all(type(each) is str and (not each.strip() or _patterns.name.fullmatch(each)) for each in header):
        return []
    return [number for number, each in enumerate(header) if is_secret(str(each).strip(" \"'|\r"))]


def without_columns(text: str) -> str:
    return with_replaced(text, _private_fields(text), SCRUBBED)


def _private_fields(text: str) -> Iterator[tuple[int, int]]:
    columns: list[int] = []
    sign = ""
    size = 0
    for start, end in _lines(text):
        line = text[start:end]
        if columns and _patterns.ruler.fullmatch(line):
            continue
        spans = _fields(line, sign) if columns else []
        if columns and len(spans) == size:
            for number in columns:
                first, last = spans[number]
                held = line[first:last].strip()
                if len(held) > 1 and held[0] in "\"'" and held[-1] == held[0]:
                    held = held[1:-1]
                if held and held != SCRUBBED:
                    at = start + first + line[first:last].index(held)
                    yield at, at + len(held)
            continue
        columns = []
        if end - start > _LONGEST or not sounds_private(line):
            continue
        for each in _SIGNS:
            if each in line:
                lead, *others = line.split(each)
                named = _patterns.name_at_end.search(
                    lead, max(0, len(lead) - 100)
                )  # what stands before it is no column
                columns = private_columns([named.group() if named is not None else lead, *others])
                if columns:
                    sign, size = each, len(_fields(line, each))
                    break


def _lines(text: str) -> list[tuple[int, int]]:
    spans = []
    start = 0
    for found in _patterns.line.finditer(text):
        spans.append((start, found.start()))
        start = found.end()
    return [*spans, (start, len(text))]


def _fields(line: str, sign: str) -> list[tuple[int, int]]:
    """The places of the fields of a row, without the signs between them; a sign in quotes parts nothing."""
    spans: list[tuple[int, int]] = []
    for found in getattr(_patterns, _SIGNS[sign]).finditer(line):
        closed = found.group().endswith(sign)
        spans.append((found.start(), found.end() - closed))
        if not closed:
            break
    return spans
