"""What a name in a file means: the imports and simple assignments of the file, as dotted names.

What a file imports or assigns, others import from it: `from erp.common import mon` means what `mon` means there.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Mapping

from ...codebase.bindings import ModuleIndex

#: A value that only running the code would show.
COMPUTED = object()
_CHANGING = ("append", "extend", "insert", "update", "remove", "pop")


class Names:
    def __init__(
        self, tree: ast.Module, module: str, *, package: bool, exports: Mapping[str, str] | None = None
    ) -> None:
        self.module = module
        self._exports = exports or {}  # of all files: dotted name → what it means where it was defined
        index = ModuleIndex(module, "", package=package)
        self._means: dict[str, str] = {}
        self._stars: list[str] = []
        self._values: dict[str, ast.expr] = {}
        self._classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self._means[alias.asname or alias.name.partition(".")[0]] = (
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom):
                above = index.absolute(node.module or "", node.level)
                for alias in node.names:
                    if alias.name == "*":
                        self._stars.append(above)
                    else:
                        self._means[alias.asname or alias.name] = f"{above}.{alias.name}"
        for statement in tree.body:
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                target, value = statement.targets[0], statement.value
            elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
                target, value = statement.target, statement.value
            else:
                continue
            if isinstance(target, ast.Name):
                self._values[target.id] = value
        for name in _changed(tree):
            self._values.pop(name, None)

    def exported(self) -> Iterator[tuple[str, str]]:
        """(dotted name, what it means) of what other files may import from this one."""
        for name in (*self._means, *self._values):
            meaning = self._plain(ast.Name(name), 0)
            if self.module and meaning not in (name, ""):
                yield f"{self.module}.{name}", meaning
        for module in self._stars:
            yield f"{self.module}.*", f"{module}.*"

    def dotted(self, node: ast.AST) -> str:
        """`sentry_sdk.trace` of `s.trace` after `import sentry_sdk as s`; the result of a call ends with `()`."""
        return self._followed(self._plain(node, 0))

    def _followed(self, name: str) -> str:
        """The name through the files that pass it on."""
        for _ in range(5):
            head, tail = name, ""
            while head and head not in self._exports:
                head, _, last = head.rpartition(".")
                tail = f".{last}{tail}"
            if not head:
                break
            name = self._exports[head] + tail
        return name

    def _plain(self, node: ast.AST, depth: int) -> str:
        if isinstance(node, ast.Name):
            if node.id in self._means:
                return self._means[node.id]
            value = self._values.get(node.id)
            if value is not None and depth < 5 and isinstance(value, (ast.Name, ast.Attribute, ast.Call)):
                return self._plain(value, depth + 1)
            return node.id
        if isinstance(node, ast.Attribute):
            left = self._plain(node.value, depth)
            return f"{left}.{node.attr}" if left else ""
        if isinstance(node, ast.Call):
            left = self._plain(node.func, depth)
            return f"{left}()" if left else ""
        return ""

    def from_stars(self, name: str) -> list[str]:
        """What a bare name may mean in a module that imports everything of others."""
        return [self._followed(f"{module}.{name}") for module in self._stars if "." not in name]

    def class_name(self, node: ast.AST) -> str:
        """The dotted name of a class, as an import anywhere would spell it; "" where the text does not show it."""
        name = self.dotted(node)
        head = name.partition(".")[0]
        if isinstance(node, ast.Name) and name == node.id:
            if name in self._classes:
                return f"{self.module}.{name}"
            return name if hasattr(builtins, name) else ""
        return "" if "(" in name or head in self._values else name

    def value(self, node: ast.expr) -> object:
        """The value of a literal, or of a name that the module gives one; else COMPUTED."""
        try:
            return self._literal(node, 0)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return COMPUTED

    def _literal(self, node: ast.expr, depth: int) -> object:
        """Raises ValueError and its like for what only running the program would show."""
        if isinstance(node, ast.Name) and node.id in self._values and node.id not in self._means and depth < 5:
            return self._literal(self._values[node.id], depth + 1)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self._literal(node.left, depth), self._literal(node.right, depth)
            if isinstance(left, str) and isinstance(right, str):
                return left + right
        if isinstance(node, ast.JoinedStr):
            parts = [each.value if isinstance(each, ast.FormattedValue) else each for each in node.values]
            texts = [self._literal(each, depth) for each in parts]
            plain = all(not (isinstance(each, ast.FormattedValue) and each.format_spec) for each in node.values)
            if plain and all(isinstance(each, str) for each in texts):
                return "".join(map(str, texts))
        return ast.literal_eval(node)

    def elements(self, node: ast.expr, depth: int = 0) -> Iterator[ast.expr]:
        """What a list or tuple is made of: also `[*A, b]`, `A + [b]`, and names of such; else the expression itself."""
        named = self.expression(node)
        if isinstance(named, (ast.List, ast.Tuple, ast.Set)) and depth < 5:
            for each in named.elts:
                yield from self.elements(each.value, depth + 1) if isinstance(each, ast.Starred) else (each,)
        elif isinstance(named, ast.BinOp) and isinstance(named.op, ast.Add) and depth < 5:
            for each in (named.left, named.right):
                yield from self.elements(each, depth + 1)
        else:
            yield node

    def made_by(self, node: ast.expr) -> ast.Call | None:
        """The call that makes a decorator: itself, that of the variable, that in `partial(trace, op="x")`."""
        call = self.expression(node)
        if isinstance(call, ast.Call) and call.args and self.dotted(call.func) == "functools.partial":
            return ast.copy_location(ast.Call(call.args[0], call.args[1:], call.keywords), call)
        return call if isinstance(call, ast.Call) else None

    def expression(self, node: ast.expr) -> ast.expr:
        """What a name stands for, where the module assigns it."""
        return self._values.get(node.id, node) if isinstance(node, ast.Name) else node


def _changed(tree: ast.Module) -> Iterator[str]:
    """Names whose value is not only that of one assignment: in a branch, with `+=`, or changed by a method."""
    waiting: list[tuple[ast.AST, bool]] = [(node, False) for node in tree.body]
    while waiting:
        node, inside = waiting.pop()
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign) and inside:
            yield from (each.id for each in node.targets if isinstance(each, ast.Name))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
            yield from (each.id for each in [node.func.value] if isinstance(each, ast.Name))
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            waiting.extend((each, True) for each in ast.iter_child_nodes(node))
