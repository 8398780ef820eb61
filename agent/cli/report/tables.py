"""Tables of the page: a caption, a heading for each column that leads to its definition, and numbers that align."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Union

from . import words
from .markup import Markup, tag


class Cell(NamedTuple):
    """A cell with the number by which a table is sorted."""

    shown: str
    value: float
    class_: str = ""


Row = list[Union[Cell, str]]


def term(slug: str, text: str) -> Markup:
    """A word with its definition, which the page shows when it is pointed at or focused."""
    return tag("a", text, href=f"#term-{slug}", class_="term")


def number(value: float) -> Cell:
    return Cell(words.number(value), value, "" if value else "none")


def duration(seconds: float | None) -> Cell:
    return Cell(words.duration(seconds), -1.0 if seconds is None else seconds, "none" if seconds is None else "")


def percent(part: float, whole: float, many: float | None = None) -> Cell:
    """A share, which is marked if it is at least `many`."""
    bad = many is not None and part >= many * whole > 0
    return Cell(words.percent(part, whole), part / whole if whole else -1.0, "bad" if bad else "" if part else "none")


def moment(stamp: float | None, now: float) -> Cell:
    """How long ago, with the moment itself."""
    if not stamp:
        return Cell("–", 0.0, "none")
    return Cell(ago(stamp, now), stamp)


def ago(stamp: float, now: float, class_: str | None = None) -> Markup:
    return tag("time", words.ago(now - stamp), datetime=words.machine(stamp), title=words.local(stamp), class_=class_)


def table(caption: str, columns: Sequence[str], rows: list[Row], *, name: str = "", note: str = "") -> Markup:
    """The first cell of a row is its heading. Columns are aligned right where the first row has a Cell.

    With a `name`, which must be unique on the page, it can be sorted by each column.
    """
    right = [isinstance(each, Cell) for each in rows[0]] if rows else [False] * len(columns)
    head = [tag("th", text, scope="col", class_="n" if at_right else None) for text, at_right in zip(columns, right)]
    body = [tag("tr", tag("th", _shown(row[0]), scope="row"), [_cell(each) for each in row[1:]]) for row in rows]
    made = tag(
        "table", tag("caption", caption, tag("span", note, class_="note") if note else None),
        tag("thead", tag("tr", head)), tag("tbody", body), data_sorted=name or None,
    )  # fmt: skip
    return tag("div", made, class_="scroll", role="group", tabindex="0", aria_label=caption)


def _shown(value: Cell | str) -> str:
    return value.shown if isinstance(value, Cell) else value


def _cell(value: Cell | str) -> Markup:
    if isinstance(value, Cell):
        return tag("td", value.shown, class_=f"n {value.class_}".strip(), data_v=f"{value.value:.10g}")
    return tag("td", value)


def nothing(text: str) -> Markup:
    """A sentence where a table would be empty."""
    return tag("p", text, class_="nothing")
