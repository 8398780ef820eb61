"""Which span is inside which other one, calculated from their times once a trace is kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .trace import Lane, Trace
    from .what import What


class Placed(NamedTuple):  # annotated with types, not with text: see model.py
    """A span with its ids. Times are those of `perf_counter`."""

    span_id: str
    parent_id: str
    start: float
    end: float
    what: What
    failed: bool
    values: tuple[object, ...]


def spans_of(trace: Trace) -> list[Placed]:
    """All spans of a trace, each after the one that it is inside."""
    return _Tree(trace).placed


class _Tree:
    def __init__(self, trace: Trace) -> None:
        self.placed: list[Placed] = []
        #: The id around a lane, and its own spans by their start.
        self._of_lane: dict[Lane, tuple[str, list[Placed]]] = {}
        self._ids = os.urandom(8 * min(trace.count, trace.most)).hex()  # one system call for all
        self._used = 0
        for lane in list(trace.lanes):
            self._place(lane, self._around(lane, trace.span_id))

    def _around(self, lane: Lane, root: str) -> str:
        """The id of the span that a lane was begun in."""
        if lane.origin is None:
            return root
        parent, spans = self._of_lane.get(lane.origin, (root, []))
        inside = _innermost(spans, lane.began)
        return inside.span_id if inside is not None else parent

    def _place(self, lane: Lane, parent: str) -> None:
        spans = lane.spans.copy()  # threads that outlive the trace may add to it
        # Of two with the same times, the one that was recorded later is around the other one.
        order = sorted(range(len(spans)), key=lambda at: (spans[at][0], -spans[at][1], -at))
        noted = _noted(lane, spans)
        own: list[Placed] = []
        around: list[Placed] = []
        inner = []
        for at in order:
            start, end, what, failed, inside, *values = spans[at]
            while around and around[-1].end < end:
                around.pop()
            if around and around[-1].what.monitor in what.quiet:
                continue  # the same work, seen once more
            span_id = noted.get(at) or self._next_id()
            made = Placed(span_id, around[-1].span_id if around else parent, start, end, what, failed, tuple(values))
            own.append(made)
            around.append(made)
            if inside is not None:
                inner.append((inside, span_id))
        self.placed += own
        self._of_lane[lane] = parent, own
        for each, span_id in inner:
            self._place(each, span_id)

    def _next_id(self) -> str:
        self._used += 16
        return self._ids[self._used - 16 : self._used] or os.urandom(8).hex()


def _innermost(spans: list[Placed], moment: float) -> Placed | None:
    return max((each for each in spans if each.start <= moment <= each.end), key=lambda each: each.start, default=None)


def _noted(lane: Lane, spans: list[tuple[object, ...]]) -> dict[int, str]:
    """Place in `spans` → the id that was given away while that span was the innermost one."""
    found: dict[int, str] = {}
    for moment, span_id in (lane.notes or {}).values():
        inside = [at for at, each in enumerate(spans) if each[0] <= moment <= each[1]]  # type: ignore[operator]
        if inside:
            found.setdefault(max(inside, key=lambda at: (spans[at][0], -at)), span_id)
    return found
