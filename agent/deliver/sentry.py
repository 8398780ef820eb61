"""The Sentry SDK, in the one file that imports it: framework integrations, tracing, and the host's own client.

Our own events do not need it. It is set up when a framework that it integrates with has been imported by the host, or
when a `kind: transaction` is called, and there is a DSN to send to. What it sends passes `private` and then our spool.
A client that the host set up itself stays as it is: our events go to our DSN and not through it; where we have none,
they go through it.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from .. import guard
from ..model import Envelope
from ..observe import causes, context, spans
from ..observe.represent import type_name
from . import private, wire
from .absent import Absent

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ..model import Event, SentryData
    from ..observe.probe import Probe

#: Framework → the SDK's integration for it. Set up when the host has imported the framework, which imports its parts.
_INTEGRATIONS = {
    "django": ("sentry_sdk.integrations.django", "DjangoIntegration"),
    "celery": ("sentry_sdk.integrations.celery", "CeleryIntegration"),
}

_OPERATIONS = {
    "function": "function",
    "business": "erp.process",
    "transaction": "erp.transaction",
    "api": "erp.api",
    "security": "erp.security",
}

#: Seconds after which a database span says where it was called from, as the SDK's own do.
_SLOW_QUERY = 0.1

#: The frameworks whose integration is set up so far; None before the SDK is.
_set_up: dict[str, Any] | None = None
_under_way: set[str] = set()
#: Our client. Another one that is active is the host's.
_own: Any = None


def set_up(framework: str, sentry: SentryData, keep: Callable[[Envelope], None]) -> str:
    """Integrate the SDK with a framework that the host has just imported, or with none (""); answers in words.

    `keep` takes the SDK's envelopes. Raises ImportError where there is no SDK.
    """
    global _set_up, _own
    chosen = sentry["integrations"]
    if framework and (framework not in _INTEGRATIONS or (chosen != "auto" and framework not in chosen)):
        return f"{framework} is not to be integrated"
    sentry_sdk = _sdk()
    active = _client(sentry_sdk)
    if active is not None and active is not _own:
        _trace(sentry_sdk, sentry)
        return "the host's own Sentry client is left as it is"
    if framework in _under_way or (_set_up is not None and framework in {*_set_up, ""}):
        return _in_words()
    integrations = dict(_set_up or {})
    if framework and _being_imported(_INTEGRATIONS[framework][0]):
        return f"the host itself integrates the Sentry SDK with {framework}"
    if framework:
        _under_way.add(framework)  # the integration imports parts of the framework, whose import brings us here again
        try:
            module, attribute = _INTEGRATIONS[framework]
            __import__(module)
            integrations[framework] = getattr(sys.modules[module], attribute)()
        finally:
            _under_way.discard(framework)
    sentry_sdk.init(**_options(sentry, list(integrations.values()), keep))
    _own = _client(sentry_sdk)
    _set_up = integrations
    _trace(sentry_sdk, sentry)
    return _in_words()


def _being_imported(module: str) -> bool:
    """Is the host, further up this stack, importing the SDK's integration, which imports the framework?"""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _options(sentry: SentryData, integrations: list[Any], keep: Callable[[Envelope], None]) -> Any:
    """Our settings, in the words of the SDK's version: what it does not know, `private` sees to."""
    nothing = {"mode": "off"}
    known = sys.modules["sentry_sdk.consts"].DEFAULT_OPTIONS
    options: dict[str, Any] = {
        "dsn": sentry["dsn"],
        "environment": sentry["environment"],
        "release": sentry["release"],
        "sample_rate": sentry["sample_rate"],
        "traces_sample_rate": sentry["traces_sample_rate"],
        "profiles_sample_rate": sentry["profiles_sample_rate"] or None,
        "debug": sentry["debug"],
        "default_integrations": False,  # no exit hook that waits and prints, no log line turned into an event
        "auto_enabling_integrations": False,
        "integrations": integrations,
        "include_local_variables": False,
        "max_request_body_size": "never",
        "custom_repr": _type_only,
        "spotlight": False,
        "enable_logs": False,
        "transport": _transport(sentry, keep),
        "before_send": _before_send,
    }
    if "data_collection" in known:
        options["data_collection"] = {
            "user_info": True,  # of which `private` lets pass what is configured, the id by default
            "cookies": nothing, "http_headers": {"request": nothing}, "http_bodies": [], "url_query_params": nothing,
            "graphql": {"document": False, "variables": False}, "gen_ai": {"inputs": False, "outputs": False},
            "database_query_data": False, "queues": False, "stack_frame_variables": False,
        }  # fmt: skip
    else:
        options["send_default_pii"] = False
    return {name: value for name, value in options.items() if name in known}


def _type_only(value: object) -> str:
    """In place of `repr`, which is the host's code and may run a query."""
    return f"<{type_name(type(value))}>"


