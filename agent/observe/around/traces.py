"""The trace that a piece of work belongs to, though nothing is traced: reports of one request are found together.

A request may bring the id of its trace along, from a browser or another service; otherwise it is given one, with the
first event.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import work

if TYPE_CHECKING:
    from collections.abc import Callable

_HEXADECIMAL = frozenset("0123456789abcdef")


def here(header: Callable[[str], object]) -> dict[str, str] | None:
    """The context `trace` of what is reported in this piece of work; None outside of any.

    `header` answers the request's header of that name, in lower case, or whatever else it likes.
    """
    doing = work.current()
    if doing is None:
        return None
    if doing.trace is None:
        trace_id, parent = _brought(header("sentry-trace"), 0) or _brought(header("traceparent"), 1) or ("", "")
        doing.trace = {"trace_id": trace_id or os.urandom(16).hex(), "span_id": os.urandom(8).hex()}
        if parent:
            doing.trace["parent_span_id"] = parent
    return doing.trace


def _brought(value: object, at: int) -> tuple[str, str] | None:
    """Sentry's `trace-span-sampled` and the W3C's `version-trace-span-flags`: the two ids, which begin at that part."""
    if type(value) is not str or len(value) > 200:
        return None
    trace_id, span_id, *_ = [*value.strip().split("-")[at : at + 2], "", ""]
    if not (_is_id(trace_id, 32) and _is_id(span_id, 16)):
        return None
    return trace_id, span_id


def _is_id(text: str, length: int) -> bool:
    return len(text) == length and _HEXADECIMAL.issuperset(text) and text.strip("0") != ""
