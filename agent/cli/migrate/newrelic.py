"""New Relic's decorators, and the functions that it wraps by name."""

from __future__ import annotations

from typing import Any

from .use import Use, keys

#: Decorator → kind of monitor, the arguments that it takes by position.
DECORATORS = {
    "function_trace": ("function", ("name", "group", "label", "params")),
    "generator_trace": ("function", ("name", "group", "label", "params")),
    "profile_trace": ("function", ("name", "group", "label")),
    "background_task": ("transaction", ("application", "name", "group")),
    "web_transaction": ("transaction", ("application", "name", "group")),
    "database_trace": ("database", ("sql", "dbapi2_module")),
    "datastore_trace": ("database", ("product", "target", "operation")),
    "external_trace": ("function", ("library", "url", "method")),
    "message_trace": ("function", ("library", "operation", "destination_type", "destination_name")),
}
INSIDE = frozenset(
    f"newrelic.agent.{name}"
    for name in ("FunctionTrace", "BackgroundTask", "WebTransaction", "DatabaseTrace", "DatastoreTrace",
                 "ExternalTrace", "MessageTrace")
)  # fmt: skip
STAYING = frozenset(
    f"newrelic.agent.{name}"
    for name in ("notice_error", "record_exception", "record_custom_event", "record_custom_metric",
                 "add_custom_attribute", "add_custom_parameter", "set_transaction_name")
)  # fmt: skip
#: Arguments without a counterpart that nobody misses; statements and addresses are private.
UNUSED = ("application", "label", "params", "terminal", "rollup", "sql", "dbapi2_module", "url", "method", "scheme",
           "host", "port", "port_path_or_id", "database_name", "request_path", "request_method", "query_string",
           "headers", "destination_type", "destination_name", "async_wrapper", "source", "args", "kwargs")  # fmt: skip


def decorator(use: Use) -> dict[str, Any] | None:
    if not use.name.startswith("newrelic.") or use.last not in DECORATORS:
        return None
    kind, positional = DECORATORS[use.last]
    use.signature(*positional)
    name = use.operation("name", 200)
    made = keys(
        kind=kind if kind != "function" else "",
        model=use.operation("target") if kind == "database" else "",
        name=name if kind == "transaction" else "",
        operation=(name if kind != "transaction" else "") or use.operation("operation"),
        tags={
            tag: text
            for tag in ("group", "library", "product")
            if (text := use.text(tag, 200)) and text != "Function"
        },
    )  # fmt: skip
    use.rest(UNUSED)
    return made


def wrapped(use: Use) -> tuple[str, dict[str, Any]] | None:
    """(target, keys) of `newrelic.agent.wrap_function_trace("package.module", "Class.method", name=…)`."""
    name = use.last[5:] if use.last.startswith("wrap_") else ""
    if not use.name.startswith("newrelic.") or name not in DECORATORS:
        return None
    kind, positional = DECORATORS[name]
    use.signature("module", "object_path", *positional)
    module, path = use.text("module"), use.text("object_path")
    text = use.operation("name", 200)
    made = keys(
        kind=kind if kind != "function" else "",
        name=text if kind == "transaction" else "",
        operation=text if kind != "transaction" else "",
    )
    use.rest((*UNUSED, "group", "library", "product", "target", "operation"))
    return (f"{module}:{path}" if module and path else ""), made
