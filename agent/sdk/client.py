"""The agent's own Sentry client: framework integrations and tracing by the SDK, through the gate and the spool.

Our own events do not need it. It is set up when a framework that it integrates with has been imported by the host, or
when a `kind: transaction` is called, and there is a DSN to send to. What it sends passes `gate` and then our spool.
A client that the host set up itself stays as it is: see `host`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ..base import guard
from ..base.interrupts import ours
from ..base.model import Envelope
from ..base.slots import traceback_of
from ..deliver import wire
from ..language.dsn import SHARED, same_project
from ..observe.around import context, release
from ..observe.event.represent import type_name
from . import gate, host, scope, unsampled
from .import_block import Absent

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.model import SentryData

#: Framework → the SDK's integration for it. Set up when the host has imported the framework, which imports its parts.
_INTEGRATIONS = {
    "django": ("sentry_sdk.integrations.django", "DjangoIntegration"),
    "celery": ("sentry_sdk.integrations.celery", "CeleryIntegration"),
}

#: Carries the scope, and with it the transaction, into the threads that the ERP starts.
_THREADS = ("sentry_sdk.integrations.threading", "ThreadingIntegration")

_LOGGING = ("sentry_sdk.integrations.logging", "LoggingIntegration")

#: What the SDK's integrations import only to read its version.
_IMPORTED_FOR_VERSIONS = ("django", "channels", "gevent", "eventlet")

#: Kinds of spans that can be switched on or off: each costs every request something.
_SPANS = {"django": ("middleware_spans", "cache_spans", "signals_spans")}
#: Of these, the kinds whose option the integration reads at every request.
_SPANS_BY_REQUEST = {"django": ("middleware_spans", "signals_spans")}

#: The frameworks whose integration is set up so far; None before the SDK is.
_set_up: dict[str, Any] | None = None
_under_way: set[str] = set()


def set_up(framework: str, sentry: SentryData, keep: Callable[[Envelope], None]) -> str:
    """Integrate the SDK with a framework that the host has just imported, or with none (""). Return what was done.

    `keep` takes the SDK's envelopes. Raises ImportError where there is no SDK.
    """
    global _set_up
    chosen = sentry["integrations"]
    if framework and chosen != "auto" and framework not in chosen:
        return f"{framework} is not to be integrated"
    if framework not in _INTEGRATIONS:
        framework = ""
    sentry_sdk = scope.load_sdk()
    active = scope.active_client(sentry_sdk)
    if active is not None and not scope.is_own(active):
        scope.trace(sentry_sdk, sentry)
        shared = same_project(sentry["dsn"], active.options.get("dsn"))
        return SHARED if shared else "the host's own Sentry client is left as it is"
    if framework in _under_way or (_set_up is not None and framework in {*_set_up, ""}):
        return _outcome()
    integrations = dict(_set_up or {})
    if framework and _being_imported(_INTEGRATIONS[framework][0]):
        return f"the host itself integrates the Sentry SDK with {framework}"
    if framework:
        _under_way.add(framework)  # the integration imports parts of the framework, whose import calls this again
        try:
            integrations[framework] = _integration(_loaded(_INTEGRATIONS[framework]), framework, sentry)
        finally:
            _under_way.discard(framework)
    everything = [*integrations.values(), *_threads(sentry), *_logging(sentry)]
    with Absent(_IMPORTED_FOR_VERSIONS):
        sentry_sdk.init(**_options(sentry, everything, keep))
    own = scope.own_client = scope.active_client(sentry_sdk)
    if not own.options["release"]:
        own.options["release"] = None  # so that sessions, which are counted by release, are not kept
    _set_up = integrations
    if framework == "django":
        unsampled.statements(sentry_sdk, unsampled.sampling(sentry_sdk))
    scope.trace(sentry_sdk, sentry)
    return _outcome()


def is_integrated(framework: str) -> bool:
    """Does a client of the host's, or our integration, see what ends this framework's requests and tasks?

    `web` stands for every framework: the server's requests are counted once.
    """
    return host.is_active() or framework in (_set_up or ()) or (framework == "web" and bool(_set_up))


def _loaded(integration: tuple[str, str]) -> Any:
    module, attribute = integration
    __import__(module)
    return getattr(sys.modules[module], attribute)


def _threads(sentry: SentryData) -> list[Any]:
    """Spans of a thread belong to the transaction that started it. Where nothing is traced, threads are left alone."""
    chosen = sentry["integrations"]
    if not sentry["traces_sample_rate"] or (chosen != "auto" and "threading" not in chosen):
        return []
    integration = _loaded(_THREADS)
    try:
        return [integration(propagate_scope=True)]
    except ours(TypeError):  # before 2.0
        return [integration(propagate_hub=True)]


def _logging(sentry: SentryData) -> list[Any]:
    """What the host logs from INFO on becomes breadcrumbs of later events, without values; no log line is an event."""
    chosen = sentry["integrations"]
    if "logging" not in sys.modules or (chosen != "auto" and "logging" not in chosen):
        return []
    return [_loaded(_LOGGING)(event_level=None)]


def _integration(cls: Any, framework: str, sentry: SentryData) -> Any:
    """An integration that makes all spans that it can, or none where nothing is traced.

    Older versions have fewer of these options.
    """
    known = cls.__init__.__code__.co_varnames
    traced = sentry["traces_sample_rate"] > 0
    if traced:
        names = [name for name in _SPANS_BY_REQUEST.get(framework, ()) if name in known]
        cls = unsampled.with_options_while(unsampled.sampling(scope.load_sdk()), cls, names)
    return cls(**{name: traced for name in _SPANS.get(framework, ()) if name in known})


def _being_imported(module: str) -> bool:
    """Is the host, further up this stack, importing the SDK's integration, which imports the framework?"""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _options(sentry: SentryData, integrations: list[Any], keep: Callable[[Envelope], None]) -> Any:
    """Our settings as options of the installed SDK. What its version has no option for, `gate` removes."""
    nothing = {"mode": "off"}
    known = sys.modules["sentry_sdk.consts"].DEFAULT_OPTIONS
    options: dict[str, Any] = {
        "dsn": sentry["dsn"],
        "environment": sentry["environment"],
        "release": _release(sentry),
        "sample_rate": sentry["sample_rate"],
        # Not 0.0, with which a request that was sampled where it came from would be sampled here as well.
        "traces_sample_rate": sentry["traces_sample_rate"] or None,
        "profiles_sample_rate": sentry["profiles_sample_rate"] or None,
        "strict_trace_continuation": sentry["strict_trace_continuation"],
        "org_id": sentry["org_id"],
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
        "before_breadcrumb": _before_breadcrumb,
    }
    if sentry["trace_propagation_targets"] is not None:
        options["trace_propagation_targets"] = sentry["trace_propagation_targets"]
    if "data_collection" in known:
        options["data_collection"] = {
            "user_info": False,  # with it the SDK would evaluate Django's lazy user, with a query: see `note_user`
            "cookies": nothing, "http_headers": {"request": nothing}, "http_bodies": [], "url_query_params": nothing,
            "graphql": {"document": False, "variables": False}, "gen_ai": {"inputs": False, "outputs": False},
            "database_query_data": False, "queues": False, "stack_frame_variables": False,
        }  # fmt: skip
    else:
        options["send_default_pii"] = False
    return {name: value for name, value in options.items() if name in known}


