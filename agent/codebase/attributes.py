"""Attributes that an expression reads and source can refute: `result.statu` where the function returns an Invoice.

Right rather than clever: what anything may add at run time (a metaclass, `__getattr__`, `setattr`, an assignment from
outside to an attribute of that name) is not refuted.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.util import decode_source
from typing import Any, NamedTuple

from ..base.model import ExpressionData
from ..language.nearest import did_you_mean
from .bindings import dotted, last_name
from .classes import GENERATED, builtin_has
from .lookup import Lookup
from .names import Thing

_GIVES = ("__getattr__", "__getattribute__", "__dict__")
_SETS = frozenset(("setattr", "vars", "__dict__"))

#: Where the name of what is called is not on the line of `return`, a bracket or a backslash is.
_RETURNS_A_CALL = re.compile(r"return\b[^\n]*[(\\]")  # which begins with letters: those are searched for at once


class Refuted(NamedTuple):
    name: str  # result, or a parameter
    attribute: str
    cls: str
    hint: str
    certain: bool  # the function makes the object itself: no subclass of it


def read_attributes(tree: Any) -> Iterator[tuple[str, str]]:
    """(name, attribute) of everything like `result.status` in an expression's tree."""
    if isinstance(tree, list):
        if len(tree) == 3 and tree[0] == "attr" and isinstance(tree[1], list) and tree[1][:1] == ["name"]:
            yield tree[1][1], tree[2]
        for part in tree:
            yield from read_attributes(part)


class Bodies:
    """Definitions with their bodies, which the index drops: each is parsed once more, by itself."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, list[str]]] = {}
        self._found: dict[tuple[str, int], ast.AST | None] = {}

    def source(self, file: str) -> bytes:
        return self._read(file)[0]

    def of(self, thing: Thing) -> ast.AST | None:
        node = thing.binding.node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            return None
        key = (thing.home.file, node.lineno)
        if key not in self._found:
            found: ast.AST | None = None
            try:
                found = ast.parse("if 1:\n" * bool(node.col_offset) + self._text(thing)).body[0]
            except (SyntaxError, ValueError, RecursionError, IndexError):
                pass  # then nothing is refuted
            self._found[key] = found.body[0] if isinstance(found, ast.If) else found
        found = self._found[key]
        return found if type(found) is type(node) and getattr(found, "name", "") == node.name else None

    def returns_a_function(self, thing: Thing) -> bool:
        """Is it a decorator, or makes one: does it return a function that it defines?"""
        node = self.of(thing)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return False
        inner = {each.name for each in node.body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))}
        values = _returned(node)
        given = [each for value in values if value is not None for each in (value, *getattr(value, "args", ()))]
        return any(isinstance(each, ast.Lambda) or (isinstance(each, ast.Name) and each.id in inner) for each in given)

    def may_return_a_call(self, thing: Thing) -> bool:
        """Whether it has `return name(…)`, found without parsing it: most functions do not."""
        return _RETURNS_A_CALL.search(self._text(thing)) is not None

    def may_yield(self, thing: Thing) -> bool:
        return "yield" in self._text(thing)

    def _text(self, thing: Thing) -> str:
        node: Any = thing.binding.node
        return "\n".join(self._read(thing.home.file)[1][node.lineno - 1 : node.end_lineno])

    def _read(self, file: str) -> tuple[bytes, list[str]]:
        if file not in self._files:
            source, lines = b"", []
            try:
                with open(file, "rb") as stream:
                    source = stream.read()
                lines = decode_source(source).split("\n")
            except (OSError, SyntaxError, ValueError):
                pass
            self._files[file] = source, lines
        return self._files[file]


def refuted(
    lookup: Lookup, bodies: Bodies, path: str, module: str | None, expression: ExpressionData
) -> Refuted | None:
    """The first attribute of an expression that the source of the function at `path` refutes."""
    key = (path, module, expression["text"])
    known = lookup.known.refuted
    if key not in known:
        first = next(_refuted(lookup, bodies, path, module, expression["tree"]), None)
        known[key] = None if first is None else tuple(first)
    found = known[key]
    return None if found is None else Refuted(*found)


def _refuted(lookup: Lookup, bodies: Bodies, path: str, module: str | None, tree: Any) -> Iterator[Refuted]:
    """Every one."""
    wanted = list(dict.fromkeys(read_attributes(tree)))
    function = _function(lookup, path, module) if wanted else None
    if function is None:
        return
    for name, attribute in wanted:
        cls, certain = _class_of(lookup, bodies, function, name)
        if cls is not None:
            names = _attributes(lookup, bodies, cls, attribute, function)
            if names is not None and attribute not in names and not builtin_has("object", attribute):
                shown = getattr(cls.binding.node, "name", "")
                yield Refuted(name, attribute, shown, did_you_mean(attribute, sorted(names)), certain)


def _function(lookup: Lookup, path: str, module: str | None) -> Thing | None:
    for name, attribute in lookup.splits(path, module):
        step = lookup.attribute(name, attribute)
        settled = lookup.settle(step) if isinstance(step, Thing) and not step.several else None
        node = settled.binding.node if isinstance(settled, Thing) and not settled.note else None
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.decorator_list:
            assert isinstance(settled, Thing)
            return settled
        return None
    return None


def _class_of(lookup: Lookup, bodies: Bodies, function: Thing, name: str) -> tuple[Thing | None, bool]:
    """The class of a parameter or of the result, and whether it is exactly that one."""
    written = function.binding.node
    if not isinstance(written, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None, False
    given = written.args
    parameters = {each.arg: each for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)}
    if name in parameters:
        return _class_named(lookup, function, parameters[name].annotation), False
    if name != "result" or (written.returns is None and not bodies.may_return_a_call(function)):
        return None, False
    node = bodies.of(function)
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None, False
    values = _returned(node)
    made = {dotted(value.func) if isinstance(value, ast.Call) else "" for value in values}
    if (made == {""} or len(made) != 1) and node.returns is None:
        return None, False  # as most functions are: known without a look at each expression
    if bodies.may_yield(function) and any(isinstance(each, (ast.Yield, ast.YieldFrom)) for each in _own_nodes(node)):
        return None, False
    if len(made) == 1 and "" not in made:
        (called,) = made
        cls = _class_named(lookup, function, ast.parse(called, mode="eval").body)
        if cls is not None and all(
            "__new__" not in each.home.inside(each.binding.node).names
            for each in lookup.linearized(cls)[0]
            if isinstance(each.binding.node, ast.ClassDef)
        ):
            return cls, True
    return _class_named(lookup, function, node.returns), False


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """What a function's body holds, functions and classes inside it left out."""
    waiting = [node]
    while waiting:
        for child in ast.iter_child_nodes(waiting.pop()):
            if not isinstance(child, (*_SCOPES, ast.Lambda)):
                yield child
                waiting.append(child)


