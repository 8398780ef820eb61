"""Makes Sentry's transaction of a trace that is kept: the event, scrubbed, and its envelope.

https://develop.sentry.dev/sdk/data-model/event-payloads/transaction/ describes it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..base.model import Envelope
from ..deliver import wire
from ..observe.around import context, work
from ..observe.event import event
from ..observe.event.encode import encode
from ..observe.event.represent import Budget
from ..privacy.scrub import Clean, scrub, scrub_json
from . import propagation, words
from .tree import Placed, spans_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..base.model import Json, Platform, SentryData
    from .trace import Trace
    from .what import What

_MOST_VALUES = 300
_ORIGIN = "auto.erp"

#: Status of an HTTP response → Sentry's status of a span. Of others, the first digit decides.
_STATUS = {
    401: "unauthenticated", 403: "permission_denied", 404: "not_found", 409: "already_exists",
    429: "resource_exhausted", 501: "unimplemented", 503: "unavailable", 504: "deadline_exceeded",
}  # fmt: skip


def envelope(trace: Trace, end: float, kept: str, sentry: SentryData, platform: Platform) -> Envelope:
    """The transaction of a trace that has ended at `end` (of `perf_counter`).

    `kept` is why it is kept: "sample", "slow" or "failed". Called while its piece of work is the current one.
    """
    doing = work.current()
    facts = context.collect()
    facts.pop("trace", None)
    name, source = _name(facts) if doing is not None and doing.trace is trace else (trace.name, "custom")
    made: dict[str, Any] = {
        "event_id": os.urandom(16).hex(),
        "type": "transaction",
        "transaction": name,
        "transaction_info": {"source": source},
        "start_timestamp": trace.epoch,
        "timestamp": trace.epoch + end - trace.started,
        "platform": "python",
        "sdk": {"name": "erp-sentry-agent", "version": platform.agent_version},
    }
    made.update(event.whereabouts(sentry, platform))
    given = facts.get("tags")
    tags: dict[str, str] = {}
    marked = {"erp.kept": kept if kept != "sample" else None}
    for more in (given if type(given) is dict else {}, sentry["tags"], marked):
        for tag, value in more.items():
            event.add_tag(tags, tag, value)
    budget = Budget(_MOST_VALUES)
    made["tags"] = tags
    made["contexts"] = event.sections(facts, budget)
    made["contexts"]["runtime"] = {"name": "CPython", "version": platform.python}
    made["contexts"]["trace"] = _root(trace, doing, kept, _data(facts))
    event.add_user(made, facts, sentry, budget)
    event.add_request(made, facts)
    made["spans"] = [_span(trace, each) for each in spans_of(trace)] + _folded(trace)
    data = encode(scrub(made, keep=event.configured(sentry)))
    headers = {"trace": scrub_json(propagation.dynamic_sampling_context(trace, str(made["transaction"]), kept, sentry))}
    return Envelope(made["event_id"], "transaction", wire.encode(made["event_id"], "transaction", data, headers))


def _section(facts: Mapping[str, object], name: str) -> dict[str, Any]:
    section = facts.get(name)
    return section if type(section) is dict else {}


def _name(facts: Mapping[str, object]) -> tuple[str, str]:
    """The name of a piece of work, and what it is made of, by Sentry's conventions."""
    name = facts.get("transaction")
    if type(name) is str and name:
        return name, "task" if "celery" in facts else "route" if "request" in facts else "custom"
    path = _section(facts, "request").get("path")
    return (path, "url") if type(path) is str and path else ("unknown", "custom")


def _data(facts: Mapping[str, object]) -> dict[str, Any]:
    """Data of the trace's own span, under Sentry's names."""
    request, task = _section(facts, "request"), _section(facts, "celery")
    known = {
        "http.request.method": request.get("method"), "http.route": request.get("route"),
        "code.function": request.get("view"), "messaging.message.id": task.get("id"),
        "messaging.destination.name": task.get("queue"), "messaging.message.retry.count": task.get("retries"),
    }  # fmt: skip
    return {name: value for name, value in known.items() if type(value) in (str, int)}


def _root(trace: Trace, doing: work.Work | None, kept: str, data: dict[str, Any]) -> dict[str, Any]:
    status = "ok"
    if doing is not None and doing.status is not None:
        data["http.response.status_code"] = doing.status
        otherwise = ("ok", "ok", "ok", "ok", "invalid_argument", "internal_error")
        status = _STATUS.get(doing.status) or otherwise[min(5, max(0, doing.status // 100))]
    elif trace.failed or (doing is not None and doing.outcome == work.CRASHED):
        status = "internal_error"
    data["erp.kept"] = kept
    root = {
        "trace_id": trace.trace_id, "span_id": trace.span_id, "op": trace.op, "status": status, "origin": _ORIGIN,
        "data": data,
    }  # fmt: skip
    if trace.parent_span_id:
        root["parent_span_id"] = trace.parent_span_id
    return root


def _span(trace: Trace, placed: Placed) -> Json:
    what, values = placed.what, placed.values
    began = trace.epoch - trace.started
    made = _begun(trace, placed.span_id, placed.parent_id, what, values[0] if values else None)
    made["start_timestamp"], made["timestamp"] = began + placed.start, began + placed.end
    made["status"] = "internal_error" if placed.failed else "ok"
    more = dict(zip(what.labels[1:], values[1:]))
    if len(values) > (len(what.labels) or 1):
        more.update(values[-1])  # type: ignore[call-overload]  # where it was called: see `trace.record`
    clean = {label: words.value(label, each) for label, each in more.items() if each is not None}
    made["data"] = Clean({**_fixed(what), **clean}) if clean else _fixed(what)
    return made


def _begun(trace: Trace, span_id: str, parent_id: str, what: What, given: object) -> Clean:
    return Clean(
        span_id=span_id, parent_span_id=parent_id, trace_id=trace.trace_id, op=what.op, origin=_ORIGIN,
        description=words.description(what.op, given if given is not None else what.description),
    )  # fmt: skip


def _fixed(what: What) -> Clean:
    if what.fixed is None:
        what.fixed = Clean(scrub(dict(what.data)))
    return what.fixed


def _folded(trace: Trace) -> list[Json]:
    """One span for all equal ones of those that the trace had no room for."""
    began = trace.epoch - trace.started
    made: list[Json] = []
    for (what, given), (times, seconds, start, end) in list(trace.folded.items()):
        span = _begun(trace, os.urandom(8).hex(), trace.span_id, what, given)
        span["start_timestamp"], span["timestamp"] = began + start, began + end
        span["description"] = f"{span['description']} ({int(times):,} times)"
        span["status"] = "ok"
        span["data"] = Clean({**_fixed(what), "erp.folded": int(times), "erp.seconds": round(seconds, 6)})
        made.append(span)
    return made
