"""Finds what a target names in an imported module, without running any code of the host's.

Attributes are read from the `__dict__` of modules, and of classes in the order of the MRO, so that no descriptor, lazy
proxy or module `__getattr__` runs. The result is the Python function to patch in place; where there is none, the object
and its name.
"""

import sys
import types
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType

from ...base.errors import CannotPatch
from ...base.interrupts import ours
from ..code import trampoline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType
    from typing import Any

    from .defined import Names

_MISSING = object()
_LAZY = getattr(types, "LazyImportType", _MISSING)

#: The bounds of the search for a definition inside a wrapper object.
_DEPTH, _NODES = 6, 400


class Found:
    """What a target names.

    `function` is patched in place. Where it is None, `raw` is replaced under `name` in `parent`.
    `receiver` limits the monitor to calls whose first argument is an instance of it, a subclass of it, or it itself:
    a method found in a base class is shared with classes that the target does not name.
    `left(frame)`, if set, returns whether the caller in `frame` handles the call's failures itself.
    `inner` is the function defined as `name`, where `function` is a decorator's wrapper without `__wrapped__`.
    `module`, once known, is the one whose monitors are applied to it.
    """

    __slots__ = ("function", "inner", "left", "module", "name", "note", "parent", "path", "raw", "receiver")

    def __init__(self, path: str, parent: "Any", name: str, raw: object) -> None:
        self.path = path
        self.parent = parent
        self.name = name
        self.raw = raw
        self.function: "FunctionType | None" = None
        self.inner: "FunctionType | None" = None
        self.receiver: object = None
        self.left: "Callable[[FrameType], bool] | None" = None
        self.note = ""
        self.module = ""


class NotThere(Exception):
    """The module has no such attribute now."""


class NotLoaded(NotThere):
    """It is imported lazily (`lazy import`, from CPython 3.15 on), and nothing has used it yet."""


class InSubmodule(Exception):
    """The path continues in a submodule: the target is resolved when that is imported."""


def resolve(module: ModuleType, attribute: str, name: str = "") -> Found:
    """Find `attribute` ("Class.method", "function") in `module`, which may be known by another `name` than its own.

    Raises NotThere, NotLoaded, InSubmodule, or CannotPatch with the reason.
    """
    parent: "Any" = module
    where = name or module.__name__
    parts = attribute.split(".")
    for part in parts[:-1]:
        child = _used(_raw_attribute(parent, part))
        if child is _MISSING:
            if is_a(parent, ModuleType) and "__path__" in namespace(parent):
                raise InSubmodule(where + "." + part)  # which may not exist: then it is never imported
            raise NotThere(f"{where} has no attribute {part!r}")
        if is_a(child, ModuleType) and child.__name__ == where + "." + part:
            raise InSubmodule(child.__name__)
        if type(child) in (staticmethod, classmethod):
            child = child.__func__
        parent = child
        where += "." + part
    last = parts[-1]
    raw = _used(_raw_attribute(parent, last))
    if raw is _MISSING:
        raise NotThere(f"{where} has no attribute {last!r}")
    found = found_in(where + "." + last, parent, last, raw, module.__name__)
    found.module = name or module.__name__
    return found


def found_in(path: str, parent: "Any", name: str, raw: object, module: str = "") -> Found:
    """Return how to patch `raw`, the attribute `name` of `parent`. Raises CannotPatch with the reason."""
    found = Found(path, parent, name, raw)
    defined = namespace(parent).get("__module__") if is_a(parent, type) else None
    _choose(found, defined if isinstance(defined, str) else module)
    _limit_receiver(found)
    return found


def _raw_attribute(parent: "Any", name: str) -> "Any":
    if is_a(parent, type):
        for cls in type.__getattribute__(parent, "__mro__"):
            attributes = namespace(cls)
            if name in attributes:
                return attributes[name]
        return _MISSING
    attributes = _dictionary(parent)
    if name in attributes:
        return attributes[name]
    if not is_a(parent, ModuleType):
        return _raw_attribute(type(parent), name)
    return _MISSING


def _used(value: "Any") -> "Any":
    """Return what a lazy import stands for, or any other value as it is. Nothing is loaded for it: see NotLoaded."""
    if type(value) is not _LAZY:
        return value
    from gc import get_referents

    source, *attribute = [each for each in get_referents(value) if type(each) is str]
    module: "Any" = sys.modules.get(source)
    if not attribute:  # `import a.b`, which gives `a`
        found = module and sys.modules.get(source.partition(".")[0])
    else:
        found = sys.modules.get(source + "." + attribute[0])
        found = namespace(module).get(attribute[0], found) if is_a(module, ModuleType) else None
    if found is None:
        raise NotLoaded(f"it is imported lazily from {source}, which nothing has used yet")
    return _used(found)


