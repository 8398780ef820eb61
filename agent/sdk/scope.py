"""The Sentry SDK's active client and scope, in versions 1 and 2; the one file that imports the SDK.

`client` is the agent's own client, `host` one that the host set up itself.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..base.imports import Lent
from ..observe.around import context
from ..observe.failure import unmonitored
from . import gate, tracing
from .import_block import Absent

if TYPE_CHECKING:
    from ..base.model import SentryData
    from ..observe.call.probe import Probe

#: The client that the agent set up. Another one that is active is the host's.
own_client: Any = None

_MOST_CRUMBS = 10  # the last ones of the scope, in an event; each costs the calling thread a dozen microseconds


def load_sdk() -> Any:
    """Import the SDK without what it would import into the host. Raises ImportError."""
    with Absent(), Lent():
        import sentry_sdk
    return sentry_sdk


def loaded_sdk() -> Any:
    """The SDK if the host has loaded all of it, else None: its import may be under way."""
    sentry_sdk: Any = sys.modules.get("sentry_sdk")
    return sentry_sdk if hasattr(sentry_sdk, "capture_event") else None


def active_client(sentry_sdk: Any) -> Any:
    """The active client, whoever set it up, or None."""
    if hasattr(sentry_sdk, "get_client"):
        client = sentry_sdk.get_client()
        return client if client.is_active() else None
    return sentry_sdk.Hub.current.client


def is_own(client: Any) -> bool:
    return client is not None and client is own_client


def scopes(sentry_sdk: Any) -> list[Any]:
    """The global, the isolation and the current scope; before 2.0 there is one."""
    scope = sys.modules["sentry_sdk.scope"].Scope
    if not hasattr(scope, "get_isolation_scope"):
        return [sentry_sdk.Hub.current.scope]
    return [scope.get_global_scope(), scope.get_isolation_scope(), scope.get_current_scope()]


def of_last_event(sentry_sdk: Any) -> Any:
    """What keeps the id of the last event, for `last_event_id`: the isolation scope; before 2.0 the hub."""
    return [*scopes(sentry_sdk), None][1] or sentry_sdk.Hub.current


def session(sentry_sdk: Any) -> Any:
    """The release-health session of the current scope, or None."""
    return getattr(scopes(sentry_sdk)[:2][-1], "_session", None)


def already_reported(error: BaseException | None) -> bool:
    """Has the agent reported this exception, so that the SDK's event would be a second one?"""
    return error is not None and unmonitored.is_reported(error)


def note_in_session(event: Any) -> None:
    """Count a dropped duplicate in release health: the event was dropped, the failure was not."""
    sentry_sdk = sys.modules["sentry_sdk"]
    current, client = session(sentry_sdk), active_client(sentry_sdk)
    if current is not None and client is not None:
        client._update_session_from_event(current, event)


def trace(sentry_sdk: Any, sentry: SentryData) -> None:
    """Make monitored calls spans from now on, and give events the trace and the data of the scope.

    With a DSN of our own this applies to our own client's transactions only, and to monitors with `span: always`; and
    only to the scope of our own client, whose tags must not reach anybody else's events.
    """
    any_client = sentry["dsn"] is None

    def client_for(probe: Probe) -> Any:
        client = active_client(sentry_sdk)
        return client if client is own_client or any_client or probe.monitor["span"] == "always" else None

    def current() -> dict[str, object]:
        client = active_client(sentry_sdk)
        own = is_own(client)
        if client is None or not (own or any_client):
            return {}
        holder = tracing.current_span(sentry_sdk, client)
        if holder is None and own:
            holder = next((each for each in scopes(sentry_sdk)[1:2] if hasattr(each, "get_trace_context")), None)
        facts: dict[str, object] = {"trace": tracing.trace_of(holder)} if holder is not None else {}
        return {**facts, **_of_scope(sentry_sdk)} if own else facts

    tracing.follow(sentry_sdk, client_for)
    context.register("sentry", current)


def _of_scope(sentry_sdk: Any) -> dict[str, object]:
    """The breadcrumbs, tags and user that integrations, or the ERP itself, have put on the scope."""
    crumbs: list[Any] = []
    tags: dict[str, object] = {}
    user: dict[str, object] = {}
    for scope in scopes(sentry_sdk):
        crumbs += getattr(scope, "_breadcrumbs", ())
        tags.update(getattr(scope, "_tags", None) or {})
        user.update(getattr(scope, "_user", None) or {})
    last = [gate.crumb({**each, "timestamp": _moment(each)}) for each in crumbs[-_MOST_CRUMBS:]]
    if "ip_address" in user:
        user["ip"] = user["ip_address"]
    facts: dict[str, object] = {"breadcrumbs": last, "tags": tags, "user": user}
    return {name: value for name, value in facts.items() if value}


def _moment(crumb: dict[str, Any]) -> object:
    """The SDK's datetime, which is UTC in all versions and marked as UTC in some."""
    moment: Any = crumb.get("timestamp")
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if hasattr(moment, "strftime") else moment
