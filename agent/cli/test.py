"""`test`: sends real events the way that real events go, and says whether Sentry accepted them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..base.dsn import parse_dsn
from ..base.errors import ConfigError
from ..base.model import Captured, Envelope, Observation
from ..base.version import __version__
from ..deliver import wire
from ..deliver.http import transport
from ..language.monitor_keys import plain_monitor
from ..observe.around import context
from ..observe.call import callers
from ..observe.event import event
from ..observe.event.encode import encode
from ..sdk import client
from . import options as here
from .terminal import console, styled

if TYPE_CHECKING:
    import argparse

    from ..base.model import SentryData

HELP = "send test events to Sentry and say whether they were accepted"

_KINDS = ("error", "message", "performance")


def configure(parser: argparse.ArgumentParser) -> None:
    here.add_config(parser)
    add_kinds(parser)


def add_kinds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--error", action="store_true", help="an exception with its traceback")
    parser.add_argument("--message", action="store_true", help="a message, as a broken business rule sends it")
    parser.add_argument("--performance", action="store_true", help="a transaction with spans")
    parser.add_argument("--all", action="store_true", help="all three")


def run(arguments: argparse.Namespace) -> int:
    """0: accepted, 1: not accepted, 2: could not run."""
    where = here.look(arguments)
    return send(where.sentry, chosen(vars(arguments)))


def chosen(options: dict[str, object]) -> list[str]:
    kinds = [kind for kind in _KINDS if options.get(kind) or options.get("all")]
    if not kinds:
        raise ConfigError("what is to be sent? give one or more of --error, --message, --performance, or --all")
    return kinds


def send(settings: SentryData, kinds: list[str]) -> int:
    """Send one event of each kind and print what became of it."""
    target = console()
    if not settings["dsn"]:
        raise ConfigError(
            "no DSN: set SENTRY_DSN, or sentry.dsn in monitors.yaml; without one, events stay in the spool "
            "(python -m agent events)"
        )
    dsn = parse_dsn(settings["dsn"])
    carrier = transport.Transport(dsn)
    target.print(f"Sentry at {dsn.address}")
    accepted = True
    try:
        for kind in kinds:
            try:
                envelope = _envelope(kind, settings)
            except ImportError as error:
                missing = f": {error.name} is not installed"
                target.print(styled(("%-12s" % kind, "bold"), ("not sent", "bold red"), missing))
                accepted = False
                continue
            started = time.perf_counter()
            outcome = carrier.send(wire.with_sent_at(envelope.data, time.time()))
            took = (time.perf_counter() - started) * 1000
            good = outcome.kind == transport.ACCEPTED
            accepted = accepted and good
            words = "accepted" if good else outcome.kind
            tail = f" in {took:.0f} ms, event {envelope.event_id}"
            if not good:
                tail = ": " + (outcome.detail or "no reason was given")
            target.print(styled(("%-12s" % kind, "bold"), (words, "green" if good else "bold red"), tail))
    finally:
        carrier.close()
    return 0 if accepted else 1


def _envelope(kind: str, settings: SentryData) -> Envelope:
    if kind == "performance":
        return client.performance_envelope(settings)
    made = event.build(_observation(kind), sentry=settings, context=context.collect(), own=callers.own_code)
    event_id = str(made["event_id"])
    return Envelope(event_id, "error", wire.encode(event_id, "event", encode(made)))


class AgentTestError(Exception):
    """What `test --error` reports. Nothing is wrong."""


def _observation(kind: str) -> Observation:
    error: AgentTestError | None = None
    try:
        raise AgentTestError("a test error, sent by `test --error`: nothing is wrong")
    except AgentTestError as raised:
        error = raised
    message = "a test message, sent by `test --message`: nothing is wrong"
    return Observation(
        monitor=_MONITOR,
        operation="test",
        function="agent.test",
        report="error" if kind == "error" else "rule",
        severity="error" if kind == "error" else "info",
        message=None if kind == "error" else message,
        exception=error if kind == "error" else None,
        traceback=error.__traceback__ if kind == "error" else None,
        frame=None,
        duration=None,
        threshold=None,
        operations=["test"],
        captured=Captured({}, {}),
        suppressed=0,
        ended=time.time(),
    )


_MONITOR = plain_monitor(
    name="agent.test", module="agent", operation="test", tags={"agent.version": __version__},
    fingerprint=["agent", "test", "{cause}"], rate_limit=None, span="never",
)  # fmt: skip
