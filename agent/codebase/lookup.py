"""A dotted path → TargetOutcome.

The counterpart of `hook.resolve`, which does the same with the objects of a running process.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from ..language.nearest import did_you_mean
from .bindings import last_name
from .classes import CLASS_DECORATORS
from .modules import ModuleFile
from .names import Missing, Names, Step, Thing, Unknown
from .outcome import ELSEWHERE, FOUND, MISSING, UNCHECKED, Parameters, TargetOutcome
from .remembered import Remembered
from .search import SearchPath

#: Decorators that leave the parameters, or the function itself, as written.
# fmt: off
_TRANSPARENT = frozenset((
    "staticmethod", "classmethod", "property", "cached_property", "lru_cache", "cache", "abstractmethod", "override",
    "contextmanager", "asynccontextmanager", "final", "wraps", "singledispatch", "singledispatchmethod", "getter",
    "shared_task", "task", "receiver", "register", "atomic", "login_required", "permission_required", "csrf_exempt",
    "require_http_methods", "require_GET", "require_POST", "sensitive_variables", "sensitive_post_parameters",
    "never_cache", "actor", "job", "scheduled_job", "periodic_task", "db_task", "db_periodic_task",
))
# fmt: on

#: Every program is `__main__` while it runs.
PROGRAM = TargetOutcome(
    UNCHECKED,
    reason="which program runs as `__main__` is known only then",
    hint="name a script by its file: `close.main` for bin/close.py",
)


class Lookup(Names):
    """Looks paths up in one environment."""

    def __init__(self, search: SearchPath) -> None:
        super().__init__(search)
        self.known = Remembered()

    def outcome(self, path: str, module: str | None = None) -> TargetOutcome:
        """What becomes of a target. `module` is given where a colon divides it from the attribute."""
        key = (path, module)
        if key not in self.known.outcomes:
            self._steps = 0
            self.known.outcomes[key] = self._outcome(path, module)
        return self.known.outcomes[key]

    def _outcome(self, path: str, module: str | None) -> TargetOutcome:
        if path.startswith("__main__."):
            return PROGRAM
        first: Step | None = None
        for name, attribute in self.splits(path, module):
            step = self.attribute(name, attribute)
            if isinstance(step, Thing):
                return self._found(step, name, attribute)
            if first is None:
                first = step
        if first is None:
            return self._no_module(path, module)
        if isinstance(first, ModuleFile):
            return TargetOutcome(MISSING, reason=f"`{path}` is a module", hint="name a function in it, or `.*` for all")
        if isinstance(first, Unknown):
            return TargetOutcome(UNCHECKED, reason=first.reason, hint=first.hint)
        assert isinstance(first, Missing)
        return TargetOutcome(MISSING, reason=first.reason, hint=first.hint, absent=first.absent)

    def exception(self, name: str) -> TargetOutcome:
        """What becomes of an exception's dotted name."""
        if "." not in name:
            value = getattr(builtins, name, None)
            if isinstance(value, type) and issubclass(value, BaseException):
                return TargetOutcome(FOUND, "builtins")
            known = [key for key, item in vars(builtins).items() if isinstance(item, type) and "Error" in key]
            hint = did_you_mean(name, known) or "name it with its module: `package.module.Error`"
            return TargetOutcome(MISSING, reason="it is no exception that is built into Python", hint=hint)
        outcome = self.outcome(name)
        if outcome.kind == "class":
            return outcome._replace(status=FOUND, reason="", hint="")
        if outcome.kind == "function":
            return outcome._replace(status=MISSING, reason="it is a function, no exception")
        return outcome

    def splits(self, path: str, module: str | None) -> Iterator[tuple[str, str]]:
        """(module, attribute) with the longest module first."""
        if module is not None:
            if self.module(module) is not None:
                yield module, path[len(module) + 1 :]
            return
        parts = path.split(".")
        whole = self.module(path)
        for length in range(len(parts) - 1, 0, -1):
            name = ".".join(parts[:length])
            if self.module(name) is not None:
                yield name, ".".join(parts[length:])
                if whole is None and length > 1 and self.index_of(name).unreadable:
                    return

    def _no_module(self, path: str, module: str | None) -> TargetOutcome:
        parts = (module or path).split(".")
        if self.module(parts[0]) is None:
            reason = f"there is no package `{parts[0]}` on this interpreter's path"
            return TargetOutcome(MISSING, reason=reason, absent=True)
        known = parts[0]
        for length in range(1, len(parts) + 1):
            name = ".".join(parts[:length])
            found = self.module(name)
            if found is None:
                above = self.module(known)
                assert above is not None
                if above.kind in ("extension", "bytecode", "builtin") or not above.locations:
                    return TargetOutcome(MISSING, reason=f"`{known}` is a module, not a package: there is no `{name}`")
                near = did_you_mean(parts[length - 1], self.finder.submodules(above))
                return TargetOutcome(
                    MISSING, reason=f"`{known}` exists, and has no module `{parts[length - 1]}`", hint=near
                )
            known = name
        return TargetOutcome(MISSING, reason=f"`{path}` was not found")

    def _found(self, thing: Thing, module: str, attribute: str) -> TargetOutcome:
        settled = self.settle(thing)
        if isinstance(settled, Unknown):
            return TargetOutcome(UNCHECKED, reason=settled.reason, hint=settled.hint)
        if isinstance(settled, Missing):
            return TargetOutcome(MISSING, reason=settled.reason, hint=settled.hint)
        if isinstance(settled, ModuleFile):
            return TargetOutcome(MISSING, reason=f"it is the module `{settled.name}`", hint="name a function in it")
        node = settled.binding.node
        line = settled.binding.line
        note = settled.note or thing.note
        file, name = settled.home.file, settled.home.name
        if settled.binding.form == "class" and not settled.instance:
            path = f"{module}.{attribute}"
            made = [last_name(item) for item in getattr(node, "decorator_list", ())]
            strange = next((item for item in made if item not in CLASS_DECORATORS), "")
            if strange:
                reason = f"`{path}` is a class that @{strange} may make into something else"
                return TargetOutcome(UNCHECKED, name, file, line, reason=reason, kind="class")
            return TargetOutcome(
                MISSING, name, file, line, reason=f"`{path}` is a class", kind="class",
                hint=f"name one of its methods, such as `{path}.__init__`, or `{path}.*` for all",
            )  # fmt: skip
        if settled.instance:
            call = self.in_class(settled, "__call__", attribute)
            definition = self.settle(call) if isinstance(call, Thing) else call
            if not isinstance(definition, Thing):
                return TargetOutcome(UNCHECKED, name, file, line, reason=f"it is {note}, made at run time")
            settled, node, line = definition, definition.binding.node, definition.binding.line
            file, name, note = settled.home.file, settled.home.name, f"{note}: its __call__"
        parameters = parameters_of(node, wrapped="inside" in note)
        if parameters is None:
            return TargetOutcome(UNCHECKED, name, file, line, reason=f"`{name}` makes it at run time, line {line}")
        if thing.several:
            note = f"{note}; one of several definitions".lstrip("; ")
            parameters = parameters._replace(certain=False)
        inherited = note.startswith("inherited")
        status = FOUND
        if name != module and not inherited and thing.binding.form != "value":
            status, note = ELSEWHERE, f"re-exported from {name}, patched there" + (f"; {note}" if note else "")
        elif thing.binding is not settled.binding and not inherited and not settled.instance and not note:
            other = getattr(node, "name", "")
            status, note = ELSEWHERE, f"another name of {name}.{other}, patched there" if other else note
        return TargetOutcome(status, name, file, line, parameters, note, kind="function")


def parameters_of(node: ast.AST | None, *, wrapped: bool = False) -> Parameters | None:
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return None
    given = node.args
    names = [item.arg for item in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    names += [item.arg for item in (given.vararg, given.kwarg) if item is not None]
    text = " ".join(ast.unparse(given).split())
    certain = not wrapped
    if not isinstance(node, ast.Lambda):
        certain = certain and all(last_name(item) in _TRANSPARENT for item in node.decorator_list)
    return Parameters(tuple(names), f"({text[:200]}{'…' if len(text) > 200 else ''})", certain)
