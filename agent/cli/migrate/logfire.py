"""Logfire's `@logfire.instrument`."""

from __future__ import annotations

from typing import Any

from ...language.placeholders import PlaceholderError, placeholders
from .use import Use, keys

INSIDE = frozenset(("logfire.span",))
STAYING = frozenset(
    f"logfire.{name}"
    for name in ("trace", "debug", "info", "notice", "warn", "warning", "error", "exception", "fatal", "log")
)


def decorator(use: Use) -> dict[str, Any] | None:
    """Parameters that its message or `extract_args` name are captured; all of them, as Logfire does, never are."""
    if not use.name.startswith("logfire.") or use.last != "instrument":
        return None
    use.signature("msg_template")
    template = use.text("msg_template")
    try:
        words = placeholders(template)
    except PlaceholderError:
        words = []
    name = use.operation("span_name") or ("" if words else template)
    arguments = use.value("extract_args")
    named = [*words, *(arguments if isinstance(arguments, (list, tuple)) else ())]
    captured = [each for each in dict.fromkeys(map(str, named)) if each in use.parameters and each[0] != "_"]
    if use.value("record_return"):
        use.remark("record_return", "a result leaves only value by value", "write `capture: {number: result.number}`")
    use.rest(("allow_generator", "new_trace"))
    return keys(operation=name, capture=captured)
