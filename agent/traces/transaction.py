"""Makes Sentry's transaction of a trace that is kept: the event, scrubbed, and its envelope.

https://develop.sentry.dev/sdk/data-model/event-payloads/transaction/ describes it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..base.model import Envelope
from ..deliver import wire
from ..observe.around import work
from ..observe.event import event
from ..observe.event.encode import encode
from ..observe.event.represent import Budget
from ..privacy.scrub import scrub
from . import encoded, profile_item, propagation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..base.model import Json, Platform, SentryData
    from .trace import Trace

_MOST_VALUES = 300

#: Status of an HTTP response → Sentry's status of a span. Of others, the first digit decides.
_STATUS = {
    401: "unauthenticated", 403: "permission_denied", 404: "not_found", 409: "already_exists",
    429: "resource_exhausted", 501: "unimplemented", 503: "unavailable", 504: "deadline_exceeded",
}  # fmt: skip


def envelope(
    trace: Trace,
    end: float,
    kept: str,
    facts: dict[str, object],
    named: tuple[str, str],
    sentry: SentryData,
    platform: Platform,
) -> Envelope:
    """The transaction of a trace that has ended at `end` (of `perf_counter`).

    `kept` is why it is kept: "sample", "slow" or "failed"; `facts` is the context that it has run in, and `named` what
    `name_of` returned. Called while its piece of work is the current one.
    """
    doing = work.current()
    facts.pop("trace", None)
    name, source = named
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
    made["contexts"]["trace"] = _root(trace, doing, kept, _data(facts, doing))
    event.add_user(made, facts, sentry, budget)
    event.add_request(made, facts)
    profile = trace.profile if trace.profile is not None and trace.profile.is_valid else None
    if profile is not None:
        made["contexts"]["profile"] = {"profile_id": os.urandom(16).hex()}
    data = encode(scrub(made, keep=event.configured(sentry)))
    data = data[:-1] + b',"spans":[' + encoded.spans(trace).encode("utf-8", "replace") + b"]}"
    whole = wire.encode(made["event_id"], "transaction", data, _headers(trace, made, kept))
    if profile is not None:
        whole = wire.with_item(whole, "profile", profile_item.encoded(profile, made, platform))
    return Envelope(made["event_id"], "transaction", whole)


def _headers(trace: Trace, made: dict[str, Any], kept: str) -> dict[str, Json]:
    """Those of the envelope: the dynamic sampling context, with which Sentry decides what it keeps.

    Each trace that is slow or has failed is kept, so that it stands for itself alone, whether it was sampled or not;
    one that was only sampled stands for all the others like it.
    """
    good = made["transaction_info"]["source"] not in ("url", "unknown")
    changed = {"sample_rate": "1.0", "sampled": "true"} if kept != "sample" else {}
    return propagation.header(trace, str(made["transaction"]) if good else "", **changed)


def _section(facts: Mapping[str, object], name: str) -> dict[str, Any]:
    section = facts.get(name)
    return section if type(section) is dict else {}


def name_of(trace: Trace, facts: Mapping[str, object]) -> tuple[str, str]:
    """The name of a trace, and what it is made of, by Sentry's conventions. `facts` are the context that it ran in."""
    doing = work.current()
    if doing is None or doing.trace is not trace:
        return trace.name, "custom"
    name = facts.get("transaction")
    if type(name) is str and name:
        return name, "task" if doing.kind.section else "route" if "request" in facts else "custom"
    path = _section(facts, "request").get("path")
    return (path, "url") if type(path) is str and path else ("unknown", "custom")


def _data(facts: Mapping[str, object], doing: work.Work | None) -> dict[str, Any]:
    """Data of the trace's own span, under Sentry's names."""
    request, task = _section(facts, "request"), _section(facts, doing.kind.section if doing is not None else "")
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
        "trace_id": trace.trace_id, "span_id": trace.span_id, "op": trace.op, "status": status,
        "origin": encoded.ORIGIN, "data": data,
    }  # fmt: skip
    if trace.parent_span_id:
        root["parent_span_id"] = trace.parent_span_id
    return root
