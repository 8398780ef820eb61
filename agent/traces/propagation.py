"""The trace headers of a request or message that goes out, and what the head of a trace states of itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..base.interrupts import ours
from ..language.dsn import DsnError, parse_dsn
from ..observe.around import context as around
from ..observe.around import origin as origins
from ..observe.around import traces
from ..privacy.scrub import scrub_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from re import Pattern

    from ..base.model import Json, SentryData
    from ..observe.around.origin import Origin


class Outgoing:
    """What does not change between two requests: whose traces they are, and where their headers may go."""

    def __init__(self, sentry: SentryData, release: str | None) -> None:
        self._rate = sentry["traces_sample_rate"]
        self._w3c = sentry["propagate_traceparent"]
        self._head = {"environment": sentry["environment"], "release": release or ""}
        self.organisation = sentry["org_id"] or ""
        self._own = ""  # the address of Sentry, which gets no headers
        try:
            dsn = parse_dsn(sentry["dsn"]) if sentry["dsn"] is not None else None
        except ours(DsnError):
            dsn = None
        if dsn is not None:
            self.organisation = self.organisation or origins.organisation_of(dsn.host)
            self._own = dsn.address
            self._head.update(public_key=dsn.public_key, org_id=self.organisation)
        self._targets: list[Pattern[str]] | None = None
        if sentry["trace_propagation_targets"] is not None:
            from re import compile as compiled

            self._targets = [compiled(each) for each in sentry["trace_propagation_targets"]]

    def goes_to(self, url: str) -> bool:
        """Whether a request to this address may carry the trace."""
        if self._own and self._own in url:
            return False
        return self._targets is None or any(each.search(url) for each in self._targets)

    def context(self, origin: Origin, transaction: str = "") -> dict[str, str]:
        """The dynamic sampling context. Where this process is the head of the trace, it does not change any more.

        `transaction` is the name, where that is one of few: a route, and not a path.
        """
        if origin.context is None:
            found = {"trace_id": origin.trace_id, "sample_rand": "%.6f" % origin.rand, **self._head}
            if origin.sampled is not None:
                found["sample_rate"] = repr(self._rate)
                found["sampled"] = "true" if origin.sampled else "false"
            found["transaction"] = transaction
            origin.context = {name: value for name, value in found.items() if value}
        return origin.context

    def headers(self, origin: Origin, span_id: str, present: Callable[[str], str]) -> dict[str, str]:
        """The headers to set on what goes out in this span of a trace.

        `present` returns what a header of it has already, or "". Whoever has set one of them traces as well: it stays.
        """
        if present(origins.SENTRY_TRACE):
            return {}
        found = {origins.SENTRY_TRACE: origins.sentry_trace(origin, span_id)}
        existing = present(origins.BAGGAGE)
        if existing:
            whole = origins.baggage(self.context(origin), existing)
        else:
            whole = origin.written = origin.written or origins.baggage(self.context(origin))
        if whole != existing:
            found[origins.BAGGAGE] = whole
        if (self._w3c or origin.w3c) and not present(origins.TRACEPARENT):
            found[origins.TRACEPARENT] = origins.traceparent(origin, span_id)
            if origin.tracestate and not present(origins.TRACESTATE):
                found[origins.TRACESTATE] = origin.tracestate
        return found


#: None: no trace is sent on.
in_force: Outgoing | None = None


def follow(sends: Outgoing | None, *, strict: bool = False) -> None:
    """Another configuration is in force."""
    global in_force
    in_force = sends
    traces.organisation, traces.strict = sends.organisation if sends is not None else "", strict
    traces.header = header if sends is not None else None


def here() -> tuple[Origin, str] | None:
    """The trace that the calling thread is in, and the id of the span; None where it is in none."""
    ids = traces.current()
    return (ids.origin, ids.span_here(sys._getframe(1))) if ids is not None else None


def header(ids: traces.Ids, transaction: str | None = None, **changed: str) -> dict[str, Json]:
    """The header `trace` of an envelope: the dynamic sampling context; {} where there is none that Sentry could use.

    `transaction` is the trace's name, "" for one of too many; None: as far as the framework knows it by now.
    """
    if in_force is None:
        return {}
    if transaction is None and ids.origin.context is None:
        transaction = around.transaction() or getattr(ids, "name", "")
    found = in_force.context(ids.origin, transaction or "")
    if "public_key" not in found or "trace_id" not in found:
        return {}
    return {"trace": scrub_json({**found, **changed})}


def headers(present: Callable[[str], str], url: Callable[[], str] | None = None) -> dict[str, str]:
    """The headers to set on a message, or on a request to `url()`.

    `present` returns what a header of it has already, or "".
    """
    if in_force is None:
        return {}
    there = here()
    if there is None or (url is not None and not in_force.goes_to(url())):
        return {}
    origin, span_id = there
    if origin.context is None:
        in_force.context(origin, around.transaction() or getattr(traces.current(), "name", ""))
    return in_force.headers(origin, span_id, present)
