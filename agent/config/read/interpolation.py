"""`${NAME}`, `${NAME:-default}` and `$$` in string values.

A value without quotes under a key for a number or true/false (`TYPED`) is read again once its variables are
known, so `debug: ${SENTRY_DEBUG:-false}` works; everywhere else the result stays text, so a release named `1.10` does.
As in a shell, the default of `:-` also replaces an empty variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...language import monitor_keys
from .node import Defect, Key, Mark, Node
from .tree import resolve_scalar

#: The keys whose values are numbers or true/false; a test holds this against the schema.
TYPED = monitor_keys.TYPED | frozenset(
    {
        "version",
        "sample_rate",
        "traces_sample_rate",
        "profiles_sample_rate",
        "propagate_traceparent",
        "strict_trace_continuation",
        "debug",
        "metrics",
        "durable",
        "courier",
        "host_client",
        "keep_interpreter",
        "max_files",
        "keep_failed",
        "max_spans",
    }
)

_REFERENCE = re.compile(r"\$(?:\$|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\}|(?P<bad>\{[^}]*\}?))")
_LONGEST = 100_000


def interpolate(root: Node, environ: Mapping[str, str]) -> tuple[Any, dict[str, str | None], list[Defect]]:
    """The plain values of a tree, the variables that were read with the value each had, and what was missing."""
    if root.value.__class__ is dict:
        return root.value, {}, []
    interpolation = _Interpolation(environ)
    return interpolation.plain(root, ()), interpolation.read, interpolation.defects


class _Interpolation:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.read: dict[str, str | None] = {}
        self.defects: list[Defect] = []

    def plain(self, node: Node, path: tuple[Key, ...]) -> Any:
        if isinstance(node.children, dict):
            return {key: self.child(child, path, key) for key, child in node.children.items()}
        if isinstance(node.children, list):
            return [self.child(child, path, index) for index, child in enumerate(node.children)]
        if isinstance(node.value, str) and "$" in node.value:
            return self.substitute(node, node.value, path)
        if path[-2:-1] == ("tags",) and isinstance(node.value, (int, float)):
            return node.text  # `{tier: 1}`: a tag is text, and reads as it was written
        return node.value

    def child(self, node: Node, path: tuple[Key, ...], key: Key) -> Any:
        """Most values are texts without variables: no path is made for them."""
        value = node.value
        if value.__class__ is str and "$" not in value:
            return value
        return self.plain(node, (*path, key))

    def substitute(self, node: Node, text: str, path: tuple[Key, ...]) -> Any:
        def add(slug: str, message: str, hint: str = "") -> None:
            self.defects.append(Defect(slug, path, Mark(node.line, node.column), message, hint))

        def replacement(match: re.Match[str]) -> str:
            name, default, bad = match.group("name", "default", "bad")
            if bad is not None:
                hint = "write `${NAME}` or `${NAME:-default}`, or `$$` for a dollar sign"
                add("variable-syntax", f"`${bad}` is not a variable", hint)
                return match.group()
            if name is None:
                return "$"
            value = self.environ.get(name)
            self.read[name] = value
            if default is not None:
                return value or default[2:]
            if value is None:
                hint = f"set it, or write `${{{name}:-}}` where it may be absent"
                add("variable-missing", f"the environment variable `{name}` is not set", hint)
            return value or ""

        result = _REFERENCE.sub(replacement, text)
        if len(result) > _LONGEST:
            add("variable-size", "the value is too long once its variables are in")
            return ""
        if node.plain and path and path[-1] in TYPED:
            return resolve_scalar(result)
        return result