def is_a(value: object, kind: "type | tuple[type, ...]") -> bool:
    """isinstance, without reading `value.__class__`, which may be a property that evaluates a lazy object."""
    return issubclass(type(value), kind)


def namespace(holder: "Any") -> "Mapping[str, Any]":
    """Return the `__dict__` of a module or class, whatever a metaclass or module class does on attribute access."""
    if is_a(holder, type):
        return type.__getattribute__(holder, "__dict__")  # type: ignore[no-any-return]
    return object.__getattribute__(holder, "__dict__")  # type: ignore[no-any-return]


def _text(cls: type, name: str) -> str:
    value = type.__getattribute__(cls, name)
    return value if type(value) is str else "?"


def _dictionary(value: object) -> "dict[str, Any]":
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except ours(Exception):
        return {}
    return attributes if type(attributes) is dict else {}


def _choose(found: Found, module: str) -> None:
    """Decide between patching a function in place and replacing the object under its name."""
    raw = found.raw
    if is_a(raw, type):
        raise CannotPatch(f"{found.path} is a class: name one of its methods, such as {found.path}.__init__")
    function = _function_in(raw, found)
    if function is not None:
        if function.__name__ != found.name:
            found.inner = definition_of(function, found.name, module)
        found.function = _where_it_runs(function, found)
        return
    if is_compiled(raw):
        _check_replaceable(found)
        return
    if type(raw).__module__ == "functools" and type(raw).__name__ == "partial":
        found.note = "partial: the function inside this one object is replaced"
        return
    definition = definition_of(raw, found.name, module)
    if definition is not None:
        found.function = definition
        found.note = f"patched the function inside a {type(raw).__name__}"
        return
    call = _raw_attribute(type(raw), "__call__")
    if is_a(call, FunctionType):
        found.function = call
        found.receiver = raw
        found.note = f"calls of this one instance of {type(raw).__name__}"
        return
    if call is _MISSING:
        raise CannotPatch(f"{found.path} is a {type(raw).__name__}, which is not callable")
    raise CannotPatch(f"{found.path} is a {type(raw).__name__}: no Python function was found in it")


def _function_in(raw: "Any", found: Found) -> "FunctionType | None":
    """Return the function inside one of Python's own descriptors, without calling the descriptor."""
    for _ in range(10):
        kind = type(raw)
        if kind is FunctionType:
            return raw  # type: ignore[no-any-return]
        if kind in (staticmethod, classmethod):
            raw = raw.__func__
        elif issubclass(kind, property):
            raw = vars(property)["fget"].__get__(raw)
            if raw is None:
                raise CannotPatch(f"{found.path} is a property that cannot be read")
        elif kind is MethodType:
            found.receiver = raw.__self__
            raw = raw.__func__
        elif kind.__module__ == "functools" and kind.__name__ in ("cached_property", "partialmethod"):
            raw = _dictionary(raw).get("func", _MISSING)
        elif kind.__module__ == "functools" and kind.__name__ == "_lru_cache_wrapper":
            raw = _dictionary(raw).get("__wrapped__", _MISSING)
            found.note = "lru_cache: calls that return a cached result are not monitored"
        elif kind.__module__ == "functools" and kind.__name__ == "singledispatchmethod":
            raw = _dictionary(raw).get("func", _MISSING)
        else:
            return None
    return None


def _where_it_runs(function: FunctionType, found: Found) -> FunctionType:
    """Return the generator or coroutine function below a plain decorator, or `function` itself.

    A plain wrapper returns an object that has not run yet: its failures would count as successes.
    """
    if trampoline.kind_of(function.__code__) != trampoline.FUNCTION:
        return function
    inner: "Any" = function
    for _ in range(20):
        inner = _dictionary(inner).get("__wrapped__", found.inner if inner is function else _MISSING)
        if type(inner) is not FunctionType:
            return function
        kind = trampoline.kind_of(inner.__code__)
        if kind != trampoline.FUNCTION:
            found.note = f"patched the {kind} inside its decorator"
            return inner
    return function


def is_compiled(raw: object) -> bool:
    if is_a(raw, BuiltinFunctionType):
        return True
    return type(raw).__name__ in ("cython_function_or_method", "fused_cython_function", "builtin_function_or_method")


