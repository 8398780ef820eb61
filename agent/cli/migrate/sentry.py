"""The Sentry SDK's decorators, and the calls of it that stay."""

from __future__ import annotations

from typing import Any

from .found import NotCarried
from .use import Use, keys

_TRACE = frozenset(
    ("sentry_sdk.trace", "sentry_sdk.tracing.trace", "sentry_sdk.tracing_utils.start_child_span_decorator")
)
_CRONS = ("sentry_sdk.monitor", "sentry_sdk.crons.monitor", "sentry_sdk.crons.decorator.monitor")

#: Context managers: a part of a function.
INSIDE = frozenset(
    f"sentry_sdk.{name}"
    for name in ("start_span", "start_transaction", "start_child", "tracing.start_span", "continue_trace")
)
#: Calls that work as before.
STAYING = frozenset(f"sentry_sdk.{name}" for name in ("capture_exception", "capture_message", "capture_event"))


def decorator(use: Use) -> dict[str, Any] | None:
    if use.name in _CRONS:
        raise NotCarried(
            "a check-in belongs to a schedule, not to a function",
            "keep it; for entries of Celery beat, `celery: {check_ins: ['*']}` sends check-ins without it",
        )
    if use.name not in _TRACE:
        return None
    use.signature("func")
    use.take("func")
    kind = "database" if use.text("op").startswith("db") else ""
    made = keys(kind=kind, operation=use.operation("name"), tags=use.tags("attributes"))
    use.rest(ignored=("template",))
    return made
