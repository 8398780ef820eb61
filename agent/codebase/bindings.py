"""What a module's text defines: names → the statements that bind them, at module level and inside classes.

A later statement replaces an earlier one, as running them would; what is under `if`, `try`, `with` or a loop is one
of several possibilities, and all of them are kept. What only a type checker reads is left out.
"""

from __future__ import annotations

import ast
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import NamedTuple, Union

from .outline import compiles, outline

#: Each with what is looked for first, since it is found much faster: hardly any module has it.
_WRITES_GLOBALS = (
    (b"globals()", b"vars()"),
    re.compile(rb"\b(?:globals|vars)\(\)\s*(?:\[[^\]]*\]\s*=[^=]|\.(?:update|setdefault)\()"),
)
_REPLACES_ITSELF = (
    (b"sys.modules[__name__]", b"recreate_module(", b"initpkg(", b"LazyModule("),
    re.compile(rb"\bsys\.modules\[__name__\]\s*=|\b(?:recreate_module|initpkg)\(|\b_?LazyModule\("),
)

Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]


class Binding(NamedTuple):
    """One statement that binds a name."""

    form: str  # function | class | value | module | from | other
    line: int
    node: ast.AST | None  # the definition, or the value that is assigned
    module: str = ""  # of `import` and `from … import`
    name: str = ""  # of `from … import name`
    before: tuple[Binding, ...] = ()  # what the name meant until here, for `f = decorate(f)`
    certain: bool = True  # it runs whenever the module does, or is what a `try` tries


class Scope:
    """The names of a module, or of a class body."""

    def __init__(self) -> None:
        self.names: dict[str, list[Binding]] = {}
        self.stars: list[tuple[str, int, bool]] = []  # of `from … import *`: module, line, whether it is certain
        self.dynamic = ""  # why there may be names that the text does not show
        self.changed: dict[str, Binding] = {}  # "Class.name" → what a statement outside the class assigns there


class ModuleIndex(Scope):
    """A module. `unreadable` is why nothing can be read of it; "" otherwise."""

    def __init__(self, name: str, file: str, *, package: bool) -> None:
        super().__init__()
        self.name = name
        self.file = file
        self.package = package
        self.unreadable = ""
        self.version: tuple[int, ...] = ()  # of the Python that runs it
        self.exported: list[str] | None = None  # __all__, where it is written out
        self.exports_hidden = False  # there is an __all__ that is not
        self.extends_path = False
        self._scopes: dict[int, Scope] = {}

    def inside(self, node: ast.ClassDef) -> Scope:
        scope = self._scopes.get(id(node))
        if scope is None:
            scope = self._scopes[id(node)] = Scope()
            _Reader(self, scope, self.version).block(node.body, certain=True)
        return scope

    def absolute(self, module: str, level: int) -> str:
        """The module that a relative import means."""
        if not level:
            return module
        parts = self.name.split(".")
        parts = parts[: len(parts) - level + (1 if self.package else 0)]
        return ".".join([*parts, module] if module else parts)


def read(name: str, file: str, source: bytes, *, package: bool, version: Sequence[int]) -> ModuleIndex:
    index = ModuleIndex(name, file, package=package)
    index.version = tuple(version)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the host's `"\d"` is no business of ours
            tree = _parse(file, source)
    except SyntaxError as error:
        index.unreadable = f"it cannot be parsed: {error.msg}, line {error.lineno}"
    except (ValueError, RecursionError, MemoryError, LookupError) as error:
        index.unreadable = f"it cannot be parsed: {error}"
    else:
        _Reader(index, index, index.version).block(tree.body, certain=True)
        if not index.dynamic and _has(source, *_WRITES_GLOBALS):
            index.dynamic = "it writes into globals()"
        if not index.dynamic and _has(source, *_REPLACES_ITSELF):
            index.dynamic = "it puts something else in its own place in sys.modules"
    return index


def _has(source: bytes, words: tuple[bytes, ...], pattern: re.Pattern[bytes]) -> bool:
    return any(word in source for word in words) and pattern.search(source) is not None


def _parse(file: str, source: bytes) -> ast.Module:
    """Bodies of functions are not needed here, and most of the text."""
    try:
        if compiles(file, source):
            return ast.parse(outline(source))
    except SyntaxError:
        pass
    return ast.parse(source)


