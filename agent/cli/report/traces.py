"""Kept traces of the period: the longest of each name, with what ran inside as bars on one scale of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..terminal import counted
from ..waterfall import Waterfall, headline, rest, shown, waterfall
from . import words
from .charts import span
from .markup import Markup, joined, tag
from .tables import ago, nothing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...deliver.history.events import LocalEvent
    from ..waterfall import Row
    from .gather import Report

_OPENED = 300  # traces that are read: the newest, those that were slow or have failed before others
_SHOWN = 10


class Kept(NamedTuple):
    event: LocalEvent
    spans: Waterfall


class Traces:
    """`kept` is the longest one of each name, the longest first; `all` the number of traces of the period."""

    def __init__(self, events: Iterable[LocalEvent]) -> None:
        found = sorted(events, key=lambda event: (event.facts.title.endswith("sampled"), -event.at))
        self.all = len(found)
        longest: dict[str, Kept] = {}
        for event in found[:_OPENED]:
            data = event.data()
            if data is not None:
                kept = Kept(event, waterfall(data))
                name = event.facts.operation
                longest[name] = max(longest.get(name, kept), kept, key=lambda it: it.spans.lasted)
        self.kept = sorted(longest.values(), key=lambda it: -it.spans.lasted)


def traces(report: Report) -> Markup:
    found = report.traces
    if not found.kept:
        return nothing("No trace of this period is on this host.")
    note = f"{counted(found.all, 'trace')} on this host; the longest of each request, task or command"
    left = f", the first {_SHOWN} of {len(found.kept)}" if len(found.kept) > _SHOWN else ""
    return joined(
        tag("p", note, left, ". Open one for what ran inside.", class_="note"),
        tag("div", [_trace(each, report) for each in found.kept[:_SHOWN]], class_="issues traces"),
    )


def _trace(kept: Kept, report: Report) -> Markup:
    event, spans = kept
    why = {"slow": "slow", "failed": "errors"}.get(spans.kept, "")
    summary = tag(
        "summary",
        tag("span", words.duration(spans.lasted), class_="n times"),
        tag("span", tag("span", event.facts.operation, class_="what"), class_="headline"),
        tag("span", {"slow": "slow", "failed": "failed"}.get(spans.kept, "sampled"), class_=f"badge {why}".strip()),
        tag("span", counted(spans.spans, "span"), class_="n"),
        ago(event.at, report.made, "n"),
    )
    command = tag("code", f"python -m agent events {event.id[:8]}")
    whole = max([spans.lasted, *(row.end for row in spans.rows)]) or 1.0
    body = tag(
        "table",
        tag("caption", headline(spans), tag("span", command, class_="note")),
        tag("thead", tag("tr", [tag("th", each, scope="col", class_=name) for each, name in _COLUMNS])),
        tag("tbody", [_row(row, whole) for row in spans.rows]),
        class_="waterfall",
    )
    left = tag("p", rest(spans), ".", class_="note") if spans.left_out else None
    scroll = tag("div", body, class_="scroll", role="group", tabindex="0", aria_label=headline(spans))
    return tag("details", summary, scroll, left)


_COLUMNS = (("took", "n"), ("when", None), ("what", None))


def _row(row: Row, whole: float) -> Markup:
    times = tag("b", f"{row.times:,} × ") if row.times > 1 else None
    failed = tag("span", "failed ", class_="badge errors") if row.failed else None
    place = tag("span", f" {row.place}", class_="muted") if row.place else None
    text = shown(row)
    cut = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    return tag(
        "tr",
        tag("td", words.duration(row.lasted), class_="n"),
        tag("td", span(row.start / whole, row.end / whole, row.failed)),
        tag("td", tag("span", "· " * row.depth, class_="module", aria_hidden="true"), failed, times, cut, place),
    )


_LONGEST = 300  # characters of a statement