def _in_words() -> str:
    return "integrated with " + ", ".join(_set_up) if _set_up else "set up without a framework"


def version() -> str | None:
    """The SDK's version, or None where it cannot be imported."""
    try:
        return str(_sdk().VERSION)
    except ImportError:
        return None


def performance_envelope(sentry: SentryData) -> Envelope:
    """A transaction with two spans, made and sampled by the SDK itself, as `test --performance` sends it."""
    sentry_sdk = _sdk()
    kept: list[Envelope] = []
    client = sentry_sdk.Client(
        dsn=sentry["dsn"] or "http://key@localhost/1",
        environment=sentry["environment"],
        release=sentry["release"],
        traces_sample_rate=1.0,
        default_integrations=False,
        auto_enabling_integrations=False,
        transport=_transport(sentry, kept.append),
    )
    if hasattr(sentry_sdk, "new_scope"):
        with sentry_sdk.new_scope() as scope:
            scope.set_client(client)
            _test_transaction(sentry_sdk)
    else:
        with sentry_sdk.Hub(client):
            _test_transaction(sentry_sdk)
    client.close(timeout=0)
    return kept[0]


def _test_transaction(sentry_sdk: Any) -> None:
    with sentry_sdk.start_transaction(op="erp.test", name="agent test --performance") as transaction:
        transaction.set_tag("erp.module", "agent")
        transaction.set_tag("erp.operation", "test")
        with transaction.start_child(op="db.query", description="SELECT a test query"):
            pass
        with transaction.start_child(op="function", description="a test function"):
            pass


def _sdk() -> Any:
    """The SDK, imported without what it would drag into the host. Raises ImportError."""
    with Absent():
        import sentry_sdk
    return sentry_sdk


def _client(sentry_sdk: Any) -> Any:
    """The active client, whoever set it up, or None."""
    if hasattr(sentry_sdk, "get_client"):
        client = sentry_sdk.get_client()
        return client if client.is_active() else None
    return sentry_sdk.Hub.current.client


def _transport(sentry: SentryData, keep: Callable[[Envelope], None]) -> Any:
    base = sys.modules["sentry_sdk.transport"].Transport

    class SpoolTransport(base):  # type: ignore[misc, valid-type]
        """Puts what the SDK sends where our own events go: on disk, under its own id, without what is private."""

        def capture_envelope(self, envelope: Any) -> None:
            try:
                items = [(item.headers, item.payload.get_bytes()) for item in envelope.items]
                data = private.envelope(envelope.headers, items, sentry)
                if data is not None:
                    event_id = envelope.headers.get("event_id") or os.urandom(16).hex()
                    category = wire.category_of(item.type for item in envelope.items)
                    keep(Envelope(str(event_id).replace("-", ""), category, data))
            except Exception:
                guard.swallow("keeping an envelope of the Sentry SDK")

        def capture_event(self, event: Any) -> None:
            envelope = sys.modules["sentry_sdk.envelope"].Envelope(headers={"event_id": event.get("event_id")})
            envelope.add_event(event)
            self.capture_envelope(envelope)

    return SpoolTransport


def _before_send(event: Any, hint: dict[str, Any]) -> Any:
    try:
        error = (hint.get("exc_info") or (None, None, None))[1]
        if error is not None and causes.reported_by_a_monitor(error):
            _note_in_session(event)
            return None
        return event
    except Exception:
        guard.swallow("looking at an event of the Sentry SDK")
        return None


def _note_in_session(event: Any) -> None:
    """An event that is dropped because ours says the same must still count in release health."""
    sentry_sdk = sys.modules["sentry_sdk"]
    scope = sentry_sdk.get_isolation_scope() if hasattr(sentry_sdk, "get_isolation_scope") else None
    scope = scope or sentry_sdk.Hub.current.scope
    session, client = getattr(scope, "_session", None), _client(sentry_sdk)
    if session is not None and client is not None:
        client._update_session_from_event(session, event)


# ------------------------------------------------------------------------------------------------ the host's client

_following = False


def hand_over(event: Event) -> bool:
    """Give an event to the client that the host set up, where we have no DSN of our own; its hooks and scope apply."""
    global _following
    sentry_sdk: Any = sys.modules.get("sentry_sdk")
    client = _client(sentry_sdk) if sentry_sdk is not None and hasattr(sentry_sdk, "capture_event") else None
    if client is None or client is _own or not client.options.get("dsn"):
        return False
    if not _following:
        _following = True
        # What its integrations report once more is left out, as it is where the client is ours.
        sys.modules["sentry_sdk.scope"].add_global_event_processor(_once)
    return sentry_sdk.capture_event(dict(event)) is not None


def _once(event: Any, hint: dict[str, Any]) -> Any:
    return event if event.get("type") == "transaction" or not hint.get("exc_info") else _before_send(event, hint)


