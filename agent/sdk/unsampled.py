"""Leaves out the spans of requests that are not sampled, which nobody would keep.

The SDK's integrations make their spans whether the transaction is sampled or not. Here they are switched on only while
one is sampled. Nothing else changes: breadcrumbs, traces and errors are the same in both. The SDK is a parameter:
`scope` alone imports it.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def sampling(sentry_sdk: Any) -> Callable[[], bool]:
    """Return a function: would a span that begins now be kept? True where this version of the SDK does not show it.

    Each monitored call uses it, so it must cost next to nothing.
    """
    current = getattr(sys.modules["sentry_sdk.scope"].Scope, "get_current_scope", None)
    if current is None:  # before 2.0 there are hubs
        current = lambda: sentry_sdk.Hub.current.scope  # noqa: E731

    def sampled() -> bool:
        span = getattr(current(), "_span", True)
        return span is not None and getattr(span, "sampled", True) is not False

    return sampled


def with_options_while(sampled: Callable[[], bool], cls: Any, names: Iterable[str]) -> Any:
    """The integration `cls`, of which the options `names` are on while something is sampled, if they are on at all."""

    def option(name: str) -> property:
        held = f"_erp_agent_{name}"

        def get(self: Any) -> Any:
            return getattr(self, held, None) and sampled()

        def put(self: Any, value: object) -> None:
            setattr(self, held, value)

        return property(get, put)

    return type(cls.__name__, (cls,), {name: option(name) for name in names})


def statements(sentry_sdk: Any, sampled: Callable[[], bool]) -> None:
    """Statements of Django that no transaction keeps are breadcrumbs alone: around the SDK's hook goes a choice."""
    wrapper: Any = getattr(sys.modules.get("django.db.backends.utils"), "CursorWrapper", None)
    for name in ("execute", "executemany"):
        hook: Any = getattr(wrapper, "__dict__", {}).get(name)
        original = getattr(hook, "__wrapped__", None)
        if original is not None and getattr(hook, "__globals__", {}).get("__name__") == "sentry_sdk.utils":
            setattr(wrapper, name, _chosen(sentry_sdk, sampled, hook, original))


def _chosen(
    sentry_sdk: Any, sampled: Callable[[], bool], hook: Callable[..., Any], original: Callable[..., Any]
) -> Callable[..., Any]:
    @functools.wraps(original)
    def execute(self: Any, sql: Any, *parameters: Any, **named: Any) -> Any:
        if type(sql) is not str or sampled():  # what drivers make statements of, the SDK turns into text
            return hook(self, sql, *parameters, **named)
        sentry_sdk.add_breadcrumb(message=sql, category="query")
        return original(self, sql, *parameters, **named)

    return execute
