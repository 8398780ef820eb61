"""The ids of a piece of work's trace, also where nothing is traced, so that Sentry shows its reports together.

A request may carry the id of its trace, from a browser or another service; otherwise the first event gives it one.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from . import origin, work
from .origin import Origin

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


class Ids:
    """The ids of a trace. `traces.trace.Trace` is one with spans."""

    __slots__ = ("origin", "span_id")

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.span_id = os.urandom(8).hex()  # of the piece of work itself

    @property
    def trace_id(self) -> str:
        return self.origin.trace_id

    @property
    def parent_span_id(self) -> str:
        """Of what sent the request; "" where nothing did."""
        return self.origin.parent_id

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
running: Callable[[], Any] | None = None


def note(*, slow: bool = False, failed: bool = False, due: float | None = None) -> None:
    """Something in the trace that is on here was too slow, or failed: it is worth keeping.

    `due` is when its task was to begin, in seconds since the epoch.
    """
    known = running() if running is not None else None
    if known is not None:
        known.slow = known.slow or slow
        known.failed = known.failed or failed
        known.due = due if due is not None else known.due


def current() -> Ids | None:
    """The trace of the current piece of work; None outside of any."""
    doing = work.current()
    if doing is None:
        return running() if running is not None else None
    if doing.trace is None:
        doing.trace = Ids(origin_of(doing))
    return doing.trace


#: Where traces are sent on: returns the header `trace` of an envelope, with which Sentry decides what it keeps, or {}.
header: Callable[[Ids], dict[str, Any]] | None = None


def envelope_headers() -> dict[str, Any]:
    """The headers of the envelope of what is reported here."""
    known = current() if header is not None else None
    return header(known) if header is not None and known is not None else {}


#: Where this is loaded, it adds the trace of the SDK's scope.
_SDK = __package__.partition(".")[0] + ".sdk.client"


def provide() -> dict[str, object]:
    """Return facts for an event; registered with `context.register`."""
    if running is None and _SDK in sys.modules:
        return {}
    known = current()
    return {"trace": known.context(sys._getframe(1))} if known is not None else {}


#: The number of our organisation at Sentry, where it is known, and whether traces that name none begin anew here.
organisation = ""
strict = False


def origin_of(doing: work.Work) -> Origin:
    """Where the trace of a piece of work comes from."""
    about, header = doing.about, doing.kind.header
    found = None
    if about is not None:  # it has not ended
        found = origin.incoming(lambda name: header(about, name), organisation, strict=strict)
    return found if found is not None else Origin(os.urandom(16).hex())