def _release(sentry: SentryData) -> str:
    """The release of monitors' events. Empty, and not None, where there is none: with None the SDK would run git."""
    return sentry["release"] or release.of_checkout() or ""


def _type_only(value: object) -> str:
    """In place of `repr`, which is the host's code and may run a query."""
    return f"<{type_name(type(value))}>"


def _outcome() -> str:
    return "integrated with " + ", ".join(_set_up) if _set_up else "set up without a framework"


def performance_envelope(sentry: SentryData) -> Envelope:
    """A transaction with two spans, made and sampled by the SDK itself, as `test --performance` sends it."""
    sentry_sdk = scope.load_sdk()
    kept: list[Envelope] = []
    client = sentry_sdk.Client(
        dsn=sentry["dsn"] or "http://key@localhost/1",
        environment=sentry["environment"],
        release=_release(sentry),
        traces_sample_rate=1.0,
        default_integrations=False,
        auto_enabling_integrations=False,
        transport=_transport(sentry, kept.append),
    )
    if hasattr(sentry_sdk, "new_scope"):
        with sentry_sdk.new_scope() as current:
            current.set_client(client)
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


def _transport(sentry: SentryData, keep: Callable[[Envelope], None]) -> Any:
    base = sys.modules["sentry_sdk.transport"].Transport

    class SpoolTransport(base):  # type: ignore[misc, valid-type]
        """Puts what the SDK sends where our own events go: on disk, under its own id, without what is private."""

        def capture_envelope(self, envelope: Any) -> None:
            try:
                items = [(item.headers, item.payload.get_bytes()) for item in envelope.items]
                data = gate.envelope(envelope.headers, items, sentry)
                if data is not None:
                    event_id = envelope.headers.get("event_id") or os.urandom(16).hex()
                    category = wire.category_of(item.type for item in envelope.items)
                    keep(Envelope(str(event_id).replace("-", ""), category, data))
            except ours(Exception):
                guard.swallow("keeping an envelope of the Sentry SDK")

        def capture_event(self, event: Any) -> None:
            envelope = sys.modules["sentry_sdk.envelope"].Envelope(headers={"event_id": event.get("event_id")})
            envelope.add_event(event)
            self.capture_envelope(envelope)

    return SpoolTransport


