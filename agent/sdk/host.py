"""A Sentry client that the host set up itself: where we have no DSN, our events and spans go through it.

Where we have the DSN of the same project, it does not send again what we have reported.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..base import guard
from ..base.interrupts import ours
from ..language.dsn import same_project, without_key
from ..observe.failure import reported
from . import scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..base.model import SentryData

_following = False

#: Exceptions of which the client has dropped our event, by a hook or an option: its own reports of them are no second
#: ones. Not where it samples: there they had their chance.
_dropped: list[reported.Reported] = []
_MOST_DROPPED = 64

#: Exceptions whose events Sentry has or gets from us, and the ids of those: what the host's own calls return once its
#: events of them are dropped.
_taken: list[tuple[reported.Reported, str]] = []


def is_active() -> bool:
    """Is the active client one that the host set up?"""
    client = scope.active_client(scope.load_sdk())
    return client is not None and not scope.is_own(client)


def reports_logs() -> bool:
    """Does a client that the host set up make events of logged errors?"""
    client = scope.active_client(scope.load_sdk())
    if client is None or scope.is_own(client):
        return False
    followed = getattr(client, "integrations", None) or {}
    return getattr(followed.get("logging"), "_handler", None) is not None


def hand_over(event: Mapping[str, Any], error: BaseException | None = None) -> str | None:
    """Give an event to the client that the host set up; its hooks, sampling and scope apply, and its session does not.

    `error` is the exception that the event reports, as far as it is still there. Return the address that the client
    sends to, without its key; "" if it dropped the event, None if there is none.
    """
    sentry_sdk = scope.loaded_sdk()
    client = scope.active_client(sentry_sdk) if sentry_sdk is not None else None
    if client is None or scope.is_own(client) or not client.options.get("dsn") or client.transport is None:
        return None  # the last: it was closed
    _follow(client)
    kept = scope.of_last_event(sentry_sdk)
    before = getattr(kept, "_last_event_id", None)
    try:
        event_id = sentry_sdk.capture_event(_without_verdict(event), scope=_without_session)
    finally:
        _set_last_event(kept, before)  # the host has sent nothing
    if event_id is None:
        if error is not None and not _samples(client.options):
            _dropped[:] = [*_dropped[1 - _MOST_DROPPED :], reported.place_of(error, None)]
        return ""
    _take(error, event_id)
    return without_key(str(client.options["dsn"]))


def _take(error: BaseException | None, event_id: str) -> None:
    if error is not None:
        _taken[:] = [*_taken[1 - _MOST_DROPPED :], (reported.place_of(error, None), event_id)]


def _set_last_event(kept: Any, event_id: str | None) -> None:
    if hasattr(kept, "_last_event_id"):
        kept._last_event_id = event_id


def _samples(options: Mapping[str, Any]) -> bool:
    return options.get("sample_rate") != 1.0 or bool(options.get("error_sampler"))


def _without_session(merged: Any) -> None:
    """Release health counts what the host's own integrations see. `merged` is the scope made for this event alone."""
    if getattr(merged, "_session", None) is not None:
        merged._session = None


def share(dsn: str, event_id: str, error: BaseException | None) -> None:
    """An error was reported to `dsn`. Where the host's client sends to the same project, it must not send it again."""
    sentry_sdk = scope.loaded_sdk()
    client = scope.active_client(sentry_sdk) if sentry_sdk is not None else None
    if client is not None and not scope.is_own(client) and same_project(dsn, client.options.get("dsn")):
        _follow(client)
        _take(error, event_id)


def _follow(client: Any) -> None:
    """Second reports by the client's integrations are dropped from now on, as they are where the client is ours."""
    global _following
    if "capture_event" not in vars(client):
        _return_ids(client)
    if not _following:
        _following = True
        sys.modules["sentry_sdk.scope"].add_global_event_processor(_without_duplicates)


def _return_ids(client: Any) -> None:
    """Have `capture_exception`, whose id a page of an error may show, return that of the event that was sent."""
    captures = type(client).capture_event

    def capture_event(event: Any, hint: Any = None, *others: Any, **options: Any) -> Any:
        event_id = captures(client, event, hint, *others, **options)
        return event_id if event_id is not None else _id_of_reported(hint)

    client.capture_event = capture_event


def _id_of_reported(hint: Any) -> str | None:
    """The id of the event that reports the exception of a hint, if another one than the client's was kept."""
    try:
        error = ((hint or {}).get("exc_info") or (None, None, None))[1]
        if error is None or not scope.already_reported(error) or reported.is_dropped(error):
            return None
        return next((event_id for taken, event_id in reversed(_taken) if reported.is_among(error, [taken])), None)
    except ours(Exception):
        guard.swallow("looking for the event of an exception")
        return None


def _without_verdict(event: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with `handled` unset: whether an exception crashed the session, only the host's integrations know.

    The client's scope and hooks change what it has.
    """
    held: dict[str, Any] = {name: dict(part) if isinstance(part, dict) else part for name, part in event.items()}
    values = (held.get("exception") or {}).get("values") or ()
    if values:
        open_values = [{**each, "mechanism": {**each["mechanism"], "handled": None}} for each in values]
        held["exception"] = {"values": open_values}
    return held


def _without_duplicates(event: Any, hint: dict[str, Any]) -> Any:
    """Drop what the agent has reported already. What a limit of ours has dropped is the host's to report, as ever."""
    try:
        error = (hint.get("exc_info") or (None, None, None))[1]
        if event.get("type") == "transaction" or error is None or reported.is_among(error, _dropped):
            return event
        if scope.already_reported(error) and not reported.is_dropped(error):
            scope.note_in_session(event)
            return None
    except ours(Exception):
        guard.swallow("looking at an event of the host's Sentry client")
    return event


def traces(sentry: SentryData) -> bool:
    """Has the host set up a client that samples transactions? Then our spans are its."""
    sentry_sdk = scope.loaded_sdk()
    client = scope.active_client(sentry_sdk) if sentry_sdk is not None else None
    if client is None or scope.is_own(client):
        return False
    if not (client.options.get("traces_sample_rate") or client.options.get("traces_sampler")):
        return False
    scope.trace(sentry_sdk, sentry)
    return True