class _Reader:
    def __init__(self, index: ModuleIndex, scope: Scope, version: tuple[int, ...]) -> None:
        self.index = index
        self.scope = scope
        self.version = version

    def bind(self, name: str, binding: Binding, *, certain: bool) -> None:
        known = self.scope.names.get(name)
        if not certain:
            binding = binding._replace(certain=False)
        if known and (certain or binding.node is not None):
            binding = binding._replace(before=tuple(known[-3:]))
        if certain or not known:
            self.scope.names[name] = [binding]
        else:
            known.append(binding)

    def block(self, body: list[ast.stmt], *, certain: bool) -> None:
        for statement in body:
            self.statement(statement, certain=certain)

    def statement(self, node: ast.stmt, *, certain: bool) -> None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self.function(node, certain=certain)
        elif isinstance(node, ast.ClassDef):
            self.bind(node.name, Binding("class", node.lineno, node), certain=certain)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                module = alias.name if alias.asname else alias.name.partition(".")[0]
                bound = Binding("module", node.lineno, None, module)
                self.bind(alias.asname or module, bound, certain=certain)
        elif isinstance(node, ast.ImportFrom):
            self.from_import(node, certain=certain)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self.assign(target, node.value, certain=certain)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self.assign(node.target, node.value, certain=certain)
        elif isinstance(node, ast.AugAssign):
            if isinstance(node.target, ast.Name):
                self.exports(node.target.id, node.value, add=True)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                if isinstance(target, ast.Name) and certain:
                    self.scope.names.pop(target.id, None)
        elif isinstance(node, ast.Expr):
            self.expression(node.value)
        elif isinstance(node, ast.If):
            self.condition(node, certain=certain)
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            if not isinstance(node, ast.While):
                self.assign(node.target, None, certain=False)
            self.block(node.body, certain=False)
            self.block(node.orelse, certain=False)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                if item.optional_vars is not None:
                    self.assign(item.optional_vars, None, certain=certain)
            self.block(node.body, certain=certain)
        elif type(node).__name__ in ("Try", "TryStar"):
            self.attempt(node, certain=certain)
        elif type(node).__name__ == "Match":
            for case in getattr(node, "cases", ()):
                self.block(case.body, certain=False)

    def function(self, node: Function, *, certain: bool) -> None:
        node.body = []  # not needed here, and most of a syntax tree
        for decorator in node.decorator_list:
            # The other halves of a property do not take the place of what reads it.
            if isinstance(decorator, ast.Attribute) and decorator.attr in ("setter", "deleter"):
                return
            if last_name(decorator) == "overload":
                return
        self.bind(node.name, Binding("function", node.lineno, node), certain=certain)

    def from_import(self, node: ast.ImportFrom, *, certain: bool) -> None:
        module = self.index.absolute(node.module or "", node.level)
        for alias in node.names:
            if alias.name == "*":
                self.scope.stars.append((module, node.lineno, certain))
            else:
                bound = Binding("from", node.lineno, None, module, alias.name)
                self.bind(alias.asname or alias.name, bound, certain=certain)

    def assign(self, target: ast.expr, value: ast.expr | None, *, certain: bool) -> None:
        if isinstance(target, ast.Name):
            form = "value" if value is not None else "other"
            self.bind(target.id, Binding(form, target.lineno, value), certain=certain)
            if target.id == "__all__":
                self.exports("__all__", value, add=False)
            if target.id == "__path__" and self.scope is self.index:
                self.index.extends_path = True
        elif isinstance(target, (ast.Tuple, ast.List)):
            items = value.elts if isinstance(value, (ast.Tuple, ast.List)) else []
            paired = len(items) == len(target.elts)
            for number, item in enumerate(target.elts):
                self.assign(item, items[number] if paired else None, certain=certain)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, None, certain=certain)
        elif isinstance(target, ast.Attribute):
            holder = dotted(target.value)
            if holder and value is not None:
                self.scope.changed[f"{holder}.{target.attr}"] = Binding("value", target.lineno, value)
        elif isinstance(target, ast.Subscript):
            self.hidden(target.value)
            if dotted(target.value) == "sys.modules":
                self.scope.dynamic = "it puts something else in its own place in sys.modules"

    def exports(self, name: str, value: ast.expr | None, *, add: bool) -> None:
        if name != "__all__" or self.scope is not self.index:
            return
        try:
            names = [str(item) for item in ast.literal_eval(value)] if value is not None else []
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            self.index.exports_hidden = True
            return
        self.index.exported = [*((self.index.exported or []) if add else []), *names]

    def expression(self, value: ast.expr) -> None:
        """Statements that are calls: what changes the namespace behind the text's back."""
        if not isinstance(value, ast.Call):
            return
        name = dotted(value.func)
        if name in ("exec", "execfile"):
            self.scope.dynamic = self.scope.dynamic or "it runs exec()"
        elif name == "setattr" and value.args:
            first = value.args[0]
            if dotted(first) in ("", "sys.modules") or isinstance(first, ast.Subscript):
                self.scope.dynamic = self.scope.dynamic or "it sets attributes with setattr()"
            elif isinstance(first, ast.Name):
                self.scope.changed.setdefault(f"{first.id}.*", Binding("other", value.lineno, None))
        elif name in ("__all__.extend", "__all__.append", "__all__.remove") and value.args:
            if name == "__all__.extend":
                self.exports("__all__", value.args[0], add=True)
            elif name == "__all__.append":
                self.exports("__all__", ast.List([value.args[0]], ast.Load()), add=True)
        elif len(value.args) > 1 and isinstance(value.args[0], ast.Name) and isinstance(value.args[1], ast.Constant):
            # defproperty(Node, "firstChild", …), as xml.dom.minidom does
            made = f"{value.args[0].id}.{value.args[1].value!s}"
            self.scope.changed.setdefault(made, Binding("other", value.lineno, None))
        elif (
            isinstance(value.func, ast.Attribute)
            and isinstance(value.func.value, ast.Name)
            and value.args
            and isinstance(value.args[0], ast.Constant)
        ):
            # SyncManager.register("Queue", …), as multiprocessing does
            made = f"{value.func.value.id}.{value.args[0].value!s}"
            self.scope.changed.setdefault(made, Binding("other", value.lineno, None))
        elif isinstance(value.func, ast.Attribute) and value.func.attr in ("update", "setdefault", "__setitem__"):
            self.hidden(value.func.value)

    def hidden(self, holder: ast.expr) -> None:
        if isinstance(holder, ast.Call) and dotted(holder.func) in ("globals", "vars", "locals"):
            self.scope.dynamic = self.scope.dynamic or f"it writes into {dotted(holder.func)}()"

    def condition(self, node: ast.If, *, certain: bool) -> None:
        outcome = self.known(node.test)
        if outcome is not False:
            self.block(node.body, certain=certain and outcome is True)
        if outcome is not True:
            self.block(node.orelse, certain=certain and outcome is False)

    def known(self, test: ast.expr) -> bool | None:
        """The value of a condition where its text alone shows it."""
        if isinstance(test, ast.Constant):
            return bool(test.value)
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            inner = self.known(test.operand)
            return None if inner is None else not inner
        if last_name(test) == "TYPE_CHECKING":
            return False
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and self.version:
            left, right = test.left, test.comparators[0]
            if dotted(left) == "__name__" and isinstance(right, ast.Constant) and right.value == "__main__":
                return not isinstance(test.ops[0], ast.Eq)
            platform = {"sys.platform": sys.platform, "os.name": os.name}.get(dotted(left))
            if (
                platform is not None
                and isinstance(right, ast.Constant)
                and isinstance(test.ops[0], (ast.Eq, ast.NotEq))
            ):
                return (platform == right.value) is isinstance(test.ops[0], ast.Eq)
            if dotted(left) == "sys.version_info" and isinstance(right, ast.Tuple):
                try:
                    wanted = tuple(ast.literal_eval(right))
                    operators = {ast.GtE: self.version >= wanted, ast.Lt: self.version < wanted,
                                 ast.Gt: self.version > wanted, ast.LtE: self.version <= wanted}  # fmt: skip
                except (ValueError, TypeError, SyntaxError):
                    return None
                return operators.get(type(test.ops[0]))
        return None

    def attempt(self, node: ast.stmt, *, certain: bool) -> None:
        self.block(getattr(node, "body", []), certain=certain)
        for handler in getattr(node, "handlers", ()):
            self.block(handler.body, certain=False)
        self.block(getattr(node, "orelse", []), certain=certain)
        self.block(getattr(node, "finalbody", []), certain=certain)


def dotted(node: ast.AST | None) -> str:
    """`a.b.c` of an expression that is one; "" for any other."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


def last_name(node: ast.expr) -> str:
    """`task` of `@app.task(bind=True)`."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
