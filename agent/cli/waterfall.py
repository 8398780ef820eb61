"""A trace for a person to read: its spans as they ran inside each other, equal ones once with their number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ..deliver.history.facts import section
from .status.numbers import duration
from .terminal import counted, one_line, prints_unicode, styled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

_FEW = 3  # equal spans inside the same other one, from which on they are shown as one
_MOST = 40  # rows: those that took longest, and what they are inside of
_WIDTH = 20  # characters of a bar
_COLUMNS = re.compile(r"\b(SELECT (?:DISTINCT )?)(?:(?!SELECT ).){40,}?( FROM )")


class Row(NamedTuple):
    """A span, or several equal ones inside the same other one. Times in seconds, from the beginning of the trace."""

    depth: int  # from 0
    start: float
    end: float
    lasted: float  # all of them together
    text: str
    times: int
    failed: bool
    place: str  # where a slow statement was called from, or ""


class Waterfall(NamedTuple):
    lasted: float  # seconds
    spans: int
    kept: str  # why: "sample", "slow", "failed", or "" where it does not state that
    rows: list[Row]
    left_out: int  # rows that are not among `rows`
    shorter: float  # seconds that the longest of those took


def waterfall(event: dict[str, Any]) -> Waterfall:
    """What a transaction's spans are. Anything may be in them: the file may be of another version."""
    began = _number(event, "start_timestamp")
    rows: list[Row] = []
    above: list[int] = []  # for each row, the one that it is inside of; -1: none
    inside = _by_parent(event)
    waiting = [(span, equal, 0, -1) for span, equal in _once(inside.pop("", []), inside)]
    while waiting:  # spans may be thousands deep
        span, equal, depth, parent = waiting.pop()
        above.append(parent)
        rows.append(_row(span, equal, depth, began))
        children = inside.pop(str(span.get("span_id")), [])
        waiting += [(child, times, depth + 1, len(rows) - 1) for child, times in _once(children, inside)]
    shown: set[int] = set()
    for index in sorted(range(len(rows)), key=lambda each: -rows[each].lasted):
        with_its_parents, at = {index}, index
        while above[at] >= 0 and above[at] not in shown:
            at = above[at]
            with_its_parents.add(at)
        if len(shown) + len(with_its_parents) <= _MOST:
            shown |= with_its_parents
    data = section(event, "contexts", "trace", "data")
    return Waterfall(
        lasted=max(0.0, _number(event, "timestamp") - began),
        spans=sum(row.times for row in rows),
        kept=str(data.get("erp.kept") or ""),
        rows=[rows[index] for index in sorted(shown)],
        left_out=len(rows) - len(shown),
        shorter=max((row.lasted for index, row in enumerate(rows) if index not in shown), default=0.0),
    )


def headline(found: Waterfall) -> str:
    why = {"slow": ", kept as it was slow", "failed": ", kept as it failed", "sample": ", sampled"}.get(found.kept, "")
    return f"{counted(found.spans, 'span')} in {duration(found.lasted)}{why}"


def rest(found: Waterfall) -> str:
    """The line about what is not shown; "" where all is."""
    if not found.left_out:
        return ""
    return f"and {counted(found.left_out, 'shorter one')}, none longer than {duration(found.shorter)}"


def shown(row: Row) -> str:
    """What it was: a statement without the long list of what it selects, of which nobody sees the end."""
    return _COLUMNS.sub(r"\1…\2", row.text)


def lines(found: Waterfall) -> Iterator[Text]:
    """Yield the rows as lines; on a terminal each is cut at its width."""
    whole = max(found.lasted, max((row.end for row in found.rows), default=0.0)) or 1.0
    full, light = ("█", "▒") if prints_unicode() else ("#", "-")
    for row in found.rows:
        left = min(_WIDTH - 1, int(_WIDTH * max(row.start, 0.0) / whole))
        right = min(_WIDTH, max(left + 1, round(_WIDTH * row.end / whole)))
        bar = (" " * left + (full if row.times == 1 else light) * (right - left)).ljust(_WIDTH)
        times = f"{row.times:,} × " if row.times > 1 else ""
        failed = ("failed: ", "bold red") if row.failed else ""
        place = (f"  {row.place}", "dim") if row.place else ""
        line = styled(
            "%11s  " % duration(row.lasted), (bar, "cyan"), "  " + "  " * row.depth, failed,
            times + one_line(shown(row)), place,
        )  # fmt: skip
        line.no_wrap, line.overflow = True, "ellipsis"
        yield line
    if found.left_out:
        yield styled((" " * 13 + rest(found), "dim"))


def _by_parent(event: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The spans by the id of what they are inside of; "": the trace itself, or nothing that is here."""
    given = event.get("spans")
    spans = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    known = {str(each.get("span_id")) for each in spans}
    found: dict[str, list[dict[str, Any]]] = {}
    for span in sorted(spans, key=lambda each: _number(each, "start_timestamp")):
        parent = str(span.get("parent_span_id"))
        found.setdefault(parent if parent in known else "", []).append(span)
    return found


def _once(
    spans: list[dict[str, Any]], inside: dict[str, list[dict[str, Any]]]
) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The spans, the last one first, each with those equal to it: at least a few, and nothing ran inside of them."""
    equal: dict[str, list[dict[str, Any]]] = {}
    for span in spans:
        if str(span.get("span_id")) not in inside:
            equal.setdefault(_text(span), []).append(span)
    found: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    for span in spans:
        others = equal.get(_text(span), []) if str(span.get("span_id")) not in inside else []
        if len(others) < _FEW:
            found.append((span, [span]))
        elif others[0] is span:
            found.append((span, others))
    return found[::-1]


def _row(span: dict[str, Any], equal: list[dict[str, Any]], depth: int, began: float) -> Row:
    lasted, times = 0.0, 0
    for each in equal:
        data = section(each, "data")
        folded = data.get("erp.folded")  # what the recorder made one of
        times += folded if isinstance(folded, int) else 1
        took = _number(each, "timestamp") - _number(each, "start_timestamp")
        lasted += max(0.0, _number(data, "erp.seconds") if folded else took)
    return Row(
        depth=depth,
        start=_number(span, "start_timestamp") - began,
        end=max(_number(each, "timestamp") for each in equal) - began,
        lasted=lasted,
        text=_text(span),
        times=times,
        failed=any(each.get("status") not in (None, "ok") for each in equal),
        place=next(filter(None, map(_place, equal)), ""),
    )


def _text(span: dict[str, Any]) -> str:
    """`db SELECT …`; of a folded one without the number that its description ends with."""
    text = str(span.get("description") or "")
    if section(span, "data").get("erp.folded"):
        text = text.rpartition(" (")[0]
    return f"{span.get('op') or ''} {text}".strip()


def _place(span: dict[str, Any]) -> str:
    data = section(span, "data")
    line, file = data.get("code.lineno"), data.get("code.filepath")
    return f"{file}:{line} in {data.get('code.function')}" if isinstance(line, int) and file else ""


def _number(holder: dict[str, Any], name: str) -> float:
    value = holder.get(name)
    return float(value) if isinstance(value, (int, float)) and abs(value) < 1e12 else 0.0
