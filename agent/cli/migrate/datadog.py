"""Datadog's `tracer.wrap`."""

from __future__ import annotations

from typing import Any

from .use import Use, keys

_DATABASE = frozenset(("sql", "db", "cassandra", "elasticsearch", "mongodb", "redis", "memcached", "cache"))
INSIDE = frozenset(("ddtrace.tracer.trace", "ddtrace.trace.tracer.trace", "ddtrace.tracer.start_span"))
STAYING: frozenset[str] = frozenset()


def decorator(use: Use) -> dict[str, Any] | None:
    """Its `service` is the module: both name the part of the system that the function belongs to."""
    if not use.name.endswith(".tracer.wrap") and use.name != "tracer.wrap":
        return None
    use.signature("name", "service", "resource", "span_type")
    name, resource = use.operation("name"), use.operation("resource")
    made = keys(
        kind="database" if use.text("span_type").lower() in _DATABASE else "",
        module=use.module("service"),
        operation=resource or name,
    )
    use.rest()
    return made