def _statements(node: ast.AST, *, own: bool = False) -> Iterator[ast.AST]:
    """Those inside a statement or module; without what is inside functions and classes where only its `own` count."""
    waiting = [node]
    while waiting:
        at = waiting.pop()
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            for child in getattr(at, field, ()):
                yield child
                if not (own and isinstance(child, _SCOPES)):
                    waiting.append(child)


def _returned(node: ast.AST) -> list[ast.expr | None]:
    return [each.value for each in _statements(node, own=True) if isinstance(each, ast.Return)]


def _class_named(lookup: Lookup, function: Thing, annotation: ast.expr | None) -> Thing | None:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return None
    name = dotted(annotation) if annotation is not None else ""
    step = lookup.named(function._replace(owner=None), name, function.binding, 0) if name else None
    found = step if isinstance(step, Thing) and step.binding.form == "class" and not step.instance else None
    return found if found is None or not found.several else None


def _attributes(lookup: Lookup, bodies: Bodies, cls: Thing, attribute: str, function: Thing) -> set[str] | None:
    """Every attribute of the class's objects; None where the text does not show them all."""
    line, gaps = lookup.linearized(cls)
    if gaps:
        return None
    found: set[str] = set()
    for each in line:
        node, read = bodies.of(each), each.binding.node
        if not isinstance(node, ast.ClassDef) or not isinstance(read, ast.ClassDef):
            return None
        scope = each.home.inside(read)
        bases = {last_name(base) for base in node.bases}
        if scope.dynamic or each.home.dynamic or f"{node.name}.*" in each.home.changed or node.keywords:
            return None
        if "Protocol" in bases or not bases.isdisjoint(GENERATED):
            return None
        found.update(scope.names)
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute):
                if inner.attr in _GIVES:
                    return None
                if isinstance(inner.ctx, ast.Store):
                    found.add(inner.attr)
            elif isinstance(inner, ast.Name) and inner.id in _SETS:
                return None
            elif isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                found.add(inner.target.id)
        if not found.isdisjoint(_GIVES):
            return None
    # It may be set from outside; where, a look at the modules concerned shows in all usual cases.
    for home in {each.home.file for each in (*line, function)}:
        source = bodies.source(home)
        if re.search(rf"\.{attribute}\b".encode(), source) or b"setattr(" in source:
            return None
    return found
