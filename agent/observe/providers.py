"""Context from functions that the configuration names: the tenant, the company, the user of an ERP of any make.

The function is looked up in what the host has imported, never imported by us, and called without arguments when an
event is being made. What it raises, and what an expression raises, loses that value and nothing else.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..interrupts import ours
from . import context, nested
from .evaluate import compile_expression

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..model import ContextData, ExpressionData


_asking = nested.UnderWay()


def register(configured: Sequence[ContextData]) -> None:
    """Ask each of them for every event from now on."""
    for data in configured:
        context.register("context " + data["name"], _Provider(data))


class _Provider:
    def __init__(self, data: ContextData) -> None:
        self._name = data["name"]
        self._path = data["target"]["path"]
        self._read = _compiled(data["read"])
        self._tags = _compiled(data["tags"])
        self._user = _compiled(data["user"])

    def __call__(self) -> dict[str, object]:
        if _asking.number and nested.is_within(sys._getframe(1), globals()):
            return {}  # what the function itself reports
        function = _function(self._path)
        if function is None:
            return {}
        _asking.number += 1
        try:
            result = function()
            sections = {self._name: self._read, "tags": self._tags, "user": self._user}
            found = {name: _values(readers, result) for name, readers in sections.items()}
            return {name: values for name, values in found.items() if values}
        except ours(BaseException):
            return {}
        finally:
            _asking.number -= 1


def _compiled(expressions: dict[str, ExpressionData]) -> dict[str, tuple[bool, Callable[..., object]]]:
    return {name: (bool(data["names"]), compile_expression(data)) for name, data in expressions.items()}


def _values(readers: dict[str, tuple[bool, Callable[..., object]]], result: object) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, (reads, evaluate) in readers.items():
        try:
            value = evaluate(result) if reads else evaluate()
        except ours(BaseException):  # the expression loses its own value
            value = None
        if value is not None:
            values[name] = value
    return values


def _function(path: str) -> Callable[[], Any] | None:
    """What a dotted path names, as far as the host has imported it."""
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:end]))
        if found is None:
            continue
        try:
            for part in parts[end:]:
                found = getattr(found, part)
        except ours(BaseException):
            return None
        return found if callable(found) else None
    return None
