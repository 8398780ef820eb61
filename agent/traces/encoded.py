"""The JSON of a trace's spans. What is the same in equal spans, all but ids and times, is cleaned and encoded once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..observe.event.encode import to_json
from ..privacy import redact
from ..privacy.scrub import scrub
from . import words
from .tree import spans_of

if TYPE_CHECKING:
    from .trace import Trace
    from .what import What

ORIGIN = "auto.erp"

_MOST_KNOWN = 2_000

#: What was called, whether it raised, the values of its description and data → the JSON of that.
_known: dict[tuple[What, bool, tuple[Any, ...]], str] = {}
redact.forgetful.append(_known.clear)


def spans(trace: Trace) -> str:
    """The items of the list, cleaned: nothing of the host's is in them that was not looked through."""
    began, trace_id = trace.epoch - trace.started, trace.trace_id
    made = []
    for span_id, parent_id, start, end, what, failed, values in spans_of(trace):
        key = (what, failed, values)
        rest = _known.get(key)
        if rest is None:
            rest = _rest(what, failed, values)
            if len(_known) >= _MOST_KNOWN:
                _known.clear()
            _known[key] = rest
        made.append(_FORM % (span_id, parent_id, trace_id, began + start, began + end, rest))
    for kind, (times, seconds, first, last) in list(trace.folded.items()):
        rest = _rest(kind[0], False, kind[1], times=int(times), seconds=seconds)
        span_id = os.urandom(8).hex()
        made.append(_FORM % (span_id, trace.span_id, trace_id, began + first, began + last, rest))
    return ",".join(made)


_FORM = '{"span_id":"%s","parent_span_id":"%s","trace_id":"%s","start_timestamp":%.6f,"timestamp":%.6f,%s'


def _rest(what: What, failed: bool, values: tuple[Any, ...], *, times: int = 0, seconds: float = 0.0) -> str:
    """The JSON of a span without its ids and times; `times`, if it stands for many equal ones."""
    data: dict[str, Any] = dict(what.data)
    more = dict(zip(what.labels[1:], values[1:]))
    if len(values) > (len(what.labels) or 1):
        more.update(values[-1])  # where it was called: see `trace.record`
    data.update((label, words.value(label, each)) for label, each in more.items() if each is not None)
    described = values[0] if values and values[0] is not None else what.description
    shown = words.description(what.op, described)
    if times:
        shown = f"{shown} ({times:,} times)"
        data.update({"erp.folded": times, "erp.seconds": round(seconds, 6)})
    part: dict[str, Any] = {
        "op": what.op, "origin": ORIGIN, "description": shown, "status": "internal_error" if failed else "ok",
        "data": data,
    }  # fmt: skip
    return to_json(scrub(part))[1:]
