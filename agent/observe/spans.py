"""Monitored calls as spans of the transaction that is under way, where the SDK is there and one is sampled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from .probe import Probe

#: Set once the Sentry SDK is there: begins a span, or answers None where nothing is sampled.
begin: Callable[[Probe], object] | None = None
finish: Callable[[object, bool], None] | None = None


def enter(probe: Probe) -> object:
    """Called by the trampoline before the original; what it answers is handed to `leave`."""
    if begin is None:
        return None
    try:
        return begin(probe)
    except Exception:
        guard.swallow("beginning a span")
        return None


def leave(span: object, failed: bool) -> None:
    if span is None or finish is None:
        return
    try:
        finish(span, failed)
    except Exception:
        guard.swallow("finishing a span")
