"""The Sentry SDK, in the one file that imports it: framework integrations, tracing, and scopes.

Our own events do not need it. It is set up when a framework that it integrates with has been imported by the host and
there is a DSN to send to; a client that the host set up itself stays as it is. What the SDK sends goes through our
spool, and an exception that a monitor has reported is dropped from what it would report again.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from .. import guard
from ..model import Envelope
from ..observe import causes, spans
from ..observe.represent import represent
from ..observe.scrub import scrub
from . import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..model import SentryData
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

#: The frameworks whose integration is set up so far; None before the SDK is.
_set_up: dict[str, Any] | None = None
_under_way: set[str] = set()


def set_up(framework: str, sentry: SentryData, keep: Callable[[Envelope], None]) -> str:
    """Integrate the SDK with a framework that the host has just imported; answers in words what was done.

    `keep` takes the SDK's envelopes. Raises ImportError where there is no SDK.
    """
    global _set_up
    chosen = sentry["integrations"]
    if framework not in _INTEGRATIONS or (chosen != "auto" and framework not in chosen):
        return f"{framework} is not to be integrated"
    import sentry_sdk

    if _set_up is None and _client(sentry_sdk) is not None:
        _trace(sentry_sdk)
        return "the host's own Sentry client is left as it is"
    if framework in _under_way or (_set_up is not None and framework in _set_up):
        return _in_words()
    _under_way.add(framework)  # the integration imports parts of the framework, whose import brings us here again
    try:
        module, attribute = _INTEGRATIONS[framework]
        __import__(module)
        integrations = {**(_set_up or {}), framework: getattr(sys.modules[module], attribute)()}
    finally:
        _under_way.discard(framework)
    sentry_sdk.init(
        dsn=sentry["dsn"],
        environment=sentry["environment"],
        release=sentry["release"],
        sample_rate=sentry["sample_rate"],
        traces_sample_rate=sentry["traces_sample_rate"],
        profiles_sample_rate=sentry["profiles_sample_rate"] or None,
        debug=sentry["debug"],
        default_integrations=False,  # no exit hook that waits and prints, no log line turned into an event
        auto_enabling_integrations=False,
        integrations=list(integrations.values()),
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        transport=_transport(keep),
        before_send=_before_send,
        before_send_transaction=_before_send_transaction,
    )
    for name, value in sentry["tags"].items():
        sentry_sdk.set_tag(name, value)
    _set_up = integrations
    _trace(sentry_sdk)
    return _in_words()


def _in_words() -> str:
    return "integrated with " + ", ".join(_set_up or ())


def version() -> str | None:
    """The SDK's version, or None where it cannot be imported."""
    try:
        import sentry_sdk
    except ImportError:
        return None
    return str(sentry_sdk.VERSION)


def performance_envelope(sentry: SentryData) -> Envelope:
    """A transaction with two spans, made and sampled by the SDK itself, as `test --performance` sends it."""
    import sentry_sdk

    kept: list[Envelope] = []
    scope_class = getattr(sentry_sdk, "Scope", None)
    client = sentry_sdk.Client(
        dsn=sentry["dsn"] or "http://key@localhost/1",
        environment=sentry["environment"],
        release=sentry["release"],
        traces_sample_rate=1.0,
        default_integrations=False,
        auto_enabling_integrations=False,
        transport=_transport(kept.append),
    )
    if scope_class is not None and hasattr(sentry_sdk, "new_scope"):
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


def _client(sentry_sdk: Any) -> Any:
    """The active client, whoever set it up, or None."""
    if hasattr(sentry_sdk, "get_client"):
        client = sentry_sdk.get_client()
        return client if client.is_active() else None
    return sentry_sdk.Hub.current.client


def _transport(keep: Callable[[Envelope], None]) -> Any:
    base = sys.modules["sentry_sdk.transport"].Transport

    class SpoolTransport(base):  # type: ignore[misc, valid-type]
        """Puts what the SDK sends where our own events go: on disk, under its own id."""

        def capture_envelope(self, envelope: Any) -> None:
            try:
                event_id = envelope.headers.get("event_id") or os.urandom(16).hex()
                category = wire.category_of(item.type for item in envelope.items)
                keep(Envelope(str(event_id).replace("-", ""), category, envelope.serialize()))
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
            return None
        return _scrubbed(event)
    except Exception:
        guard.swallow("scrubbing an event of the Sentry SDK")
        return None


def _before_send_transaction(event: Any, _: dict[str, Any]) -> Any:
    try:
        return _scrubbed(event)
    except Exception:
        guard.swallow("scrubbing a transaction of the Sentry SDK")
        return None


#: What the SDK itself must find unchanged: it serialises and routes by these.
_ROUTING = ("event_id", "timestamp", "start_timestamp", "type", "platform", "level", "sdk", "profile", "spans",
            "measurements", "transaction_info", "_metrics_summary", "_dropped_spans")  # fmt: skip


def _scrubbed(event: dict[str, Any]) -> dict[str, Any]:
    kept = {name: event[name] for name in _ROUTING if name in event}
    rest = {name: value for name, value in event.items() if name not in kept}
    result: dict[str, Any] = dict(scrub(represent(rest, depth=12, budget=20_000)))  # type: ignore[arg-type]
    if isinstance(kept.get("spans"), list):
        for span in kept["spans"]:
            if isinstance(span, dict):
                for name in ("description", "data", "tags"):
                    if span.get(name):
                        plain = represent({"v": span[name]}, depth=6, budget=200)
                        span[name] = scrub(plain)["v"]  # type: ignore[arg-type]
    return {**result, **kept}


def _trace(sentry_sdk: Any) -> None:
    """From now on monitored calls are spans of whatever transaction is sampled."""

    def begin(probe: Probe) -> object:
        parent = sentry_sdk.get_current_span()
        kind = probe.monitor["kind"]
        operation = _OPERATIONS.get(kind) or "db." + (probe.monitor["detail"].get("operation") or "query")
        if parent is None:
            if kind != "transaction":
                return None
            span = sentry_sdk.start_transaction(
                op=operation, name=probe.monitor["detail"].get("name") or probe.operation
            )
        elif not parent.sampled:
            return None
        else:
            span = parent.start_child(op=operation, description=probe.operation)
        for tag, value in (("erp.module", probe.monitor["module"]), ("erp.operation", probe.operation)):
            if value:
                span.set_tag(tag, value)
        span.__enter__()
        return span

    def finish(span: Any, failed: bool) -> None:
        span.set_status("internal_error" if failed else "ok")
        span.__exit__(None, None, None)

    spans.begin, spans.finish = begin, finish