def host_traces() -> bool:
    """Has the host set up a client that samples transactions? Then, without a DSN of our own, our spans are its."""
    sentry_sdk: Any = sys.modules.get("sentry_sdk")
    if sentry_sdk is None or not hasattr(sentry_sdk, "capture_event"):
        return False
    client = _client(sentry_sdk)
    if client is None or not (client.options.get("traces_sample_rate") or client.options.get("traces_sampler")):
        return False
    _trace(sentry_sdk, None)
    return True


# ------------------------------------------------------------------------------------------------------------ tracing


def _streams(client: Any) -> bool:
    """Does this client send its spans as they end, and not in one transaction?"""
    options = client.options
    said = options.get("trace_lifecycle")
    if said is None:
        said = (options.get("_experiments") or {}).get("trace_lifecycle")
    return bool(said == "stream")


def _trace(sentry_sdk: Any, sentry: SentryData | None) -> None:
    """From now on monitored calls are spans of whatever transaction is sampled.

    With a DSN of our own, only of our own client's transactions, but for monitors that say `span: always`.
    """
    anywhere = sentry is None or sentry["dsn"] is None

    def begin(probe: Probe) -> Any:
        client = _client(sentry_sdk)
        if client is None or (client is not _own and not anywhere and probe.monitor["span"] != "always"):
            return None
        span = _start_streamed(probe) if _streams(client) else _start_static(sentry_sdk, probe)
        return None if span is None else (span, probe.monitor["kind"], time.perf_counter())

    def finish(token: Any, failed: bool) -> None:
        span, kind, began = token
        if kind == "database" and time.perf_counter() - began > _SLOW_QUERY:
            _add_source(span)
        if hasattr(span, "end"):  # streamed
            span.status = "error" if failed else "ok"
            span.end()
        else:
            span.set_status("internal_error" if failed else "ok")
            span.__exit__(None, None, None)

    def current() -> dict[str, object]:
        client = _client(sentry_sdk)
        if client is None or (client is not _own and not anywhere):
            return {}
        spans_of = sys.modules["sentry_sdk.traces"] if _streams(client) else sentry_sdk
        span = spans_of.get_current_span()
        if span is None:
            return {}
        known = span._get_trace_context() if hasattr(span, "_get_trace_context") else span.get_trace_context()
        names = ("trace_id", "span_id", "parent_span_id", "op")
        return {"trace": {name: known[name] for name in names if known.get(name)}}

    spans.begin, spans.finish = begin, finish
    context.register("sentry", current)


def _words(probe: Probe) -> tuple[str, str, dict[str, str]]:
    monitor = probe.monitor
    detail = monitor["detail"]
    operation = _OPERATIONS.get(monitor["kind"]) or "db." + probe.operation
    name = detail.get("name") or probe.operation
    data = {"erp.operation": probe.operation, "erp.monitor": monitor["name"], "code.function": probe.path}
    if monitor["module"]:
        data["erp.module"] = monitor["module"]
    if monitor["kind"] == "database":
        name = f"{detail.get('model', '')} {probe.operation}".strip()
        data["db.operation"] = probe.operation
    return operation, name, data


def _start_static(sentry_sdk: Any, probe: Probe) -> Any:
    parent = sentry_sdk.get_current_span()
    if parent is None:
        if probe.monitor["kind"] != "transaction":
            return None
        operation, name, data = _words(probe)
        span = sentry_sdk.start_transaction(op=operation, name=name, source="custom")
    elif not parent.sampled:
        return None
    else:
        operation, name, data = _words(probe)
        span = parent.start_child(op=operation, description=name)
    for key, value in data.items():
        span.set_data(key, value)
        if key in ("erp.module", "erp.operation"):
            span.set_tag(key, value)
    span.__enter__()
    return span


def _start_streamed(probe: Probe) -> Any:
    traces = sys.modules["sentry_sdk.traces"]
    parent = traces.get_current_span()
    if parent is None and probe.monitor["kind"] != "transaction":
        return None
    if parent is not None and not parent.sampled:
        return None
    operation, name, data = _words(probe)
    return traces.start_span(name=name, attributes={"sentry.op": operation, **data})


def _add_source(span: Any) -> None:
    """Where a slow statement was called from: the first frame that is neither ours nor a library's."""
    from ..observe import stack

    frame: FrameType | None = sys._getframe(2)
    while frame is not None and causes.in_package(frame.f_code):
        frame = frame.f_back
    frame = frame.f_back if frame is not None else None  # that one is the monitored call itself
    while frame is not None:
        if not causes.own_code(frame.f_code) and stack.looks_like_the_erp(frame.f_code.co_filename):
            break
        frame = frame.f_back
    else:
        return
    add = span.set_attribute if hasattr(span, "set_attribute") else span.set_data
    add("code.lineno", frame.f_lineno)
    add("code.filepath", os.path.basename(frame.f_code.co_filename))
    add("code.namespace", str(frame.f_globals.get("__name__")))
    add("code.function", frame.f_code.co_name)
