"""The Sentry SDK, in the one file that imports it: framework integrations, tracing, and the host's own client.

Our own events do not need it. It is set up when a framework that it integrates with has been imported by the host, or
when a `kind: transaction` is called, and there is a DSN to send to. What it sends passes `private` and then our spool.
A client that the host set up itself stays as it is: our events go to our DSN and not through it; where we have none,
they go through it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ..base import guard
from ..base.dsn import SHARED, same_project
from ..base.interrupts import ours
from ..base.model import Envelope
from ..base.slots import traceback_of
from ..deliver import wire
from ..observe.around import context, release
from ..observe.event.represent import type_name
from ..observe.failure import unmonitored
from . import gate, tracing, unsampled
from .import_block import Absent

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.model import Event, SentryData
    from ..observe.call.probe import Probe

#: Framework → the SDK's integration for it. Set up when the host has imported the framework, which imports its parts.
_INTEGRATIONS = {
    "django": ("sentry_sdk.integrations.django", "DjangoIntegration"),
    "celery": ("sentry_sdk.integrations.celery", "CeleryIntegration"),
}

#: What carries the scope, and with it the transaction, into the threads that the ERP starts.
_THREADS = ("sentry_sdk.integrations.threading", "ThreadingIntegration")

_LOGGING = ("sentry_sdk.integrations.logging", "LoggingIntegration")

#: The frameworks whose integration is set up so far; None before the SDK is.
_set_up: dict[str, Any] | None = None
_under_way: set[str] = set()
#: Our client. Another one that is active is the host's.
_own: Any = None


def set_up(framework: str, sentry: SentryData, keep: Callable[[Envelope], None], in_app: tuple[str, ...] = ()) -> str:
    """Integrate the SDK with a framework that the host has just imported, or with none (""); answers in words.

    `keep` takes the SDK's envelopes. `in_app` names packages that are the ERP's wherever they are installed. Raises
    ImportError where there is no SDK.
    """
    global _set_up, _own
    chosen = sentry["integrations"]
    if framework and (framework not in _INTEGRATIONS or (chosen != "auto" and framework not in chosen)):
        return f"{framework} is not to be integrated"
    sentry_sdk = _sdk()
    active = _client(sentry_sdk)
    if active is not None and active is not _own:
        _trace(sentry_sdk, sentry, in_app)
        shared = same_project(sentry["dsn"], active.options.get("dsn"))
        return SHARED if shared else "the host's own Sentry client is left as it is"
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
            integrations[framework] = _integration(getattr(sys.modules[module], attribute), framework, sentry)
        finally:
            _under_way.discard(framework)
    everything = [*integrations.values(), *_threads(sentry), *_logging(sentry)]
    with Absent(_ASKED_FOR):
        sentry_sdk.init(**_options(sentry, everything, keep))
    _own = _client(sentry_sdk)
    if not _own.options["release"]:
        _own.options["release"] = None  # so that sessions, which are counted by release, are not kept
    _set_up = integrations
    if framework == "django":
        unsampled.statements(sentry_sdk, unsampled.sampling(sentry_sdk))
    _trace(sentry_sdk, sentry, in_app)
    return _in_words()


def is_the_hosts() -> bool:
    """Is the active client one that the host set up?"""
    active = _client(_sdk())
    return active is not None and active is not _own


def is_integrated(framework: str) -> bool:
    """Does a client of the host's, or our integration, see what ends this framework's requests and tasks?"""
    return is_the_hosts() or framework in (_set_up or ())


#: What the SDK's integrations import only to look at its version.
_ASKED_FOR = ("django", "channels", "gevent", "eventlet")


def _threads(sentry: SentryData) -> list[Any]:
    """Spans of a thread belong to the transaction that started it. Where nothing is traced, threads are left alone."""
    chosen = sentry["integrations"]
    if not sentry["traces_sample_rate"] or (chosen != "auto" and "threading" not in chosen):
        return []
    module, attribute = _THREADS
    __import__(module)
    integration = getattr(sys.modules[module], attribute)
    try:
        return [integration(propagate_scope=True)]
    except ours(TypeError):  # before 2.0
        return [integration(propagate_hub=True)]


def _logging(sentry: SentryData) -> list[Any]:
    """What the host logs from INFO on becomes breadcrumbs of later events, without values; no log line is an event."""
    chosen = sentry["integrations"]
    if "logging" not in sys.modules or (chosen != "auto" and "logging" not in chosen):
        return []
    module, attribute = _LOGGING
    __import__(module)
    return [getattr(sys.modules[module], attribute)(event_level=None)]


#: The kinds of spans that can be had, or left out: each costs every request something…
_SPANS = {"django": ("middleware_spans", "cache_spans", "signals_spans")}
#: …but for these, which the integration asks for each time.
_ASKED_EACH_TIME = {"django": ("middleware_spans", "signals_spans")}


def _integration(cls: Any, framework: str, sentry: SentryData) -> Any:
    """An integration that makes spans of all that it can, or of nothing where nothing is traced.

    An older version's knows fewer kinds of them.
    """
    known = cls.__init__.__code__.co_varnames
    traced = sentry["traces_sample_rate"] > 0
    if traced:
        names = [name for name in _ASKED_EACH_TIME.get(framework, ()) if name in known]
        cls = unsampled.with_options_while(unsampled.sampling(_sdk()), cls, names)
    return cls(**{name: traced for name in _SPANS.get(framework, ()) if name in known})


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
        "release": _release(sentry),
        "sample_rate": sentry["sample_rate"],
        # Not 0.0, with which a request that was sampled where it came from would be sampled here as well.
        "traces_sample_rate": sentry["traces_sample_rate"] or None,
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
        "before_breadcrumb": _before_breadcrumb,
    }
    if "data_collection" in known:
        options["data_collection"] = {
            "user_info": False,  # to be told, the SDK would wake Django's lazy user, with a query: see `note_user`
            "cookies": nothing, "http_headers": {"request": nothing}, "http_bodies": [], "url_query_params": nothing,
            "graphql": {"document": False, "variables": False}, "gen_ai": {"inputs": False, "outputs": False},
            "database_query_data": False, "queues": False, "stack_frame_variables": False,
        }  # fmt: skip
    else:
        options["send_default_pii"] = False
    return {name: value for name, value in options.items() if name in known}


def _release(sentry: SentryData) -> str:
    """As events of monitors have it. Empty, and not None, where there is none: at that the SDK would run git."""
    return sentry["release"] or release.of_checkout() or ""


def _type_only(value: object) -> str:
    """In place of `repr`, which is the host's code and may run a query."""
    return f"<{type_name(type(value))}>"


