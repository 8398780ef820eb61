"""The trace id of a piece of work, also where nothing is traced, so that Sentry shows its reports together.

A request may carry the id of its trace, from a browser or another service; otherwise the first event gives it one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import work

if TYPE_CHECKING:
    from collections.abc import Callable

_HEXADECIMAL = frozenset("0123456789abcdef")


def current(header: Callable[[str], object]) -> dict[str, str] | None:
    """The context `trace` of reports in the current piece of work; None outside of any.

    `header` returns the request's header of that name, given in lower case; other than text is ignored.
    """
    doing = work.current()
    if doing is None:
        return None
    if doing.trace is None:
        trace_id, parent = _ids(header("sentry-trace"), 0) or _ids(header("traceparent"), 1) or ("", "")
        doing.trace = {"trace_id": trace_id or os.urandom(16).hex(), "span_id": os.urandom(8).hex()}
        if parent:
            doing.trace["parent_span_id"] = parent
    return doing.trace


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
