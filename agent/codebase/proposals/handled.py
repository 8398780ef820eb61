"""Exceptions of a method that its own class handles. For a monitor of that method they are everyday business.

A base class calls `perform_mutation` in a `try`, and makes a response of what it raises.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from ..attributes import Bodies
from ..bindings import dotted
from ..lookup import Lookup
from ..names import Thing

TRY = (ast.Try, *([ast.TryStar] if hasattr(ast, "TryStar") else []))
_TOO_BROAD = frozenset(("Exception", "BaseException"))  # a boundary: what arrives there may be any failure
_OWN = frozenset(("self", "cls"))


#: Name of a method of a class → (methods that it calls in a `try` as its own, the handler that ends the failure).
Attempts = dict[str, list[tuple[frozenset[str], ast.ExceptHandler]]]


class Handlers:
    """What classes handle around calls of their own methods. Each class is looked through once."""

    def __init__(self, lookup: Lookup, bodies: Bodies) -> None:
        self._lookup = lookup
        self.bodies = bodies
        self._known: dict[tuple[str, int], Attempts] = {}

    def around(self, cls: Thing, method: str) -> list[str]:
        """The exceptions, dotted, that other methods of a class and its bases handle around calls of one method."""
        found: dict[str, None] = {}
        seen = {method}
        for each in self._lookup.linearized(cls)[0]:
            for name, attempts in self._attempts(each).items():
                for called, handler in attempts if name not in seen else ():
                    if method in called:
                        types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
                        found.update(
                            (name, None) for name in [_exception(self._lookup, each, one) for one in types] if name
                        )
            seen.update(self._attempts(each))
        return list(found)

    def _attempts(self, cls: Thing) -> Attempts:
        key = cls.home.file, getattr(cls.binding.node, "lineno", 0)
        if key not in self._known:
            self._known[key] = {}
            node = self.bodies.of(cls) if b"except" in self.bodies.source(cls.home.file) else None
            for function in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    self._known[key].setdefault(function.name, list(handling(function)))
        return self._known[key]


def handling(function: ast.AST) -> Iterator[tuple[frozenset[str], ast.ExceptHandler]]:
    for attempt in ast.walk(function):
        if isinstance(attempt, TRY):
            called = frozenset(name for statement in attempt.body for name in _called(statement))
            for handler in attempt.handlers if called else ():
                if not any(isinstance(inner, ast.Raise) for inner in ast.walk(handler)):
                    yield called, handler


def _called(statement: ast.stmt) -> Iterator[str]:
    """The methods of its own object, or class, that a statement calls."""
    for node in ast.walk(statement):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id in _OWN:
            yield called.attr


def _exception(lookup: Lookup, cls: Thing, node: ast.expr | None) -> str:
    name = dotted(node)
    if not name or name in _TOO_BROAD:
        return ""
    step = lookup.named(cls._replace(owner=None), name, cls.binding, 0)
    if isinstance(step, Thing) and isinstance(step.binding.node, ast.ClassDef) and step.owner is None:
        return f"{step.home.name}.{step.binding.node.name}"
    return name if isinstance(getattr(builtins, name, None), type) else ""