def _in_words() -> str:
    return "integrated with " + ", ".join(_set_up) if _set_up else "set up without a framework"


def version() -> str | None:
    """The SDK's version, or None where it cannot be imported."""
    try:
        return str(_sdk().VERSION)
    except ours(ImportError):
        return None


def performance_envelope(sentry: SentryData) -> Envelope:
    """A transaction with two spans, made and sampled by the SDK itself, as `test --performance` sends it."""
    sentry_sdk = _sdk()
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
        if _is_told(error):
            _note_in_session(event)
            return None
        if _is_a_tasks(event):
            return None
        if error is not None and _is_no_request(error):
            return None
        if not event.get("user"):
            known = context.collect().get("user")
            if isinstance(known, dict):
                event["user"] = _user(known)
        return event
    except ours(Exception):
        guard.swallow("looking at an event of the Sentry SDK")
        return None


def _is_told(error: BaseException | None) -> bool:
    """Has an event of ours said it, so that another one would say it again?"""
    return error is not None and unmonitored.is_reported(error)


def _is_a_tasks(event: Any) -> bool:
    """`celery_failures` tells it a moment later, when Celery itself knows that the task has failed for good."""
    values = (event.get("exception") or {}).get("values") or ()
    return any((value.get("mechanism") or {}).get("type") == "celery" for value in values if isinstance(value, dict))


def _is_no_request(error: BaseException) -> bool:
    """An ASGI server that starts asks for the lifespan protocol. Django refuses with an exception, and all is well."""
    entry = traceback_of(error)
    while entry is not None and entry.tb_next is not None:
        entry = entry.tb_next
    if entry is None or type(error) is not ValueError:
        return False
    frame = entry.tb_frame
    return frame.f_code.co_name == "__call__" and frame.f_globals.get("__name__") == "django.core.handlers.asgi"


def note_user(user: Callable[[], dict[str, object]]) -> None:
    """A request ends: who the user was, if the host has asked for that, is said of its transaction too.

    `user` tells it, and is called only where the transaction is sampled.
    """
    sentry_sdk: Any = sys.modules.get("sentry_sdk")
    if _own is None or sentry_sdk is None or _client(sentry_sdk) is not _own or not unsampled.sampling(sentry_sdk)():
        return
    known = user()
    if known:
        sentry_sdk.set_user(_user(known))


def _user(known: Any) -> dict[str, object]:
    """In the SDK's words; `private` lets pass what is configured, by default the id."""
    return {"ip_address" if name == "ip" else name: value for name, value in known.items()}


def _before_breadcrumb(crumb: Any, hint: dict[str, Any]) -> Any:
    """Of a log line the text as it came and where, for `private`, which finds what of it is written in the source."""
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


def _note_in_session(event: Any) -> None:
    """An event that is dropped because ours says the same must still count in release health."""
    sentry_sdk = sys.modules["sentry_sdk"]
    session, client = _session(sentry_sdk), _client(sentry_sdk)
    if session is not None and client is not None:
        client._update_session_from_event(session, event)


