"""`test`: send events to Sentry as the ERP's own are sent, and print whether it accepted them."""

from __future__ import annotations

import argparse
import time

from ..base.errors import ConfigError
from ..base.model import Envelope, Observation, SentryData
from ..base.version import __version__
from ..deliver import wire
from ..deliver.http import transport
from ..language.dsn import parse_dsn
from ..language.monitor_keys import plain_monitor
from ..observe.around import context
from ..observe.call import callers
from ..observe.event import event
from ..observe.event.encode import encode
from ..sdk import client
from . import options
from .terminal import console, styled

HELP = "send test events to Sentry, and print whether it accepted them"

_KINDS = ("error", "message", "performance")


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_config(parser)
    add_kinds(parser)


def add_kinds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--error", action="store_true", help="send an exception with its traceback")
    parser.add_argument("--message", action="store_true", help="send a message, as a rule that applies sends it")
    parser.add_argument("--performance", action="store_true", help="send a transaction with spans")
    parser.add_argument("--all", action="store_true", help="send all three")


def run(arguments: argparse.Namespace) -> int:
    """0: accepted, 1: not accepted, 2: could not run."""
    return send(options.configured(arguments).sentry, chosen(vars(arguments)))


def chosen(given: dict[str, object]) -> list[str]:
    kinds = [kind for kind in _KINDS if given.get(kind) or given.get("all")]
    if not kinds:
        raise ConfigError("nothing to send was chosen: add --error, --message, --performance or --all")
    return kinds


def send(settings: SentryData, kinds: list[str]) -> int:
    """Send one event of each kind and print the outcome."""
    target = console()
    if not settings["dsn"]:
        raise ConfigError(
            "no DSN: set SENTRY_DSN, or sentry.dsn in monitors.yaml. Without one, events stay in the spool, or go to "
            "the ERP's own Sentry client, which this command cannot use; to see them: python -m agent events"
        )
    dsn = parse_dsn(settings["dsn"])
    sender = transport.Transport(dsn)
    target.print(f"Sentry at {dsn.address}")
    accepted = True
    try:
        for kind in kinds:
            try:
                made = envelope(kind, settings)
            except ImportError as error:
                missing = f": {error.name} is not installed"
                target.print(styled(("%-12s" % kind, "bold"), ("not sent", "bold red"), missing))
                accepted = False
                continue
            started = time.perf_counter()
            outcome = sender.send(wire.with_sent_at(made.data, time.time()))
            took = (time.perf_counter() - started) * 1000
            if outcome.kind == transport.ACCEPTED:
                words, tail = ("accepted", "green"), f" in {took:.0f} ms, event {made.event_id}"
            else:
                words, tail = (outcome.kind, "bold red"), ": " + (outcome.detail or "no reason was given")
                accepted = False
            target.print(styled(("%-12s" % kind, "bold"), words, tail))
    finally:
        sender.close()
    return 0 if accepted else 1


def envelope(kind: str, settings: SentryData) -> Envelope:
    if kind == "performance":
        return client.performance_envelope(settings)
    made = event.build(
        _observation(kind),
        sentry=settings,
        context=context.collect(),
        own=callers.own_code,
        platform=event.platform_here(),
    )
    event_id = str(made["event_id"])
    return Envelope(event_id, "error", wire.encode(event_id, "event", encode(made)))


class AgentTestError(Exception):
    """What `test --error` reports. Nothing is wrong."""


def _observation(kind: str) -> Observation:
    error: AgentTestError | None = None
    if kind == "error":
        try:
            raise AgentTestError("a test error, sent by `test --error`: nothing is wrong")
        except AgentTestError as raised:
            error = raised
    return Observation(
        monitor=_MONITOR,
        operation="test",
        function="agent.test",
        report="rule" if error is None else "error",
        severity="info" if error is None else "error",
        message="a test message, sent by `test --message`: nothing is wrong" if error is None else None,
        exception=error,
        traceback=error.__traceback__ if error is not None else None,
        operations=["test"],
        ended=time.time(),
    )


_MONITOR = plain_monitor(
    name="agent.test", module="agent", operation="test", tags={"agent.version": __version__},
    fingerprint=["agent", "test", "{cause}"], rate_limit=None, span="never",
)  # fmt: skip
