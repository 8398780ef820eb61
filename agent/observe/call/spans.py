"""Monitored calls as spans of the current transaction, where the SDK is loaded and samples one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...base import guard
from ...base.interrupts import ours

if TYPE_CHECKING:
    from collections.abc import Callable

    from .probe import Probe

#: Set once the Sentry SDK is loaded: begins a span, or returns None where nothing is sampled.
begin: Callable[[Probe], object] | None = None
finish: Callable[[object, bool], None] | None = None

#: Sets the SDK up for a `kind: transaction` in a process in which no framework did.
start: Callable[[], None] | None = None


def enter(probe: Probe) -> object:
    """Called by the trampoline before the original, which passes the result to `leave`."""
    try:
        if begin is None:
            if start is None or probe.monitor["kind"] != "transaction":
                return None
            _start()
            if begin is None:
                return None
        return begin(probe)
    except ours(Exception):
        guard.swallow("beginning a span")
        return None


def _start() -> None:
    global start
    starting, start = start, None  # once
    if starting is not None:
        starting()


def leave(span: object, failed: bool) -> None:
    if span is None or finish is None:
        return
    try:
        finish(span, failed)
    except ours(Exception):
        guard.swallow("finishing a span")
