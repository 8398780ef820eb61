"""What a name in a file means: the imports and simple assignments of the file, as dotted names."""

from __future__ import annotations

import ast
import builtins

from ...codebase.bindings import ModuleIndex

#: A value that only running the code would show.
COMPUTED = object()


class Names:
    def __init__(self, tree: ast.Module, module: str, *, package: bool) -> None:
        self.module = module
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

    def dotted(self, node: ast.AST, depth: int = 0) -> str:
        """`sentry_sdk.trace` of `s.trace` after `import sentry_sdk as s`; the result of a call ends with `()`."""
        if isinstance(node, ast.Name):
            if node.id in self._means:
                return self._means[node.id]
            value = self._values.get(node.id)
            if value is not None and depth < 5 and isinstance(value, (ast.Name, ast.Attribute, ast.Call)):
                return self.dotted(value, depth + 1)
            return node.id
        if isinstance(node, ast.Attribute):
            left = self.dotted(node.value, depth)
            return f"{left}.{node.attr}" if left else ""
        if isinstance(node, ast.Call):
            left = self.dotted(node.func, depth)
            return f"{left}()" if left else ""
        return ""

    def from_stars(self, name: str) -> list[str]:
        """What a bare name may mean in a module that imports everything of others."""
        return [f"{module}.{name}" for module in self._stars if "." not in name]

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
        if isinstance(node, ast.Name) and node.id in self._values and node.id not in self._means:
            node = self._values[node.id]
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return COMPUTED

    def expression(self, node: ast.expr) -> ast.expr:
        """What a name stands for, where the module assigns it."""
        return self._values.get(node.id, node) if isinstance(node, ast.Name) else node