def _before_send(event: Any, hint: dict[str, Any]) -> Any:
    try:
        error = (hint.get("exc_info") or (None, None, None))[1]
        if scope.already_reported(error):
            scope.note_in_session(event)
            return None
        if _is_a_tasks(event) or (error is not None and _is_no_request(error)):
            return None
        if not event.get("user"):
            known = context.collect().get("user")
            if isinstance(known, dict):
                event["user"] = _user(known)
        return event
    except ours(Exception):
        guard.swallow("looking at an event of the Sentry SDK")
        return None


def _is_a_tasks(event: Any) -> bool:
    """Our Celery integration reports it a moment later, when Celery has decided that the task has failed for good."""
    values = (event.get("exception") or {}).get("values") or ()
    return any((value.get("mechanism") or {}).get("type") == "celery" for value in values if isinstance(value, dict))


def _is_no_request(error: BaseException) -> bool:
    """A starting ASGI server tries the lifespan protocol. Django refuses it with an exception: that is no failure."""
    entry = traceback_of(error)
    while entry is not None and entry.tb_next is not None:
        entry = entry.tb_next
    if entry is None or type(error) is not ValueError:
        return False
    frame = entry.tb_frame
    return frame.f_code.co_name == "__call__" and frame.f_globals.get("__name__") == "django.core.handlers.asgi"


def _sdk_of_own_client() -> Any:
    """The SDK where our client is the active one, else None."""
    sentry_sdk: Any = sys.modules.get("sentry_sdk")
    own = sentry_sdk is not None and scope.own_client is not None and scope.is_own(scope.active_client(sentry_sdk))
    return sentry_sdk if own else None


def note_user(user: Callable[[], dict[str, object]]) -> None:
    """Put the user on the transaction of a request that ends, if the host has looked the user up.

    `user` returns the user's fields. It is called only where the transaction is sampled.
    """
    sentry_sdk = _sdk_of_own_client()
    if sentry_sdk is None or not unsampled.sampling(sentry_sdk)():
        return
    known = user()
    if known:
        sentry_sdk.set_user(_user(known))


def _user(known: Any) -> dict[str, object]:
    """The user under the SDK's names; `gate` keeps what is configured, by default the id."""
    return {"ip_address" if name == "ip" else name: value for name, value in known.items()}


def _before_breadcrumb(crumb: Any, hint: dict[str, Any]) -> Any:
    """Of a log line the unformatted text and its place, for `gate`, which keeps what the source has in it."""
    try:
        record: Any = hint.get("log_record")
        written = getattr(record, "msg", None)
        if written is not None:
            if type(written) is str:
                crumb["message"] = written
                crumb["data"] = {gate.LINE: [record.pathname, record.lineno, not record.args]}
            else:
                crumb["message"] = type_name(type(written))
        return crumb
    except ours(Exception):
        guard.swallow("looking at a breadcrumb of the Sentry SDK")
        return None


def count_error() -> None:
    """An error was reported: mark the session of our own client, if there is one, as errored.

    The SDK's integrations decide whether it has crashed: they see what nobody handles.
    """
    try:
        sentry_sdk = _sdk_of_own_client()
        session = scope.session(sentry_sdk) if sentry_sdk is not None else None
        if session is not None:
            session.update(errors=session.errors + 1)
    except ours(Exception):
        guard.swallow("counting an error in its session")
