"""Exceptions of the ERP's own that callers of a function handle: for its monitor, everyday business.

`try: void(payment)` with `except PaymentError as error: raise ValidationError(str(error))`. What a caller only logs, or
raises again, remains a failure. So does what a caller without such a handler lets through: a monitor further out
reports it, or the request does.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional

from ..attributes import Bodies
from ..bindings import Binding, Function, ModuleIndex, dotted, last_name
from ..lookup import Lookup
from ..modules import ModuleFile
from ..names import Thing
from .handled import TRY

#: A handler that writes this finds the failure worth a line of the log.
_LOGS = frozenset(("exception", "error", "critical", "fatal", "capture_exception", "print_exc"))

Place = tuple[str, str]  # the module and the name of a function


class _Runner(NamedTuple):
    """A function that calls what it is given as an argument, and handles what that raises."""

    parameter: str
    position: Optional[int]  # None: by its name only
    names: list[str]


class Callers:
    """The functions of a package whose callers handle exceptions of the package, found by reading all of its text."""

    def __init__(self, lookup: Lookup, bodies: Bodies, modules: Sequence[ModuleFile]) -> None:
        self._lookup = lookup
        self._bodies = bodies
        self._within = modules[0].name.partition(".")[0] if modules else ""
        self._handled: dict[Place, dict[str, None]] = {}
        self._runners: dict[Place, list[_Runner]] = {}
        for module in modules:
            if b"except" in bodies.source(module.file):
                self._read_handlers(lookup.index(module))
        if self._runners:
            names = re.compile(b"|".join({rb"\b%s\b" % name.encode() for _, name in self._runners}))
            for module in modules:
                if names.search(bodies.source(module.file)):
                    self._read_arguments(lookup.index(module))

    def of(self, module: str, function: str) -> tuple[str, ...]:
        """The exceptions, dotted, that callers of this function handle."""
        return tuple(self._handled.get((module, function), ()))

    def _read_handlers(self, index: ModuleIndex) -> None:
        source = self._bodies.source(index.file)
        lines = [number for number, line in enumerate(source.split(b"\n"), 1) if b"except" in line]
        for attempt, around in _nodes(self._tree(index), TRY, lines=lines):
            names = [name for handler in attempt.handlers if _deals_with(handler) for name in self._own(index, handler)]
            for statement in attempt.body if names else ():
                for node, inner in _nodes(statement, ast.Call, around):
                    if inner is around:
                        self._note(index, node.func, around, names)

    def _note(self, index: ModuleIndex, called: ast.expr, around: Function | None, names: list[str]) -> None:
        """A call that is written in a `try`, in this function."""
        name = dotted(called)
        given = around.args if around is not None else ast.arguments([], [], None, [], [], None, [])
        positional = [each.arg for each in (*given.posonlyargs, *given.args)]
        parameters = [*positional, *(each.arg for each in given.kwonlyargs)]
        if name.partition(".")[0] not in parameters:
            self._add(index, called, names)
        elif around is not None and name in parameters and _is_the_modules(index, around):
            position = positional.index(name) if name in positional else None
            self._runners.setdefault((index.name, around.name), []).append(_Runner(name, position, names))

    def _add(self, index: ModuleIndex, function: ast.expr, names: list[str]) -> None:
        place = self._function(index, function)
        if place is not None:
            self._handled.setdefault(place, {}).update(dict.fromkeys(names))

    def _read_arguments(self, index: ModuleIndex) -> None:
        for node, _ in _nodes(self._tree(index), ast.Call):
            place = self._function(index, node.func)
            for runner in self._runners.get(place, ()) if place is not None else ():
                given = _argument(node, runner)
                if isinstance(given, ast.Lambda):
                    given = given.body.func if isinstance(given.body, ast.Call) else None
                elif isinstance(given, ast.Call) and last_name(given.func) == "partial":
                    given = given.args[0] if given.args else None
                if given is not None:
                    self._add(index, given, runner.names)

    def _function(self, index: ModuleIndex, node: ast.expr) -> Place | None:
        thing = self._thing(index, node)
        if thing is None or thing.owner is not None:
            return None
        found = thing.binding.node
        return (thing.home.name, found.name) if isinstance(found, (ast.FunctionDef, ast.AsyncFunctionDef)) else None

    def _own(self, index: ModuleIndex, handler: ast.ExceptHandler) -> Iterator[str]:
        """The handler's exceptions that the package defines: a ValueError or a lost connection may be any failure."""
        for node in handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]:
            thing = self._thing(index, node)
            if thing is not None and thing.owner is None and isinstance(thing.binding.node, ast.ClassDef):
                name = f"{thing.home.name}.{thing.binding.node.name}"
                if name.partition(".")[0] == self._within:
                    yield name

    def _thing(self, index: ModuleIndex, node: ast.expr | None) -> Thing | None:
        name = dotted(node)
        if not name or name.partition(".")[0] not in index.names:
            return None
        binding = Binding("value", -1, node)
        step = self._lookup.named(Thing(index, binding), name, binding, 0)
        return step if isinstance(step, Thing) and not step.instance else None

    def _tree(self, index: ModuleIndex) -> ast.AST:
        try:
            return ast.parse(self._bodies.source(index.file))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return ast.Module([], [])


def _nodes(
    tree: ast.AST, kind: type | tuple[type, ...], around: Function | None = None, lines: Sequence[int] | None = None
) -> Iterator[tuple[Any, Function | None]]:
    """Yield the nodes of this kind, each with the function that it is written in. What a lambda does is left out.

    With `lines`, in their order, no statement is looked through that is on none of them.
    """
    pending = [(tree, around)]
    while pending:
        node, around = pending.pop()
        if lines is not None and isinstance(node, ast.stmt):
            first = bisect_left(lines, node.lineno)
            if first == len(lines) or lines[first] > (node.end_lineno or 0):
                continue
        if isinstance(node, kind):
            yield node, around
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            around = node
        if not isinstance(node, ast.Lambda):
            pending += [(each, around) for each in ast.iter_child_nodes(node)]


def _is_the_modules(index: ModuleIndex, function: Function) -> bool:
    """Is it no method, and not inside of another function?"""
    return any(binding.line == function.lineno for binding in index.names.get(function.name, ()))


def _argument(call: ast.Call, runner: _Runner) -> ast.expr | None:
    """What a call gives to the runner to call."""
    given = next((each.value for each in call.keywords if each.arg == runner.parameter), None)
    if given is not None or runner.position is None:
        return given
    before = call.args[: runner.position + 1]
    is_there = len(before) > runner.position and not any(isinstance(each, ast.Starred) for each in before)
    return before[runner.position] if is_there else None


def _deals_with(handler: ast.ExceptHandler) -> bool:
    """Is the failure dealt with, neither raised again nor logged as one?"""
    for node in ast.walk(ast.Module(handler.body, [])):
        if isinstance(node, ast.Raise):
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc  # error.with_traceback(…)
            if raised is None or dotted(raised).partition(".")[0] == handler.name:
                return False
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _LOGS:
            return False
    return True
