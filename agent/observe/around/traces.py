"""The ids of a piece of work's trace, also where nothing is traced, so that Sentry shows its reports together.

A request may carry the id of its trace, from a browser or another service; otherwise the first event gives it one.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from . import work

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_HEXADECIMAL = frozenset("0123456789abcdef")


class Ids:
    """The ids of a trace. `traces.trace.Trace` is one with spans."""

    __slots__ = ("parent_span_id", "span_id", "trace_id")

    def __init__(self, trace_id: str, span_id: str, parent_span_id: str) -> None:
        self.trace_id = trace_id
        self.span_id = span_id  # of the piece of work itself
        self.parent_span_id = parent_span_id  # of what sent the request; "" where nothing did

    def span_here(self, frame: FrameType | None) -> str:
        """The id of the span that `frame` runs in."""
        del frame
        return self.span_id

    def context(self, frame: FrameType | None = None) -> dict[str, str]:
        """The context `trace` of what is reported in `frame`."""
        known = {"trace_id": self.trace_id, "span_id": self.span_here(frame)}
        if self.parent_span_id and known["span_id"] == self.span_id:
            known["parent_span_id"] = self.parent_span_id
        return known


#: Where pieces of work are traced: returns the trace that is on here, or None.
running: Callable[[], Ids | None] | None = None


def current() -> Ids | None:
    """The trace of the current piece of work; None outside of any."""
    doing = work.current()
    if doing is None:
        return running() if running is not None else None
    if doing.trace is None:
        doing.trace = Ids(*incoming(doing))
    return doing.trace


#: Where this is loaded, it adds the trace of the SDK's scope.
_SDK = __package__.partition(".")[0] + ".sdk.client"


def provide() -> dict[str, object]:
    """Return facts for an event; registered with `context.register`."""
    if running is None and _SDK in sys.modules:
        return {}
    known = current()
    return {"trace": known.context(sys._getframe(1))} if known is not None else {}


def incoming(doing: work.Work) -> tuple[str, str, str]:
    """The ids of the trace that came with a piece of work, or new ones: trace id, span id, id of the parent or ""."""
    header, about = doing.kind.header, doing.about
    came = _ids(header(about, "sentry-trace"), 0) or _ids(header(about, "traceparent"), 1) or ("", "")
    return came[0] or os.urandom(16).hex(), os.urandom(8).hex(), came[1]


def _ids(value: object, at: int) -> tuple[str, str] | None:
    """The two ids in Sentry's `trace-span-sampled` or the W3C's `version-trace-span-flags`, from part `at` on."""
    if type(value) is not str or len(value) > 200:
        return None
    trace_id, span_id, *_ = [*value.strip().split("-")[at : at + 2], "", ""]
    if not (_is_id(trace_id, 32) and _is_id(span_id, 16)):
        return None
    return trace_id, span_id


def _is_id(text: str, length: int) -> bool:
    return len(text) == length and _HEXADECIMAL.issuperset(text) and text.strip("0") != ""
