"""What a name in the text of a module leads to: follows re-exports, aliases, base classes and decorators."""

from __future__ import annotations

import ast
import builtins
from typing import NamedTuple, Union

from ..language.nearest import did_you_mean
from .bindings import Binding, ModuleIndex, Scope, dotted, last_name, read
from .classes import CLASS_DECORATORS, GENERATED, builtin_has, generated_by
from .modules import ModuleFile, ModuleFinder
from .search import SearchPath

_DEEPEST = 30  # re-exports of re-exports
_MOST_STEPS = 3000  # of one look-up: names that refer to each other in every way are given up

_OPAQUE_NAMES = ("getattr", "type", "import_module", "import_string", "namedtuple", "new_class", "make_dataclass")


class Thing(NamedTuple):
    """What a path leads to, in the module whose text binds it."""

    home: ModuleIndex
    binding: Binding
    owner: ast.ClassDef | None = None  # the class whose body holds the binding
    note: str = ""
    instance: bool = False  # an object made by calling the class
    several: bool = False  # one of several definitions: which of them counts is decided at run time


class Unknown(NamedTuple):
    """The text does not show it."""

    reason: str
    hint: str = ""


class Missing(NamedTuple):
    reason: str
    hint: str = ""
    absent: bool = False


Step = Union[Thing, ModuleFile, Unknown, Missing]


