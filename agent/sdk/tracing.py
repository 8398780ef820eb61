"""Monitored calls as spans of the transactions of whichever client is active, in both ways in which the SDK has spans.

The SDK is a parameter: `scope` alone imports it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..base import clocks, guard
from ..base.interrupts import ours
from ..base.records import Record
from ..hook.code import trampoline
from ..observe.call import callers
from ..observe.call.spans import OPERATIONS, Span
from ..observe.event import stack
from . import unsampled

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ..observe.call.naming import Named
    from ..observe.call.probe import Probe

#: Seconds after which a database span gets the place that it was called from, as the SDK's own do.
_SLOW_QUERY = 0.1


#: Set once the SDK is loaded: begins a span, or returns None where nothing is sampled.
_begin: Callable[[Probe], object] | None = None
_finish: Callable[[Any, bool], None] | None = None
#: Sets the SDK up for a `kind: transaction` in a process in which no framework did.
start: Callable[[], None] | None = None


def is_set_up() -> bool:
    return _begin is not None


def span_of(probe: Probe, _passable: tuple[str, ...]) -> Span:
    """What the code in a function of this probe calls."""
    return Span(trampoline.Callback(_enter, probe), trampoline.Callback(_leave))


def _enter(probe: Probe) -> object:
    try:
        if _begin is None:
            if start is None or probe.monitor["kind"] != "transaction":
                return None
            _start()
            if _begin is None:
                return None
        return _begin(probe)
    except ours(Exception):
        guard.swallow("beginning a span")
        return None


def _start() -> None:
    global start
    starting, start = start, None  # once
    if starting is not None:
        starting()


def _leave(_start: float, _result: object, span: object, failed: bool, *_: object) -> None:
    if span is None or _finish is None:
        return
    try:
        _finish(span, failed)
    except ours(Exception):
        guard.swallow("finishing a span")


class _Begun(Record):
    span: Any
    kind: str
    at: float  # of the probe's kind of clock


def follow(sentry_sdk: Any, client_for: Callable[[Probe], Any]) -> None:
    """Make monitored calls spans of whatever transaction is sampled.

    `client_for` returns the active client where a monitor's calls may be spans of it, else None.
    """
    global _begin, _finish
    sampled = unsampled.sampling(sentry_sdk)

    def begin(probe: Probe) -> _Begun | None:
        if probe.monitor["kind"] != "transaction" and not sampled():
            return None
        client = client_for(probe)
        if client is None:
            return None
        start = _start_streamed if streams(client) else _start_static
        span = start(sentry_sdk, probe.called(sys._getframe(2)), client)
        return None if span is None else _Begun(span, probe.monitor["kind"], clocks.perf_counter())

    def finish(begun: Any, failed: bool) -> None:
        if begun.kind == "database" and clocks.perf_counter() - begun.at > _SLOW_QUERY:
            _add_source(begun.span)
        _end(begun.span, failed)

    _begin, _finish = begin, finish


def streams(client: Any) -> bool:
    """Does this client send its spans as they end, and not in one transaction?"""
    options = client.options
    chosen = options.get("trace_lifecycle")
    if chosen is None:
        chosen = (options.get("_experiments") or {}).get("trace_lifecycle")
    return bool(chosen == "stream")


def current_span(sentry_sdk: Any, client: Any) -> Any:
    """The span that is under way, or None. A transaction that has ended has none: a pool's threads inherit such."""
    span = (sys.modules["sentry_sdk.traces"] if streams(client) else sentry_sdk).get_current_span()
    transaction = getattr(span, "containing_transaction", None)
    return None if getattr(transaction, "timestamp", None) is not None else span


def trace_of(holder: Any) -> dict[str, str]:
    """The context `trace` of an event that happened in this span. A scope holds the trace that came with a request."""
    known = holder._get_trace_context() if hasattr(holder, "_get_trace_context") else holder.get_trace_context()
    return {name: known[name] for name in ("trace_id", "span_id", "parent_span_id", "op") if known.get(name)}


def _end(span: Any, failed: bool) -> None:
    if hasattr(span, "end"):  # streamed
        span.status = "error" if failed else "ok"
        span.end()
    else:
        span.set_status("internal_error" if failed else "ok")
        span.__exit__(None, None, None)


def _words(called: Named) -> tuple[str, str, dict[str, str]]:
    monitor = called.monitor
    detail = monitor["detail"]
    operation = OPERATIONS.get(monitor["kind"]) or "db." + called.operation
    name = detail.get("name") or called.operation
    data = {"erp.operation": called.operation, "erp.monitor": monitor["name"], "code.function": called.path}
    if monitor["module"]:
        data["erp.module"] = monitor["module"]
    if monitor["kind"] == "database":
        name = f"{detail.get('model', '')} {called.operation}".strip()
        data["db.operation"] = called.operation
    return operation, name, data


def _start_static(sentry_sdk: Any, called: Named, client: Any) -> Any:
    parent = current_span(sentry_sdk, client)
    if parent is None:
        if called.monitor["kind"] != "transaction":
            return None
        operation, name, data = _words(called)
        span = sentry_sdk.start_transaction(op=operation, name=name, source="custom")
    elif not parent.sampled:
        return None
    else:
        operation, name, data = _words(called)
        span = parent.start_child(op=operation, description=name)
    for key, value in data.items():
        span.set_data(key, value)
        if key in ("erp.module", "erp.operation"):
            span.set_tag(key, value)
    span.__enter__()
    return span


def _start_streamed(sentry_sdk: Any, called: Named, client: Any) -> Any:
    parent = current_span(sentry_sdk, client)
    if parent is None and called.monitor["kind"] != "transaction":
        return None
    if parent is not None and not parent.sampled:
        return None
    operation, name, data = _words(called)
    return sys.modules["sentry_sdk.traces"].start_span(name=name, attributes={"sentry.op": operation, **data})


def _add_source(span: Any) -> None:
    """Where a slow statement was called from: the first frame that is neither ours nor a library's."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and callers.in_package(frame.f_code):
        frame = frame.f_back
    frame = frame.f_back if frame is not None else None  # that one is the monitored call itself
    while frame is not None:
        shown = None if callers.own_code(frame.f_code) else stack.frame_of(frame, frame.f_lineno or 0)
        if shown is not None and shown["in_app"]:
            break
        frame = frame.f_back
    else:
        return
    add = span.set_attribute if hasattr(span, "set_attribute") else span.set_data
    add("code.lineno", shown["lineno"])
    add("code.filepath", shown["filename"])
    add("code.namespace", shown.get("module", ""))
    add("code.function", shown["function"])
