"""A Sentry client that the host set up itself: what it sends goes through our spool, and to its own Sentry.

The client stays the host's in all that it decides: options, hooks, sampling, integrations, scope. Only the last step
changes, the one from its queue in memory to the network. A transport of the host's own making is left alone.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ..base import ending, guard
from ..base.interrupts import ours
from ..base.model import Envelope
from ..deliver import wire
from ..hook.code import wrap
from ..language.dsn import SHARED, DsnError, parse_dsn, same_project

if TYPE_CHECKING:
    from types import FunctionType, ModuleType

    from ..boot.engine import Engine
    from ..boot.outlet import Outlet
    from ..deliver.clients import Destination
    from ..hook.code import patch


def install(_name: str, module: ModuleType, engine: Engine) -> list[patch.Layer | Any]:
    """Called when the SDK's transports have been imported. Return the changes, each with its `undo`."""
    _load()
    if not engine.outlet.spool["host_client"]:
        return []
    clients = _Clients(engine.outlet, module)
    transport = module.HttpTransport
    changes: list[patch.Layer | Any] = [
        clients,
        wrap.wrap(transport.capture_envelope, clients.capture_envelope),
        wrap.wrap(transport.flush, clients.flush),
    ]
    if "capture_event" in transport.__dict__:  # before version 2
        changes.append(wrap.wrap(transport.capture_event, clients.capture_event))
    # Now, before the SDK's own: functions run in reverse order, and what it sends at its end must still find us.
    ending.at_exit(clients.close)
    return changes


def _load() -> None:
    """Now, and not when the first event is to be kept, or to be handed to the host's client."""
    from ..deliver import clients, handed  # noqa: F401
    from . import client  # noqa: F401


class _CannotKeepError(Exception):
    """Why a client is left alone."""


class _Clients:
    def __init__(self, outlet: Outlet, module: ModuleType) -> None:
        self._outlet = outlet
        self._module = module
        self._destinations: WeakKeyDictionary[Any, Destination | None] = WeakKeyDictionary()
        self._by_name: dict[str, Destination] = {}
        self._state = outlet.state

    # ------------------------------------------------------------------------- in place of the transport's own methods

    def capture_envelope(self, original: FunctionType, transport: Any, envelope: Any) -> Any:
        try:
            if self._keep(transport, envelope):
                return None
        except ours(Exception):
            guard.swallow("keeping an envelope of the host's Sentry client")
        return original(transport, envelope)

    def capture_event(self, original: FunctionType, transport: Any, event: Any) -> Any:
        try:
            envelope = self._module.Envelope(headers={"event_id": event.get("event_id")})
            envelope.add_event(event)
            if self._keep(transport, envelope):
                return None
        except ours(Exception):
            guard.swallow("keeping an event of the host's Sentry client")
        return original(transport, event)

    def flush(self, original: FunctionType, transport: Any, timeout: float, callback: Any = None) -> Any:
        try:
            destination = self._destinations.get(transport)
            if destination is not None and timeout > 0:
                self._report_losses(transport, force=True)
                timeout, whole = self._drain(destination, timeout, callback), timeout
                if not transport._worker.is_alive:
                    return None  # it never had anything to send
                timeout = timeout or min(whole, 0.1)
        except ours(Exception):
            guard.swallow("waiting for what the host's Sentry client sends")
        return original(transport, timeout, callback)

    # -------------------------------------------------------------------------------- and what they do

    def _keep(self, transport: Any, envelope: Any) -> bool:
        destination = self._destination_of(transport)
        if destination is None:
            return False
        event_id = str(envelope.headers.get("event_id") or os.urandom(16).hex()).replace("-", "")
        category = wire.category_of(item.type for item in envelope.items)
        if not destination.keep(Envelope(event_id, category, envelope.serialize())):
            return False
        self._report_losses(transport)
        return True

    def _report_losses(self, transport: Any, *, force: bool = False) -> None:
        """Have the SDK report what it sampled or filtered away. It does so now and then, when it sends."""
        try:
            transport._flush_client_reports(force=force)
        except ours(Exception):
            guard.swallow("reading what the host's Sentry client filtered")

    def _drain(self, destination: Destination, timeout: float, callback: Any) -> float:
        slow = None if callback is None else lambda waiting: callback(waiting, timeout)
        return destination.sender.drain(timeout, slow)

    def _destination_of(self, transport: Any) -> Destination | None:
        state = self._outlet.follow_user()
        if state != self._state:
            self._state = state
            self._destinations.clear()
            self._by_name.clear()
        try:
            return self._destinations[transport]
        except ours(KeyError):
            pass
        try:
            destination: Destination | None = self._open(transport)
            outcome = "what it sends goes through the spool"
        except ours(_CannotKeepError, DsnError) as error:
            destination, outcome = None, f"it sends for itself: {error}"
        if same_project(self._outlet.sentry["dsn"], transport.options.get("dsn")):
            outcome = f"{outcome}. {SHARED}"
        self._destinations[transport] = destination
        self._outlet.health.record("client", outcome)
        self._outlet.health.flush()
        return destination

    def _open(self, transport: Any) -> Destination:
        from ..deliver import clients

        if type(transport) is not self._module.HttpTransport:
            raise _CannotKeepError(f"it has a transport of its own, {type(transport).__name__}")
        route = _route(transport)
        parse_dsn(route.dsn)
        name = route.name()
        outlet = self._outlet
        if not self._by_name:
            clients.adopt(outlet.spool, outlet.state, outlet.health.count, but=name)
        known = self._by_name.get(name)
        if known is None:
            known = clients.Destination(route, outlet.spool, outlet.state, outlet.health.count)
            known = self._by_name.setdefault(name, known)
        return known

    def close(self) -> None:
        """At exit, without waiting: a host whose client waits for its events has waited by now."""
        for destination in self._by_name.values():
            destination.sender.close(0.0)

    def undo(self) -> None:
        self.close()


def _route(transport: Any) -> Any:
    """The route that the SDK would use, from its own options. Raises _CannotKeepError."""
    from ..deliver.http.route import Route

    options = transport.options

    def text(name: str, variable: str = "") -> str | None:
        value = options.get(name)
        if value is None and variable and name in options:
            value = os.environ.get(variable)
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if value is not None and not isinstance(value, str):
            raise _CannotKeepError(f"its option {name} is no text")
        return value

    def file(name: str, variable: str = "") -> str | None:
        path = text(name, variable)
        return os.path.abspath(path) if path else None  # whoever delivers may stand in another folder

    sockets = list(options.get("socket_options") or ())
    if options.get("keep_alive"):
        used = {tuple(each[:2]) for each in sockets}
        sockets += [
            each for each in sys.modules[transport.__module__].KEEP_ALIVE_SOCKET_OPTIONS if tuple(each[:2]) not in used
        ]
    if not all(isinstance(part, int) for each in sockets for part in each):
        raise _CannotKeepError("its option socket_options holds more than numbers")
    headers = options.get("proxy_headers")
    return Route(
        str(transport.parsed_dsn),
        str(transport._auth.client),
        text("http_proxy"),
        text("https_proxy"),
        {str(name): str(value) for name, value in headers.items()} if headers else None,
        file("ca_certs"),
        file("cert_file", "CLIENT_CERT_FILE"),
        file("key_file", "CLIENT_KEY_FILE"),
        [[int(part) for part in each] for each in sockets] or None,
    )
