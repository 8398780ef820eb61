"""Elastic APM's `@elasticapm.capture_span`."""

from __future__ import annotations

from typing import Any

from .use import Use, keys

_NAMES = ("capture_span", "async_capture_span")
INSIDE = frozenset(f"elasticapm.{name}" for name in _NAMES)
STAYING = frozenset(
    f"elasticapm.{name}" for name in ("label", "set_transaction_name", "set_custom_context", "set_user_context")
)


def decorator(use: Use) -> dict[str, Any] | None:
    if not use.name.startswith("elasticapm.") or use.last not in _NAMES:
        return None
    use.signature("name", "span_type", "extra", "skip_frames", "leaf", "labels")
    kind = "database" if use.text("span_type").startswith("db") else ""
    made = keys(kind=kind, operation=use.operation("name"), tags=use.tags("labels"))
    use.rest(("skip_frames", "leaf", "span_subtype", "span_action", "sync"))
    return made
