"""Makes Sentry's transaction of a trace that is kept: the event, scrubbed part by part, and its envelope.

https://develop.sentry.dev/sdk/data-model/event-payloads/transaction/ describes it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..base.model import Envelope
from ..deliver import wire
from ..observe.around import work
from ..observe.event import event
from ..observe.event.represent import Budget, represent
from . import encoded, profile_item, propagation, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    event_id, start = os.urandom(16).hex(), trace.epoch
    profile = trace.profile if trace.profile is not None and trace.profile.is_valid else None
    profile_id = os.urandom(16).hex() if profile is not None else ""
    contexts = [*_sections(facts), f'"runtime":{{"name":"CPython","version":"{platform.python}"}}']
    contexts.append(_root(trace, doing, kept, _data(trace, facts, doing)))
    if profile is not None:
        contexts.append(f'"profile":{{"profile_id":"{profile_id}"}}')
    parts = [
        f'"event_id":"{event_id}","type":"transaction","start_timestamp":{start:.6f}',
        f'"timestamp":{start + end - trace.started:.6f}',
        encoded.part_of("name", named, lambda: {"transaction": named[0], "transaction_info": {"source": named[1]}}),
        encoded.part_of("here", (platform, sentry["environment"], sentry["release"]), lambda: _here(sentry, platform)),
        _tags(facts, sentry, kept),
        f'"contexts":{{{",".join(contexts)}}}',
        _user(facts, sentry),
        _request(facts),
        f'"spans":[{encoded.spans(trace, kept)}]',
    ]
    data = ("{" + ",".join(filter(None, parts)) + "}").encode("utf-8", "replace")
    whole = wire.encode(event_id, "transaction", data, _headers(trace, named, kept))
    if profile is not None:
        about = {
            "event_id": event_id, "transaction": named[0], "start_timestamp": start,
            **event.whereabouts(sentry, platform),
            "contexts": {
                "trace": {"trace_id": trace.trace_id}, "profile": {"profile_id": profile_id},
                "runtime": {"name": "CPython", "version": platform.python},
            },
        }  # fmt: skip
        whole = wire.with_item(whole, "profile", profile_item.encoded(profile, about))
    return Envelope(event_id, "transaction", whole)


def _headers(trace: Trace, named: tuple[str, str], kept: str) -> dict[str, Json]:
    """Those of the envelope: the dynamic sampling context, with which Sentry decides what it keeps.

    Each trace that is slow or has failed is kept, so that it stands for itself alone, whether it was sampled or not;
    one that was only sampled stands for all the others like it.
    """
    name, source = named
    changed = {"sample_rate": "1.0", "sampled": "true"} if kept != "sample" else {}
    return propagation.header(trace, name if source not in ("url", "unknown") else "", **changed)


# ---------------------------------------------------------------------- the parts of an event, each without its braces


def _here(sentry: SentryData, platform: Platform) -> dict[str, Any]:
    """What is the same for all traces of a process."""
    sdk = {"name": "erp-sentry-agent", "version": platform.agent_version}
    return {"platform": "python", "sdk": sdk, **event.whereabouts(sentry, platform)}


def _tags(facts: Mapping[str, object], sentry: SentryData, kept: str) -> str:
    given = facts.get("tags")
    chosen: dict[str, Any] = {**(given if type(given) is dict else {}), **sentry["tags"]}
    if kept != "sample":
        chosen["erp.kept"] = kept

    def make() -> dict[str, Any]:
        tags: dict[str, str] = {}
        for name, value in chosen.items():
            if type(name) is str:
                event.add_tag(tags, name, represent(value, depth=0))
        return {"tags": tags}

    return encoded.part_of("tags", encoded.key_of(chosen), make)


def _sections(facts: Mapping[str, object]) -> Iterator[str]:
    """Sections that become contexts by their names."""
    budget = Budget(_MOST_VALUES)
    for name, section in facts.items():
        if type(section) is not dict or name in event.NO_CONTEXTS:
            continue
        key = encoded.key_of(section)

        def make(name: str = name, section: object = section, key: object = key) -> dict[str, Any]:
            # What is known another time must not depend on what was in front of it.
            return {"contexts": event.sections({name: section}, budget if key is None else Budget(_MOST_VALUES))}

        made = encoded.part_of(f"contexts.{name}", key, make)[len('"contexts":{') : -1]
        if made:
            yield made


def _user(facts: Mapping[str, object], sentry: SentryData) -> str:
    known = _section(facts, "user")
    shown = {field: known.get(field) for field in sentry["user"]}

    def make() -> dict[str, Any]:
        made: dict[str, Any] = {}
        event.add_user(made, {"user": shown}, sentry, Budget(_MOST_VALUES))
        return made

    return encoded.part_of("user", encoded.key_of(shown), make, event.configured(sentry)) if known else ""


def _request(facts: Mapping[str, object]) -> str:
    known = _section(facts, "request")
    shown: dict[str, object] = {field: known[field] for field in ("method", "path", "parameters") if field in known}

    def make() -> dict[str, Any]:
        made: dict[str, Any] = {}
        event.add_request(made, {"request": shown})
        return made

    return encoded.part_of("request", encoded.key_of(shown), make) if shown else ""


def _section(facts: Mapping[str, object], name: str) -> dict[str, Any]:
    section = facts.get(name)
    return section if type(section) is dict else {}


def name_of(trace: Trace, facts: Mapping[str, object]) -> tuple[str, str]:
    """The name of a trace, and what it is made of, by Sentry's conventions. `facts` are the context that it ran in."""
    doing = work.current()
    if doing is None or doing.trace is not trace:
        return trace.name, "custom"
    name = facts.get("transaction")
    request = _section(facts, "request")
    if type(name) is str and name:
        kind = "task" if doing.kind.section else "custom" if not request else "route"
        return name, "component" if name == request.get("view") else kind
    path = request.get("path")
    return (words.place(path), "url") if type(path) is str and path else ("unknown", "custom")


