"""What is remembered of one piece of work while it goes on: its spans, as plain tuples.

A span is recorded when its call ends, so that a call costs one append. Which span is inside which other one is
calculated only for a trace that is kept (`tree`): the calls of one thread are nested like their times. Spans that may
overlap are in different lanes: each thread, greenlet and monitored coroutine has one of its own.
"""

from __future__ import annotations

import _thread
import os
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ..base import guard
from ..base.clocks import perf_counter, time
from ..base.interrupts import ours
from ..observe.around.traces import Ids
from ..observe.call import callers
from ..observe.event import stack

if TYPE_CHECKING:
    from contextvars import Token
    from types import FrameType

    from ..observe.around.origin import Origin
    from .what import What

    #: start, end (both of `perf_counter`), what was called, whether it raised, the lane inside it or None, and the
    #: values of its description and data as a tuple
    Span = tuple[Any, ...]

_MOST_FOLDED = 200  # kinds of spans beyond `max_spans`
_MOST_NOTES = 100
_SLOW = 0.1  # seconds; a statement that takes longer gets the place that it was called from, as with Sentry's SDK


class Lane:
    """The spans of one thread, greenlet or coroutine, in the order of their ends."""

    __slots__ = ("began", "beside", "given", "ident", "notes", "origin", "spans", "token", "trace")

    def __init__(self, trace: Trace, origin: Lane | None) -> None:
        self.trace = trace
        self.origin = origin  # what it was begun in
        self.ident = _thread.get_ident()  # which `gevent` and `eventlet` replace: greenlets differ too
        self.began = perf_counter()
        self.spans: list[Span] = []
        self.beside: dict[int, Lane] | None = None  # other threads that run with a copy of its context
        self.notes: dict[int, str] | None = None  # id of a call's frame → the id of its span: see `Trace.span_here`
        self.given: dict[int, str] | None = None  # place in `spans` → the id that was given away before it ended
        self.token: Token[Lane | None] | None = None

    def give(self, span_id: str) -> None:
        """To the next span."""
        if self.given is None:
            self.given = {}
        self.given[len(self.spans)] = span_id


class Trace(Ids):
    """A piece of work that is traced. `tree` and `transaction` make Sentry's transaction of it, if it is kept."""

    __slots__ = (
        "count", "due", "epoch", "failed", "folded", "lanes", "most", "name", "op", "profile", "root",
        "sampled", "slow", "started", "texts",
    )  # fmt: skip

    def __init__(self, op: str, name: str, origin: Origin, most: int) -> None:
        super().__init__(origin)
        self.op = op
        self.name = name
        self.sampled = False  # the decision at the head: here, or where the trace began
        self.started = perf_counter()
        self.epoch = time()
        self.most = most  # spans; beyond, equal ones are folded
        self.count = 0  # of spans so far
        #: Of equal spans beyond that: how many, their seconds, the start of the first, the end of the last.
        self.folded: dict[tuple[What, tuple[Any, ...]], list[float]] = {}
        self.texts: dict[tuple[Any, ...], tuple[Any, ...]] = {}  # of all spans, where there are more than a few
        self.lanes: dict[Lane, None] = {}  # with those of coroutines under way
        self.slow = False  # whether an operation inside exceeded its threshold
        self.failed = False
        self.due: float | None = None  # when a task was to begin, in seconds since the epoch
        self.profile: Any = None
        self.root = self.lane()

    def lane(self, origin: Lane | None = None) -> Lane:
        """A new lane of this trace, for the thread that calls this."""
        made = Lane(self, origin)
        if len(self.lanes) <= self.most:
            self.lanes[made] = None
        return made

    def close(self) -> None:
        """Forget the spans. What ends later, in a thread that outlives the trace, is not recorded.

        Nothing is left that refers to what refers to it: the spans are gone at once, without garbage collection.
        """
        self.most = -1
        for lane in self.lanes:
            lane.spans, lane.beside = [], None
        self.lanes, self.folded, self.texts = {}, {}, {}
        self.profile = None  # which knows the lanes
        del self.root

    def span_here(self, frame: FrameType | None) -> str:
        """The id that the span which `frame` runs in will have, or that of the trace itself.

        A span has no id before it ends, and few ever need one. So an id is made, and noted under the frame of its call,
        which takes it when it ends.
        """
        lane = current.get()
        around = _spanned(frame) if lane is not None and lane.trace is self else None
        if lane is None or around is None:
            return self.span_id
        if lane.ident != _thread.get_ident():
            lane = _beside(lane)
        notes = lane.notes = lane.notes if lane.notes is not None else {}
        known = notes.get(id(around))
        if known is None:
            if len(notes) >= _MOST_NOTES:
                return self.span_id
            known = notes[id(around)] = os.urandom(8).hex()
        return known


def _spanned(frame: FrameType | None) -> FrameType | None:
    """The innermost call around `frame` that is a span: not one that shows the work of the span around it once more."""
    inner: tuple[FrameType, Any] | None = None
    for around, probe in callers.calls(frame):
        if probe.span is not None:
            if inner is not None and probe.monitor["name"] not in inner[1].monitor["quiet_inside"]:
                break
            inner = around, probe
    return inner[0] if inner is not None else None


