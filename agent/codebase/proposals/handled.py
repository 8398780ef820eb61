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


def handled_around(lookup: Lookup, bodies: Bodies, cls: Thing, method: str) -> list[str]:
    """The exceptions, dotted, that other methods of a class and its bases handle around their calls of one method."""
    found: dict[str, None] = {}
    seen = {method}
    for each in lookup.linearized(cls)[0]:
        node = bodies.of(each)
        for function in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) and function.name not in seen:
                seen.add(function.name)
                found.update((name, None) for name in _handled(lookup, each, function, method))
    return list(found)


def _handled(lookup: Lookup, cls: Thing, function: ast.AST, method: str) -> Iterator[str]:
    for attempt in ast.walk(function):
        if isinstance(attempt, TRY) and any(_calls(statement, method) for statement in attempt.body):
            for handler in attempt.handlers:
                if not any(isinstance(inner, ast.Raise) for inner in ast.walk(handler)):
                    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
                    yield from filter(None, (_exception(lookup, cls, each) for each in types))


def _calls(statement: ast.stmt, method: str) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == method
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in _OWN
        for node in ast.walk(statement)
    )


def _exception(lookup: Lookup, cls: Thing, node: ast.expr | None) -> str:
    name = dotted(node)
    if not name or name in _TOO_BROAD:
        return ""
    step = lookup.named(cls._replace(owner=None), name, cls.binding, 0)
    if isinstance(step, Thing) and isinstance(step.binding.node, ast.ClassDef) and step.owner is None:
        return f"{step.home.name}.{step.binding.node.name}"
    return name if isinstance(getattr(builtins, name, None), type) else ""
