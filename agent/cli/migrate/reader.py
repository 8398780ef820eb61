"""Walks the syntax tree of one file, and collects what the tools make of its decorators and calls."""

from __future__ import annotations

import ast
import warnings
from itertools import chain
from typing import Any, Union

from ...language.targets import TargetError, parse_target
from . import datadog, elastic, logfire, newrelic, opentelemetry, own, sentry, sentry_init
from .found import Carried, Found, NotCarried, Remark
from .names import Names
from .sources import Source
from .use import Use

_Definition = Union[ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef]

_TOOLS = (own, sentry, newrelic, datadog, opentelemetry, logfire, elastic)
_INSIDE = frozenset(chain.from_iterable(tool.INSIDE for tool in _TOOLS))
_STAYING = frozenset(chain.from_iterable(tool.STAYING for tool in _TOOLS))


def exports(source: Source) -> dict[str, str]:
    """What other files may import from this one: dotted name → what it means. Nothing if it cannot be parsed."""
    try:
        return dict(Names(_parsed(source), source.module, package=source.package).exported())
    except (SyntaxError, ValueError, LookupError, RecursionError, MemoryError):
        return {}


def _parsed(source: Source) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source.data)


def read(source: Source, found: Found, known: dict[str, str]) -> None:
    """Collect what one file of Python has into `found`. `known`: what all files export."""
    try:
        tree = _parsed(source)
        reader = _Reader(source, found, Names(tree, source.module, package=source.package, exports=known))
        reader.visit(tree)
        reader.finish()
    except SyntaxError as error:
        why = f"it cannot be parsed: {error.msg}"
        found.leave(source.file, error.lineno or 1, Remark("the file", why, "name its functions in monitors by hand"))
    except (ValueError, LookupError, RecursionError, MemoryError) as error:
        why = f"it cannot be parsed: {error}"
        found.leave(source.file, 1, Remark("the file", why, "name its functions in monitors by hand"))


