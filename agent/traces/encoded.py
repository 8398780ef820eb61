"""The JSON of a trace's spans and of its other parts. What is equal in two traces is cleaned and encoded once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..observe.event.encode import to_json
from ..privacy import redact
from ..privacy.scrub import scrub
from . import words
from .tree import spans_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable

    from .trace import Trace
    from .what import What

ORIGIN = "auto.erp"

_MOST_KNOWN = 2_000
MOST_PARTS = 500
_LARGEST_PART = 2_000  # characters

#: What was called, whether it raised, the values of its description and data → the JSON of that.
known_spans: dict[tuple[What, bool, tuple[Any, ...]], str] = {}
#: The same of parts of transactions.
known_parts: dict[tuple[str, Hashable], str] = {}
redact.forgetful += [known_spans.clear, known_parts.clear]

_PLAIN = frozenset((str, int, bool, type(None)))
_TEXT = frozenset((str,))


def key_of(part: dict[str, Any]) -> tuple[Any, ...] | None:
    """What `part_of` knows a part by; None for one that holds other than texts, whole numbers and lists of texts."""
    held = (*part, *part.values())
    kinds = tuple(map(type, held))
    if not _PLAIN.issuperset(kinds):
        held = tuple([
            tuple(each) if type(each) is list and _TEXT.issuperset(map(type, each)) else each for each in held
        ])  # fmt: skip
        if not (_PLAIN | {tuple}).issuperset(map(type, held)) or tuple in kinds:
            return None
    return held, kinds  # 1 and True are equal, their JSON is not


def part_of(place: str, key: Hashable, make: Callable[[], dict[str, Any]], keep: Collection[str] = ()) -> str:
    """The JSON of what `make` returns, a part of an event, cleaned, without its outer braces.

    Equal keys of one place have equal parts. `keep` is as in `scrub`. Nothing is remembered where the key is None.
    """
    known = known_parts.get((place, key)) if key is not None else None
    if known is None:
        known = to_json(scrub(make(), keep=keep))[1:-1]
        if key is not None and len(known) <= _LARGEST_PART:
            if len(known_parts) >= MOST_PARTS:
                known_parts.clear()
            known_parts[place, key] = known
    return known


def spans(trace: Trace, kept: str) -> str:
    """The items of the list, cleaned: nothing of the host's is in them that was not looked through.

    `kept` is why the trace is kept. Where that is more than its share of all traces, each span shows it.
    """
    mark = f',"erp.kept":"{kept}"}}}}' if kept != "sample" else "}}"  # the end of the span's data, and of the span
    # In millionths of a second: texts of integers take half as long to make as those of floats.
    began, trace_id = trace.epoch - trace.started, trace.trace_id
    made = []
    for span_id, parent_id, start, end, what, failed, values in spans_of(trace):
        key = (what, failed, values)
        rest = known_spans.get(key)
        if rest is None:
            rest = _rest(what, failed, values)
            if len(known_spans) >= _MOST_KNOWN:
                known_spans.clear()
            known_spans[key] = rest
        first, last = str(int((began + start) * 1e6)), str(int((began + end) * 1e6))
        made.append(
            f'{{"span_id":"{span_id}","parent_span_id":"{parent_id}","trace_id":"{trace_id}",'
            f'"start_timestamp":{first[:-6]}.{first[-6:]},"timestamp":{last[:-6]}.{last[-6:]},{rest}{mark}'
        )
    for kind, (times, seconds, start, end) in list(trace.folded.items()):
        rest = _rest(kind[0], False, kind[1], times=int(times), seconds=seconds)
        span_id = os.urandom(8).hex()
        made.append(_FORM % (span_id, trace.span_id, trace_id, began + start, began + end, rest) + mark)
    return ",".join(made)


_FORM = '{"span_id":"%s","parent_span_id":"%s","trace_id":"%s","start_timestamp":%.6f,"timestamp":%.6f,%s'


def _rest(what: What, failed: bool, values: tuple[Any, ...], *, times: int = 0, seconds: float = 0.0) -> str:
    """The JSON of a span without its ids and times, up to the end of its data.

    `times`, if it stands for many equal ones.
    """
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
    return to_json(scrub(part))[1:-2]