def _taken(notes: dict[int, str], frame: FrameType | None) -> str | None:
    """The id that was given away for the span of the call that ends: `frame` is its own, or one of ours inside it."""
    while frame is not None and callers.in_package(frame.f_code):
        frame = frame.f_back
    return notes.pop(id(frame), None)


#: The lane that spans which end here belong to; None where no trace is on.
current: ContextVar[Lane | None] = ContextVar("erp_agent_lane", default=None)


def record(what: What, start: float, result: object, lane: Lane | None, failed: bool, *passed: object) -> None:
    """A call has ended. The code in the function calls this, with the lane that it was begun in."""
    if lane is None:
        return
    try:
        end = perf_counter()
        if lane.ident != _thread.get_ident():
            lane = _beside(lane)
        trace = lane.trace
        given = _taken(lane.notes, sys._getframe(1)) if lane.notes else None
        values = _NONE
        if what.together is not None:
            try:
                found = what.together(result, passed)
            except ours(Exception):
                found = what.one_by_one(result, passed)
            if found is None:
                return
            for each in found:
                if type(each) is str:
                    if len(each) <= _LONGEST:
                        continue
                elif type(each) in _PLAIN:
                    continue
                found = tuple([plain(each) for each in found])
                break
            values = found if trace.count < _FEW else _shared(trace, lane, found)
        trace.count = count = trace.count + 1
        if count > trace.most:
            _fold(trace, what, values, start, end)
            return
        if what.located and end - start > _SLOW:
            values = (*(values or (None,)), _place(sys._getframe(1)))
        if given is not None:
            lane.give(given)
        lane.spans.append((start, end, what, failed, None, values))
    except ours(Exception):
        guard.swallow("recording a span")


_NONE: tuple[Any, ...] = ()
_FEW = 50  # spans whose texts are not compared: to hash a statement costs more than to keep it twice
_PLAIN = frozenset((int, float, bool, type(None)))
_LONGEST = 2_000  # characters of a text


def _shared(trace: Trace, lane: Lane, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Those that are equal to these and were kept before: a query in a loop is kept once."""
    if not trace.texts:
        trace.texts.update([(span[5], span[5]) for span in lane.spans])
    return trace.texts.setdefault(values, values)


def plain(value: object) -> object:
    """The value, if it is a text, a number or true/false; None for objects of the host, which must not be kept."""
    if isinstance(value, str):  # Django and Celery have classes of their own
        return str.__getitem__(value, slice(0, _LONGEST))
    return value if type(value) in _PLAIN else None


def begin_coroutine() -> Lane | None:
    """A monitored coroutine begins: what runs in it has a lane of its own, since other tasks may run meanwhile."""
    lane = current.get()
    if lane is None:
        return None
    try:
        inner = lane.trace.lane(lane)
        inner.token = current.set(inner)
        return inner
    except ours(Exception):
        guard.swallow("beginning a span")
        return None


def end_coroutine(what: What, start: float, result: object, inner: Lane | None, failed: bool, *passed: object) -> None:
    if inner is None or inner.origin is None or inner.token is None:
        return
    try:
        end = perf_counter()
        try:
            current.reset(inner.token)
        except ours(ValueError):  # closed in another context than begun
            pass
        trace, outer = inner.trace, inner.origin
        inner.origin = inner.token = None  # which refer to what holds it
        trace.lanes.pop(inner, None)
        values = what.read(result, passed)
        if values is None:
            return
        trace.count = count = trace.count + 1
        if count <= trace.most:
            inside = inner if inner.spans or inner.beside else None
            given = _taken(inner.notes, sys._getframe(1)) if inner.notes else None
            if given is not None:
                outer.give(given)
            outer.spans.append((start, end, what, failed, inside, values))
        else:
            _fold(trace, what, values, start, end)
    except ours(Exception):
        guard.swallow("ending a span")


def _beside(lane: Lane) -> Lane:
    """The lane of this thread, which runs with a copy of the context of another one."""
    ident = _thread.get_ident()
    if lane.beside is None:
        lane.beside = {}
    known = lane.beside.get(ident)
    if known is None:
        known = lane.beside[ident] = lane.trace.lane(lane)
    return known


def _place(frame: FrameType | None) -> tuple[tuple[str, object], ...]:
    """Where a call was made: the nearest frame of the ERP's own code around `frame`."""
    frame = frame.f_back if frame is not None else None
    while frame is not None:
        shown = None if callers.own_code(frame.f_code) else stack.frame_of(frame, frame.f_lineno or 0)
        if shown is not None and shown["in_app"]:
            return (
                ("code.lineno", shown["lineno"]), ("code.filepath", shown["filename"]),
                ("code.namespace", shown.get("module", "")), ("code.function", shown["function"]),
            )  # fmt: skip
        frame = frame.f_back
    return ()


def _fold(trace: Trace, what: What, values: tuple[Any, ...], start: float, end: float) -> None:
    if trace.most < 0:
        return
    key = (what, values)
    if key not in trace.folded and len(trace.folded) >= _MOST_FOLDED:
        key = (what, _NONE)
    known = trace.folded.setdefault(key, [0.0, 0.0, start, end])
    known[0] += 1
    known[1] += end - start
    known[3] = end