class _Reader(ast.NodeVisitor):
    def __init__(self, source: Source, found: Found, names: Names) -> None:
        self.source = source
        self.found = found
        self.names = names
        self._around: list[_Definition] = []
        self._program = False  # below `if __name__ == "__main__":`
        self._in_code: list[tuple[ast.expr, str]] = []  # decorators that code calls, or passes on
        self._applied: set[int] = set()  # the lines of those that a variable holds, and `@variable` applies

    def leave(self, line: int, what: str, why: str, instead: str) -> None:
        self.found.leave(self.source.file, line, Remark(what, why, instead))

    def finish(self) -> None:
        """Name the decorators that are called in code and are applied nowhere in the file."""
        for node, what in self._in_code:
            if node.lineno not in self._applied:
                instead = "name the functions that it is applied to in monitors"
                why = "it is called in code" if isinstance(node, ast.Call) else "it is passed on in code"
                self.leave(node.lineno, what, why, instead)

    def visit_If(self, node: ast.If) -> None:
        before = self._program
        self._program = before or ast.unparse(node.test) == "__name__ == '__main__'"
        for each in (node.test, *node.body):
            self.visit(each)
        self._program = before
        for each in node.orelse:
            self.visit(each)

    # Definitions

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.definition(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.definition(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.definition(node)

    def definition(self, node: _Definition) -> None:
        for decorator in node.decorator_list:
            if not self.decorator(decorator, node):
                self.visit(decorator)
        self._around.append(node)
        for field, value in ast.iter_fields(node):
            if field != "decorator_list":
                for each in value if isinstance(value, list) else [value]:
                    if isinstance(each, ast.AST):
                        self.visit(each)
        self._around.pop()

    def decorator(self, written: ast.expr, node: _Definition) -> bool:
        """Whether it is one of a tool's."""
        call = self.names.made_by(written)
        parameters = [] if isinstance(node, ast.ClassDef) else _parameters(node)
        try:
            name = self.names.dotted(call.func if call else written)
            use, made = self.use(name, call, parameters)
            if made is None and name.endswith("()") and self.use(name[:-2], None, [])[1] is not None:
                raise NotCarried(
                    "its arguments stand in another file", f"name it in a monitor: target: {self.target(node)}"
                )
            if made is None:
                return False
            if call is not None:
                self._applied.add(call.lineno)
            target = self.target(node)
        except NotCarried as reason:
            self.leave(
                written.lineno,
                f"@{ast.unparse(written.func if isinstance(written, ast.Call) else written)}",
                reason.why,
                reason.instead,
            )
            return True
        if self.found.add(Carried(target, made, self.source.file, written.lineno, (use.written,), node.lineno)):
            for remark in use.remarks:
                self.found.leave(self.source.file, written.lineno, remark)
            if use.remarks:
                return True
            lines = (written.lineno, written.end_lineno or written.lineno)
            self.found.removable.setdefault(self.source.path, []).append(lines)
        return True

    def use(self, name: str, call: ast.Call | None, parameters: list[str]) -> tuple[Use, dict[str, Any] | None]:
        """The use of a decorator, and the keys that its tool gives; None where no tool knows it."""
        for meant in (name, *self.names.from_stars(name)):
            for tool in _TOOLS:
                use = Use(meant, call, self.names, parameters)
                made = tool.decorator(use)
                if made is not None:
                    return use, made
        return Use(name, call, self.names, parameters), None

    def target(self, node: _Definition) -> str:
        """As monitors.yaml names it. Raises NotCarried where it has no dotted path."""
        if isinstance(node, ast.ClassDef):
            path = f"{self.source.module}:{self.qualname([*self._around, node])}.*"
            raise NotCarried("a monitor is of functions, not of a class", f"target: {path} has its public methods")
        if any(not isinstance(each, ast.ClassDef) for each in self._around):
            raise NotCarried("a function inside a function has no dotted path", self.proposal())
        if any(isinstance(each, ast.Attribute) and each.attr in ("setter", "deleter") for each in node.decorator_list):
            raise NotCarried("half of a property has no dotted path of its own", "name a function that it calls")
        if self._program:
            raise NotCarried("only a program defines it, not an import", "move it above `if __name__ …`")
        if not self.source.module:
            raise NotCarried("no import leads to this file", "name the folder that is on the ERP's path with --path")
        return self.path([*self._around, node])

    def path(self, nodes: list[_Definition]) -> str:
        colon = ":" if "." not in self.source.module or len(nodes) > 1 else "."
        target = f"{self.source.module}{colon}{self.qualname(nodes)}"
        try:
            parse_target(target)
        except TargetError as error:
            raise NotCarried(str(error), "give the module or the function another name") from None
        return target

    def qualname(self, nodes: list[_Definition]) -> str:
        """The names of classes and the function, private ones as Python stores them: `_Orders__load`."""
        owners = ["", *(node.name.lstrip("_") for node in nodes)]
        private = [node.name.startswith("__") and not node.name.endswith("__") for node in nodes]
        return ".".join(
            f"_{owner}{node.name}" if owner and hidden else node.name
            for node, owner, hidden in zip(nodes, owners, private)
        )

    def proposal(self) -> str:
        """The outermost function around this place, as a target."""
        nodes: list[_Definition] = []
        for node in self._around:
            nodes.append(node)
            if not isinstance(node, ast.ClassDef):
                try:
                    return f"name the function around it: target: {self.path(nodes)}"
                except NotCarried:
                    break
        return "move it into a function, and name that in a monitor"

    # Calls

    def visit_Call(self, node: ast.Call) -> None:
        for name in (plain := self.names.dotted(node.func), *self.names.from_stars(plain)):
            if name and self.call(name, node):
                break
        if not plain or isinstance(node.func, ast.Call):
            self.visit(node.func)
        for argument in (*node.args, *node.keywords):
            self.visit(argument)

    def visit_Assign(self, node: ast.Assign) -> None:
        if not isinstance(node.value, (ast.Name, ast.Attribute)):  # of an alias, what it is used for counts
            self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        self.passed_on(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not self.passed_on(node):
            self.visit(node.value)

    def passed_on(self, node: ast.Name | ast.Attribute) -> bool:
        """Whether it is a decorator that code passes on, as `partial(trace, …)` does."""
        name = self.names.dotted(node) if isinstance(node.ctx, ast.Load) else ""
        return bool(name) and self.by_hand(name, node)

    def call(self, name: str, node: ast.Call) -> bool:
        """Whether it is one of a tool's."""
        if name == "sentry_sdk.init":
            if node.args or node.keywords:  # else it takes the environment variables that the agent takes too
                self.client(Use(name, node, self.names, []), node.lineno)
        elif name in _INSIDE or name.rpartition(".")[2] == opentelemetry.SPAN:
            self.leave(node.lineno, name, "it measures a part of a function", self.proposal())
        elif name in _STAYING:
            self.leave(node.lineno, name, "it reports by itself, also beside the agent", "nothing to do")
        elif name.startswith("newrelic.") and self.wrapped(Use(name, node, self.names, []), node.lineno):
            pass
        else:
            return self.by_hand(name, node)
        return True

    def by_hand(self, name: str, node: ast.expr) -> bool:
        """Whether it is a decorator. Code calls it or passes it on."""
        try:
            if self.use(name, None, [])[1] is None:
                return False
        except NotCarried:
            pass
        self._in_code.append((node, name.rpartition(".")[2]))
        return True

    def wrapped(self, use: Use, line: int) -> bool:
        made = newrelic.wrapped(use)
        if made is None:
            return False
        target, keys = made
        try:
            parse_target(target)
        except TargetError:
            self.leave(line, use.last, "the function's name is computed", "name the function in a monitor")
            return True
        self.found.add(Carried(target, keys, self.source.file, line, (use.last,)))
        return True

    def client(self, use: Use, line: int) -> None:
        if self.found.sentry_place:
            why = f"{self.found.sentry_place} has sentry_sdk.init too, which was carried over"
            self.leave(line, "sentry_sdk.init", why, "compare the two, and the section `sentry`, by hand")
            return
        self.found.sentry_place = f"{self.source.file}:{line}"
        self.found.sentry = sentry_init.settings(use)
        for target, keys in sentry_init.functions_to_trace(use):
            self.found.add(Carried(target, keys, self.source.file, line, ("functions_to_trace",)))
        for remark in use.remarks:
            self.found.leave(self.source.file, line, remark)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and node.value.startswith("DD_TRACE_"):
            why = "it is a setting of Datadog's tracer"
            self.leave(node.lineno, node.value[:60], why, "sentry.traces_sample_rate decides how many traces are sent")


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