def _data(trace: Trace, facts: Mapping[str, object], doing: work.Work | None) -> dict[str, Any]:
    """Data of the trace's own span, under Sentry's names."""
    request, task = _section(facts, "request"), _section(facts, doing.kind.section if doing is not None else "")
    known = {
        "http.request.method": request.get("method"), "http.route": request.get("route"),
        "code.function": request.get("view"), "messaging.message.id": task.get("id"),
        "messaging.destination.name": task.get("queue"), "messaging.message.retry.count": task.get("retries"),
    }  # fmt: skip
    data = {name: value for name, value in known.items() if type(value) in (str, int)}
    if trace.due is not None:
        # In milliseconds. Clocks of two machines differ: what seems to begin early has not waited.
        data["messaging.message.receive.latency"] = max(0, int((trace.epoch - trace.due) * 1000))
    return data


def _root(trace: Trace, doing: work.Work | None, kept: str, data: dict[str, Any]) -> str:
    """The context `trace`: the trace's own span."""
    status = "ok"
    if doing is not None and doing.status is not None:
        data["http.response.status_code"] = doing.status
        otherwise = ("ok", "ok", "ok", "ok", "invalid_argument", "internal_error")
        status = _STATUS.get(doing.status) or otherwise[min(5, max(0, doing.status // 100))]
    elif trace.failed or (doing is not None and doing.outcome == work.CRASHED):
        status = "internal_error"
    data["erp.kept"] = kept
    root = {"op": trace.op, "status": status, "origin": encoded.ORIGIN, "data": data}
    rest = encoded.part_of("root", (trace.op, status, encoded.key_of(data)), lambda: root)
    parent = f'"parent_span_id":"{trace.parent_span_id}",' if trace.parent_span_id else ""
    return f'"trace":{{"trace_id":"{trace.trace_id}","span_id":"{trace.span_id}",{parent}{rest}}}'