def _check_replaceable(found: Found) -> None:
    parent = found.parent
    if is_a(parent, type) and not type.__getattribute__(parent, "__flags__") & (1 << 9):  # Py_TPFLAGS_HEAPTYPE
        raise CannotPatch(f"{found.path} is compiled, in a class that cannot be changed")
    if not is_a(parent, (type, ModuleType)):
        raise CannotPatch(f"{found.path} is compiled, on an object that is neither module nor class")
    if found.raw is object.__new__:  # it takes arguments only as long as no class replaces it
        raise CannotPatch(f"{found.path} is that of `object`: the class defines none. Name its __init__ instead")
    found.note = "compiled: replaced under this name; references taken before are not monitored"


def definition_of(raw: object, name: str, module: str) -> "FunctionType | None":
    """Return the function defined as `name` in `module` that is somewhere inside `raw`, or None.

    Frameworks wrap functions in objects of their own (Celery's lazy task proxies, caching descriptors) and run the
    function inside. The search follows references only, so that no lazy object is evaluated.
    """
    from gc import get_referents

    seen = {id(raw)}
    level = [raw]
    for _ in range(_DEPTH):
        below = []
        for item in level:
            for child in inside(item, get_referents):
                if id(child) in seen or len(seen) > _NODES:
                    continue
                seen.add(id(child))
                if (
                    type(child) is FunctionType
                    and child.__module__ == module
                    and (child.__name__ == name or child.__qualname__.rpartition(".")[2] == name)
                ):
                    return child
                below.append(child)
        level = below
    return None


def inside(item: object, get_referents: "Any") -> "Iterator[object]":
    if type(item) is FunctionType:  # not its globals, which are the whole module
        for cell in item.__closure__ or ():
            try:
                yield cell.cell_contents
            except ours(ValueError):  # a cell that is still empty
                continue
        yield from _dictionary(item).values()
        return
    if is_a(item, (type, ModuleType, CodeType, str, bytes, int, float)) or item is sys.modules:
        return
    yield from get_referents(item)


def _limit_receiver(found: Found) -> None:
    """For an inherited method, which is patched in the base class, count only calls on the class that is named."""
    parent = found.parent
    if found.receiver is not None or not is_a(parent, type) or found.name in namespace(parent):
        return
    if type(found.raw) not in (staticmethod, BuiltinFunctionType):
        found.receiver = parent
        classes = type.__getattribute__(parent, "__mro__")
        base = next(cls for cls in classes if found.name in namespace(cls))
        found.note = found.note or "inherited from {}.{}".format(_text(base, "__module__"), _text(base, "__qualname__"))


def members(parent: object, own: "Names") -> "Iterator[tuple[str, Any]]":
    """Find the classes and callables that a module or class itself defines, as (name, raw), for patterns.

    `own` is what its source defines (`defined.names`); empty where that is not known.
    """
    module = namespace(parent).get("__module__" if is_a(parent, type) else "__name__")
    for name, raw in list(namespace(parent).items()):
        if is_a(raw, type):
            if namespace(raw).get("__module__") == module:
                yield name, raw
            continue
        function = raw.__func__ if type(raw) in (staticmethod, classmethod) else raw
        defined = type(function) is FunctionType and _defined_in(function) == module
        if not defined and (not own or name in own) and may_hold_one(function):
            defined = definition_of(raw, name, module or "") is not None
        if defined:
            yield name, raw


def may_hold_one(raw: "Any") -> bool:
    """Whether a decorator may have made this from a function. The search for that function takes some time."""
    if type(raw) is FunctionType:
        return bool(raw.__closure__ or _dictionary(raw))
    return not is_a(raw, (ModuleType, str, bytes, int, float, tuple, list, dict, set, frozenset)) and any(
        _raw_attribute(type(raw), each) is not _MISSING for each in ("__call__", "__get__")
    )


def is_lost(parent: object, name: str) -> bool:
    """Whether the definition of `name` was replaced by an object that does not lead to it.

    An import in its place was written so, and does not count.
    """
    raw: "Any" = namespace(parent).get(name, _MISSING)
    if raw is _MISSING or is_a(raw, type):
        return False
    return type(raw) not in (FunctionType, BuiltinFunctionType) or raw.__name__ != name


def is_defined_in(found: Found, module: ModuleType) -> bool:
    """Whether the source of `module` itself defines what was found."""
    if found.function is not None:
        return _defined_in(found.inner or found.function) == module.__name__
    return getattr(found.raw, "__module__", module.__name__) == module.__name__


def _defined_in(function: FunctionType) -> "str | None":
    """Return the module of the innermost definition, whatever module its decorators come from."""
    inner: "Any" = function
    for _ in range(20):
        wrapped = _dictionary(inner).get("__wrapped__", _MISSING)
        if type(wrapped) is not FunctionType:
            break
        inner = wrapped
    return inner.__module__  # type: ignore[no-any-return]
