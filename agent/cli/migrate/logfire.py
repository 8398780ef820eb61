"""Logfire's `@logfire.instrument`."""

from __future__ import annotations

import re
from typing import Any

from .use import Use, escaped, keys

INSIDE = frozenset(("logfire.span",))
_FIELD = re.compile(r"(?<!\{)\{([^{}]+)\}")  # of a message: {amount}, {amount=}, {amount:.2f}, {user.id}
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
    fields = _FIELD.findall(template)
    words = [re.split(r"[=!:]", field)[0] for field in fields]
    for word in words:
        if not word.isidentifier():
            use.remark(
                f"{{{word}}}", "a value has a name in an event", f"write `capture: {{value: {word}}}`, with its name"
            )
    name = use.operation("span_name") or ("" if fields else escaped(template.replace("{{", "{").replace("}}", "}")))
    arguments = use.value("extract_args")
    named = [*words, *(arguments if isinstance(arguments, (list, tuple)) else ())]
    captured = [each for each in dict.fromkeys(map(str, named)) if each in use.parameters and each[0] != "_"]
    if use.value("record_return"):
        use.remark("record_return", "a result leaves only value by value", "write `capture: {number: result.number}`")
    use.rest(("allow_generator", "new_trace"))
    return keys(operation=name, capture=captured)