class Names:
    """The names of one environment. Every module that was read is remembered."""

    def __init__(self, search: SearchPath) -> None:
        self.search = search
        self.finder = ModuleFinder(search)
        self._indexes: dict[str, ModuleIndex] = {}
        self._ready: set[str] = set()  # modules above which all packages were read
        self._steps = 0  # of the look-up that goes on
        self._lines: dict[tuple[int, str], tuple[list[Thing], list[str]]] = {}

    # Modules

    def index(self, module: ModuleFile) -> ModuleIndex:
        index = self._indexes.get(module.name)
        if index is None:
            index = self._indexes[module.name] = self._read(module)
        return index

    def _read(self, module: ModuleFile) -> ModuleIndex:
        package = bool(module.locations)
        index = ModuleIndex(module.name, module.file, package=package)
        if module.kind == "source":
            try:
                source = self.finder.read(module)
            except OSError as error:
                index.unreadable = f"{module.file} cannot be read: {error.strerror or error}"
            else:
                index = read(module.name, module.file, source, package=package, version=self.search.version)
                if index.extends_path or b"extend_path" in source or b"declare_namespace" in source:
                    self.finder.widen(module)
        elif module.kind != "namespace":
            index.unreadable = {
                "extension": "it is compiled", "bytecode": "only its bytecode is installed, not its source",
                "builtin": "it is built into the interpreter",
            }[module.kind]  # fmt: skip
        return index

    def module(self, name: str) -> ModuleFile | None:
        if name not in self._ready:
            parent = name.rpartition(".")[0]
            above = self.module(parent) if parent else None
            if above is not None and above.kind == "source":
                self.index(above)  # it may widen where its submodules lie
            self._ready.add(name)
        return self.finder.find(name)

    def index_of(self, name: str) -> ModuleIndex:
        module = self.module(name)
        assert module is not None
        return self.index(module)

    def attribute(self, module_name: str, attribute: str, depth: int = 0) -> Step:
        """Follow a dotted attribute from a module."""
        module = self.module(module_name)
        if module is None:
            return Missing(
                f"there is no module `{module_name}`", absent=self.finder.find(module_name.partition(".")[0]) is None
            )
        step: Step = module
        walked = module_name
        for part in attribute.split("."):
            step = self.member(step, part, walked, depth)
            if isinstance(step, (Unknown, Missing)):
                return step
            walked += "." + part
        return step

    def member(self, holder: Step, name: str, walked: str, depth: int) -> Step:
        if isinstance(holder, ModuleFile):
            return self.in_module(holder, name, depth)
        if isinstance(holder, Thing):
            settled = self.settle(holder, depth)
            if isinstance(settled, ModuleFile):
                return self.in_module(settled, name, depth)
            if not isinstance(settled, Thing):
                return settled
            if settled.instance and holder.owner is not None:
                return Unknown(f"`{walked}` is an object in a class: what it has is decided at run time")
            if settled.binding.form == "class":
                return self.in_class(settled, name, walked, depth)
            if settled.binding.form == "function":
                return Unknown(f"`{walked}` is a function: what it holds exists only at run time")
            return Unknown(f"`{walked}` is made at run time")
        return holder

    # Modules' names

    def in_module(self, module: ModuleFile, name: str, depth: int = 0) -> Step:
        if depth > _DEEPEST:
            return Unknown("its re-exports go in a circle, or too far")
        index = self.index(module)
        found = self._bound(index, name, depth)
        if found is not None:
            return found
        submodule = self.module(f"{module.name}.{name}") if module.locations else None
        if submodule is not None:
            return submodule
        if index.unreadable:
            return Unknown(f"`{module.name}`: {index.unreadable}")
        hint = did_you_mean(name, self._names(module))
        if "__getattr__" in index.names:
            return Unknown(f"`{module.name}` makes attributes at run time, in its __getattr__", hint)
        if index.dynamic:
            return Unknown(f"`{module.name}` may define it at run time: {index.dynamic}", hint)
        for star, _, _ in index.stars:
            there = self.module(star)
            if there is None or self.index(there).unreadable or self.index(there).dynamic:
                return Unknown(f"`{module.name}` takes all names of `{star}`, which cannot be read", hint)
        what = "package" if module.locations else "module"
        return Missing(f"the {what} `{module.name}` exists, and has no attribute `{name}`", hint)

    def _names(self, module: ModuleFile) -> list[str]:
        index = self.index(module)
        names = [name for name in index.names if not name.startswith("__")]
        return names + (self.finder.submodules(module) if module.locations else [])

    def _bound(self, index: ModuleIndex, name: str, depth: int) -> Thing | ModuleFile | Unknown | None:
        """A name of a module's own text, the best of its possibilities; None where it has none."""
        best: Step | None = None
        for binding in index.names.get(name, []):
            step = self.settle(Thing(index, binding), depth + 1)
            if isinstance(step, Thing) or (binding.certain and isinstance(step, Unknown)):
                replaced = self._replaced(index, binding)
                return replaced or Thing(index, binding, several=_undecided(index.names[name]))
            if best is None or isinstance(best, Missing):
                best = step
        if isinstance(best, Missing):  # an import that fails here: a branch for other versions
            return Unknown(f"`{index.name}`, line {index.names[name][0].line}: {best.reason}")
        if best is not None:
            return best
        for star, line, _ in sorted(index.stars, key=lambda item: (not item[2], -item[1])):
            there = self.module(star)
            if there is None or depth > _DEEPEST:
                continue
            other = self.index(there)
            if other.unreadable:
                return Unknown(f"`{index.name}` takes all names of `{star}`: {other.unreadable}")
            public = not name.startswith("_") if other.exported is None else name in other.exported
            if public or other.exports_hidden:
                step = self.in_module(there, name, depth + 1)
                if isinstance(step, Thing):
                    return Thing(index, Binding("from", line, None, star, name))
                if isinstance(step, (ModuleFile, Unknown)):
                    return step
        return None

    def _replaced(self, index: ModuleIndex, binding: Binding) -> Unknown | None:
        """A compiled twin whose names come in below the definitions, as in the standard library's datetime."""
        for star, line, _ in index.stars:
            there = self.module(star) if line > binding.line else None
            if there is not None and there.kind in ("extension", "builtin"):
                return Unknown(f"`{index.name}` replaces what it defines by the compiled `{star}`")
        return None

    def settle(self, thing: Thing, depth: int = 0) -> Step:
        """Follow imports and aliases to a definition, or to a value that is none."""
        index, binding = thing.home, thing.binding
        self._steps += 1
        if depth > _DEEPEST or self._steps > _MOST_STEPS:
            return Unknown("its re-exports go in a circle, or too far")
        if binding.form == "module":
            found = self.module(binding.module)
            return found or self._lost(binding.module)
        if binding.form == "from":
            origin = self.module(binding.module)
            if origin is None:
                return self._lost(binding.module)
            own = self.module(f"{index.name}.{binding.name}") if origin.name == index.name else None
            if own is not None:  # `from . import models`, in a package's own text
                return own
            step = self.in_module(origin, binding.name, depth + 1)
            return self.settle(step, depth + 1) if isinstance(step, Thing) else step
        if binding.form == "value":
            return self._value(thing, binding, depth)
        if binding.form == "other":
            return Unknown(f"`{index.name}` assigns it at run time, line {binding.line}")
        return thing

    def _lost(self, module: str) -> Missing:
        top = module.partition(".")[0]
        return Missing(f"there is no module `{module}` on this path", absent=self.module(top) is None)

    def _value(self, thing: Thing, binding: Binding, depth: int) -> Step:
        """What an assigned expression is: another name, a lambda, a wrapped function, an instance."""
        index, node = thing.home, binding.node
        name = dotted(node)
        if name:
            return self.named(thing, name, binding, depth)
        if isinstance(node, ast.Lambda):
            return thing
        if isinstance(node, ast.IfExp):
            for branch in (node.body, node.orelse):
                step = self._value(thing, binding._replace(node=branch), depth + 1)
                if isinstance(step, Thing):
                    return step
        if isinstance(node, ast.Call):
            return self._called(thing, binding, node, depth)
        if isinstance(node, ast.Constant):
            return Missing(f"`{index.name}` line {binding.line}: it is a value, not a function")
        return Unknown(f"`{index.name}` makes it at run time, line {binding.line}")

    def _called(self, thing: Thing, binding: Binding, node: ast.Call, depth: int) -> Step:
        index = thing.home
        maker = last_name(node)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            inner = argument
            while isinstance(inner, ast.Call) and inner.args:
                inner = inner.args[0]
            step = self._value(thing, binding._replace(node=inner), depth + 1) if (
                dotted(inner) or isinstance(inner, ast.Lambda)) else None  # fmt: skip
            is_function = isinstance(step, Thing) and isinstance(
                step.binding.node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
            )
            if isinstance(step, Thing) and is_function:
                return step._replace(note=f"inside {maker or 'a call'}(…)")
        called = dotted(node.func)
        if called and maker not in _OPAQUE_NAMES:
            step = self.named(thing, called, binding, depth)
            if isinstance(step, Thing) and step.binding.form == "class":
                return step._replace(note=f"an instance of {maker}", instance=True)
        return Unknown(f"`{index.name}` makes it at run time with {maker or 'a call'}(…), line {binding.line}")

    def named(self, thing: Thing, name: str, binding: Binding, depth: int) -> Step:
        """A dotted name as the text of a module uses it."""
        head, _, rest = name.partition(".")
        index = thing.home
        step: Step | None = None
        if thing.owner is not None:
            scope = index.inside(thing.owner)
            own = [other for other in scope.names.get(head, []) if other.line != binding.line] or (
                list(binding.before) if head in scope.names else [])  # fmt: skip
            if own:
                step = Thing(index, own[-1], thing.owner)
        if step is None:
            known = index.names.get(head, [])
            itself = any((other.line, other.form) == (binding.line, binding.form) for other in known)
            if itself and thing.owner is None:
                step = Thing(index, binding.before[-1]) if binding.before else None
            else:
                step = self._bound(index, head, depth + 1)
        if step is None:
            if hasattr(builtins, head):
                return Unknown(f"`{head}` is built in")
            return Unknown(f"`{name}`, line {binding.line} of `{index.name}`, is made at run time")
        if isinstance(step, Thing):
            step = self.settle(step, depth + 1)
        for part in rest.split(".") if rest else ():
            step = self.member(step, part, name, depth + 1)
            if isinstance(step, Thing):
                step = self.settle(step, depth + 1)
        return step

    # Classes

    def in_class(self, cls: Thing, name: str, walked: str, depth: int = 0) -> Step:
        line, gaps = self.linearized(cls, depth)
        generated = ""
        for position, ancestor in enumerate(line):
            node = ancestor.binding.node
            assert isinstance(node, ast.ClassDef)
            scope = ancestor.home.inside(node)
            changed = ancestor.home.changed.get(f"{node.name}.{name}")
            private = f"_{node.name.lstrip('_')}__"
            written = name[len(private) - 2 :] if name.startswith(private) and not name.endswith("__") else name
            found = self._in_body(ancestor, node, scope, written, changed, depth)
            if found is not None:
                where = f"{ancestor.home.name}.{node.name}"
                if position and isinstance(found, Thing):
                    return found._replace(note=f"inherited from {where}")
                return found
            generated = generated or generated_by(node, name)
            if f"{node.name}.*" in ancestor.home.changed:
                gaps = [*gaps, f"{ancestor.home.name} sets attributes of {node.name} with setattr()"]
            if scope.dynamic:
                gaps = [*gaps, f"the class {node.name}: {scope.dynamic}"]
        if generated:
            return Unknown(f"it is created at run time by {generated}")
        hint = did_you_mean(name, [key for each in line for key in self._body(each).names if not key.startswith("__")])
        if gaps:
            return Unknown(gaps[0], hint)
        if builtin_has("object", name):
            return Unknown(f"`{walked}` inherits it from object, where it is compiled")
        return Missing(f"the class `{walked}` exists, and has no attribute `{name}`", hint)

    def _body(self, cls: Thing) -> Scope:
        assert isinstance(cls.binding.node, ast.ClassDef)
        return cls.home.inside(cls.binding.node)

    def _in_body(
        self, cls: Thing, node: ast.ClassDef, scope: Scope, name: str, changed: Binding | None, depth: int
    ) -> Step | None:
        if changed is not None and changed.form == "other":
            return Unknown(f"`{cls.home.name}` adds it to {node.name} at run time, line {changed.line}")
        if changed is not None:
            return Thing(cls.home, changed)
        best: Step | None = None
        for binding in scope.names.get(name, []):
            thing = Thing(cls.home, binding, node)
            step = self.settle(thing, depth + 1)
            if isinstance(step, Thing):
                return thing._replace(several=_undecided(scope.names[name]))
            best = best or step
        if isinstance(best, Missing):
            return Unknown(best.reason)
        return best

    def linearized(self, cls: Thing, depth: int = 0) -> tuple[list[Thing], list[str]]:
        """The class and its ancestors in the order of the MRO, and what is unknown about them."""
        node = cls.binding.node
        key = (id(node), cls.home.name)
        if key not in self._lines:
            self._lines[key] = ([cls], [])  # for a class that inherits from itself
            self._lines[key] = self._linearize(cls, depth)
        return self._lines[key]

    def _linearize(self, cls: Thing, depth: int) -> tuple[list[Thing], list[str]]:
        node = cls.binding.node
        assert isinstance(node, ast.ClassDef)
        gaps: list[str] = []
        lines: list[list[Thing]] = []
        for base in node.bases:
            expression = base.value if isinstance(base, ast.Subscript) else base
            name = dotted(expression)
            if not name:
                made = last_name(expression) or "a call"
                gaps.append(f"a base class of {node.name} is made at run time by {made}(…)")
                continue
            step = self.named(cls._replace(owner=None), name, cls.binding, depth + 1)
            if isinstance(step, Thing) and step.instance and step.home.name == "typing":
                # typing.Mapping is an alias object, made at run time, of the class in collections.abc.
                step = self.attribute("_collections_abc", name.rpartition(".")[2], depth + 1)
            if isinstance(step, Thing) and step.binding.form == "class" and not step.instance:
                line, more = self.linearized(step, depth + 1)
                lines.append(line)
                gaps += more
            elif name.rpartition(".")[2] not in ("object", "Generic", "Protocol", "ABC", *GENERATED):
                why = step.reason if isinstance(step, (Unknown, Missing)) else "it is no class"
                gaps.append(f"the base class `{name}` of {node.name} cannot be read: {why}")
        for keyword in node.keywords:
            if keyword.arg == "metaclass" and last_name(keyword.value) not in ("ABCMeta", "type", "EnumMeta"):
                gaps.append(f"the metaclass {last_name(keyword.value)} of {node.name} may add it at run time")
        for decorator in node.decorator_list:
            if last_name(decorator) not in CLASS_DECORATORS:
                gaps.append(f"the decorator @{last_name(decorator)} of {node.name} may add it at run time")
        return [cls, *_merged(lines)], gaps


def _undecided(bindings: list[Binding]) -> bool:
    return sum(binding.form in ("function", "value") for binding in bindings) > 1


def _merged(lines: list[list[Thing]]) -> list[Thing]:
    """C3, as Python orders ancestors; where it has no result, depth first."""
    merged: list[Thing] = []
    pending = [list(line) for line in lines if line]

    def same(one: Thing, other: Thing) -> bool:
        return one.binding.node is other.binding.node

    while pending:
        for line in pending:
            head = line[0]
            if not any(same(head, item) for other in pending for item in other[1:]):
                break
        else:
            head = pending[0][0]
        merged.append(head)
        pending = [rest for line in pending if (rest := [item for item in line if not same(item, head)])]
    return merged
