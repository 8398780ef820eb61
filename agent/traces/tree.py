"""Which span is inside which other one, calculated from their times once a trace is kept."""

from __future__ import annotations

import os
from _operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .trace import Lane, Trace
    from .what import What

    #: its id, that of the span around it, start, end (both of `perf_counter`), what was called, did it raise?, values
    Placed = tuple[str, str, float, float, What, bool, tuple[Any, ...]]


_BEGINNING = itemgetter(2)


def spans_of(trace: Trace) -> list[Placed]:
    """All spans of a trace with their ids."""
    return _Tree(trace).placed


class _Tree:
    def __init__(self, trace: Trace) -> None:
        self.placed: list[Placed] = []
        #: The id around a lane, and its own spans.
        self._of_lane: dict[Lane, tuple[str, list[Placed]]] = {}
        self._ids = os.urandom(8 * min(trace.count, trace.most)).hex()  # one system call for all
        self._used = 0
        for lane in list(trace.lanes):
            self._place(lane, self._around(lane, trace.span_id), "")

    def _around(self, lane: Lane, root: str) -> str:
        """The id of the span that a lane was begun in."""
        if lane.origin is None:
            return root
        parent, spans = self._of_lane.get(lane.origin, (root, []))
        around = [each for each in spans if each[2] <= lane.began <= each[3]]
        return max(around, key=lambda each: each[2])[0] if around else parent

    def _place(self, lane: Lane, parent: str, monitor: str) -> None:
        """`monitor` is that of the span around the lane, where that is a coroutine."""
        spans = lane.spans.copy()  # threads that outlive the trace may add to it
        given = lane.given or {}
        own: list[Placed] = []
        around: list[Placed] = []
        # Spans are in the order of their ends, so backwards the ones around another one come before it.
        for at in range(len(spans) - 1, -1, -1):
            start, end, what, failed, inside, values = spans[at]
            while around and around[-1][2] > start:
                around.pop()
            span_id = given.get(at) or self._next_id()
            outer, known = (around[-1][0], around[-1][4].monitor) if around else (parent, monitor)
            if known in what.quiet:
                span_id = outer  # the same work, seen once more
            else:
                made = (span_id, outer, start, end, what, failed, values)
                own.append(made)
                if not what.has_lane:  # other tasks run while a coroutine waits: their spans are beside it
                    around.append(made)
            if inside is not None:
                self._place(inside, span_id, what.monitor)
        own.sort(key=_BEGINNING)  # of two that began together, the one around the other is the first
        self.placed += own
        self._of_lane[lane] = parent, [each for each in own if not each[4].has_lane]

    def _next_id(self) -> str:
        self._used += 16
        return self._ids[self._used - 16 : self._used] or os.urandom(8).hex()
