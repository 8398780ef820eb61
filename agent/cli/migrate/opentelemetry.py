"""OpenTelemetry's `@tracer.start_as_current_span`."""

from __future__ import annotations

from typing import Any

from .use import Use, keys

#: With any tracer: where it comes from is often a module of the ERP.
SPAN = "start_as_current_span"
INSIDE = frozenset(("opentelemetry.trace.get_tracer().start_span", "opentelemetry.trace.use_span"))
STAYING: frozenset[str] = frozenset()


def decorator(use: Use) -> dict[str, Any] | None:
    if use.last != SPAN:
        return None
    use.signature("name", "context", "kind", "attributes")
    made = keys(operation=use.operation("name"), tags=use.tags("attributes"))
    use.rest(("kind", "record_exception", "set_status_on_exception", "end_on_exit"))
    return made