def count_error() -> None:
    """An error was reported: the session of our own client, if there is one, is errored.

    Whether it has crashed, the SDK's integrations tell, which see what nobody deals with.
    """
    try:
        sentry_sdk = sys.modules.get("sentry_sdk")
        if sentry_sdk is not None and _own is not None and _client(sentry_sdk) is _own:
            session = _session(sentry_sdk)
            if session is not None:
                session.update(errors=session.errors + 1)
    except ours(Exception):
        guard.swallow("counting an error in its session")


def _session(sentry_sdk: Any) -> Any:
    return getattr(_scopes(sentry_sdk)[:2][-1], "_session", None)


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
    return sentry_sdk.capture_event(_without_verdict(event)) is not None


def _without_verdict(event: Event) -> dict[str, Any]:
    """That an exception left an operation crashes nobody's session: whether it did, the host's integrations say."""
    held: dict[str, Any] = dict(event)
    values = (held.get("exception") or {}).get("values") or ()
    if values:
        told = [{**each, "mechanism": {**each["mechanism"], "handled": None}} for each in values]
        held["exception"] = {"values": told}
    return held


def _once(event: Any, hint: dict[str, Any]) -> Any:
    """Whatever else its integrations report stays: nobody but them tells of it."""
    try:
        error = (hint.get("exc_info") or (None, None, None))[1]
        if event.get("type") != "transaction" and _is_told(error):
            _note_in_session(event)
            return None
    except ours(Exception):
        guard.swallow("looking at an event of the host's Sentry client")
    return event


def host_traces(in_app: tuple[str, ...] = ()) -> bool:
    """Has the host set up a client that samples transactions? Then, without a DSN of our own, our spans are its."""
    sentry_sdk: Any = sys.modules.get("sentry_sdk")
    if sentry_sdk is None or not hasattr(sentry_sdk, "capture_event"):
        return False
    client = _client(sentry_sdk)
    if client is None or not (client.options.get("traces_sample_rate") or client.options.get("traces_sampler")):
        return False
    _trace(sentry_sdk, None, in_app)
    return True


# ---------------------------------------------------------------------------------------------- spans and the scope

_MOST_CRUMBS = 10  # the last ones of the scope, in an event; each costs the calling thread a dozen microseconds


def _trace(sentry_sdk: Any, sentry: SentryData | None, in_app: tuple[str, ...] = ()) -> None:
    """From now on monitored calls are spans, and events tell their trace and what the scope knows.

    With a DSN of our own, only of our own client's transactions, but for monitors that say `span: always`; and only the
    scope of our own client, whose tags nobody else's events should have.
    """
    anywhere = sentry is None or sentry["dsn"] is None

    def client_for(probe: Probe) -> Any:
        client = _client(sentry_sdk)
        return client if client is _own or anywhere or probe.monitor["span"] == "always" else None

    def current() -> dict[str, object]:
        client = _client(sentry_sdk)
        if client is None or (client is not _own and not anywhere):
            return {}
        holder = tracing.current_span(sentry_sdk, client)
        if holder is None and client is _own:
            holder = next((scope for scope in _scopes(sentry_sdk)[1:2] if hasattr(scope, "get_trace_context")), None)
        facts: dict[str, object] = {"trace": tracing.trace_of(holder)} if holder is not None else {}
        return {**facts, **_of_scope(sentry_sdk)} if client is _own else facts

    tracing.follow(sentry_sdk, client_for, in_app)
    context.register("sentry", current)


def _of_scope(sentry_sdk: Any) -> dict[str, object]:
    """The breadcrumbs, tags and user that integrations, or the ERP itself, have put on the scope."""
    crumbs: list[Any] = []
    tags: dict[str, object] = {}
    user: dict[str, object] = {}
    for scope in _scopes(sentry_sdk):
        crumbs += getattr(scope, "_breadcrumbs", ())
        tags.update(getattr(scope, "_tags", None) or {})
        user.update(getattr(scope, "_user", None) or {})
    last = [gate.crumb({**each, "timestamp": _moment(each)}) for each in crumbs[-_MOST_CRUMBS:]]
    if "ip_address" in user:
        user["ip"] = user["ip_address"]
    facts: dict[str, object] = {"breadcrumbs": last, "tags": tags, "user": user}
    return {name: value for name, value in facts.items() if value}


def _scopes(sentry_sdk: Any) -> list[Any]:
    """The global, the isolation and the current scope; before 2.0 there is one."""
    scope = sys.modules["sentry_sdk.scope"].Scope
    if not hasattr(scope, "get_isolation_scope"):
        return [sentry_sdk.Hub.current.scope]
    return [scope.get_global_scope(), scope.get_isolation_scope(), scope.get_current_scope()]


def _moment(crumb: dict[str, Any]) -> object:
    """The SDK's datetime, which is UTC in all versions and says so in some."""
    moment: Any = crumb.get("timestamp")
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if hasattr(moment, "strftime") else moment
