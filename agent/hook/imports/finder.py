"""Notices the import of modules that monitors name, and of no others.

The finder stands first on `sys.meta_path`. For a module that no monitor names it answers None after one dictionary
look-up. For one that is named it asks the other finders for the spec, and lets the spec's own loader run the module;
when the module has run, `on_import(name, module, own)` is called, with what it defines where that is known. The module
keeps the spec and the loader that it would have had. What is loaded by hand comes through `ran`.
"""

import sys

from ...base import places
from ...base.interrupts import ours
from ...base.postponed import when_freed
from ...base.slots import set_traceback, traceback_of
from ..targets import defined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from importlib.machinery import ModuleSpec
    from types import CodeType, FunctionType, ModuleType
    from typing import Any

    from ..targets.defined import Names
    from .main_module import Follower

    Swallow = Callable[[str], None]


_NOTHING: "Names" = {}


class Finder:
    """`wanted` holds module names; `roots` the top-level packages in which patterns may match any module.

    Everything fallible happens here, where answering None is still possible; once a loader has been handed out, the
    import depends on it. `swallow(where)` deals with internal errors.
    """

    def __init__(
        self,
        wanted: "Container[str]",
        roots: "Container[str]",
        on_import: "Callable[[str, ModuleType, Names], None]",
        swallow: "Swallow",
    ) -> None:
        self.wanted = wanted
        self.roots = roots
        self.packages: "Container[str]" = ()  # those of `wanted`
        self.every_module = False  # set when classes defined anywhere matter (`subclasses: true`)
        self.waits = False  # set when targets were not there when their module had run
        self.on_wait: "Callable[[], None] | None" = None
        self.on_code: "Callable[[CodeType], None] | None" = None  # told of what runpy is about to run
        self.follower: "Follower | None" = None  # pauses while an import runs
        self.after: "Callable[[], object] | None" = None  # called once, when the next module has run
        self._on_import = on_import
        self._swallow = swallow
        self._seen: "set[str]" = set()  # modules that were wanted and came past us
        self._late: "set[str]" = set()  # modules that did not, and are still being run
        self.running: "dict[int, Names]" = {}  # modules that are being imported → what they define, once known

    def find_spec(self, name: str, path: "Any" = None, target: "ModuleType | None" = None) -> "ModuleSpec | None":
        try:
            finders = sys.meta_path
            if finders[0] is not self and self in finders:
                # Another finder has put itself in front: what it finds we would never see.
                finders.insert(0, self)
                del finders[finders.index(self, 1)]
                self._late.update(self._escaped())
            if self._late or self.waits:
                self._catch_up()
            # As in `_wants`; every import comes past here.
            wanted = name in self.wanted or self.every_module
            if not wanted and self.roots:
                wanted = name.partition(".")[0] in self.roots
            if self.follower is not None:
                self.follower.importing()
            elif not wanted:
                return None
            for finder in finders:
                if finder is self:
                    continue
                find = getattr(finder, "find_spec", None)
                spec: "ModuleSpec | None" = find(name, path, target) if find is not None else None
                if spec is not None:
                    if spec.loader is not None:
                        self._watch(spec, wanted)
                    return spec
        except ours(Exception):
            # A finder of the host's that raises will be asked again by the import system, and raise there.
            if not isinstance(sys.exc_info()[1], ImportError):
                self._swallow("looking for the module " + name)
        return None

    def _wants(self, name: str) -> bool:
        return name in self.wanted or bool(self.roots and name.partition(".")[0] in self.roots) or self.every_module

    def _escaped(self) -> "list[str]":
        """What was imported while another finder stood in front of us."""
        return [name for name in list(sys.modules) if name not in self._seen and self._wants(name)]

    def _catch_up(self) -> None:
        if self.waits and self.on_wait is not None:
            self.on_wait()
        for name in list(self._late):
            module = sys.modules.get(name)
            spec = getattr(module, "__spec__", None)
            if module is not None and getattr(spec, "_initializing", False):
                continue  # not run to its end yet
            self._late.discard(name)
            if module is not None:
                self.loaded(name, module)

    def _watch(self, spec: "ModuleSpec", wanted: bool) -> None:
        holder, loader = spec, spec.loader
        while type(loader).__module__ == "importlib.util" and type(loader).__name__ == "LazyLoader":
            # It runs the module when that is first used, through the loader inside it; looking now would wake it.
            holder, loader = loader, loader.loader  # type: ignore[assignment, union-attr]
        fresh = type(loader).__module__ in _FRESH_LOADERS and hasattr(loader, "exec_module")
        follower = self.follower if fresh and type(loader).__name__.startswith("Source") else None
        if not wanted and follower is None:
            return
        if wanted:
            self._seen.add(spec.name)
        if fresh:
            # These are made anew for each spec, so that one instance can carry the change and lose it again: the
            # module's loader is then the very object, of the very type, that it would have been.
            methods: "dict[str, Any]" = {"exec_module": _Exec(self, loader, wanted, follower)}
            if wanted and self.may_be_run():
                methods["get_code"] = _GetCode(self, loader, spec)
            if _replace_methods(loader, methods):
                return
        if hasattr(loader, "exec_module"):
            holder.loader = _Loader(self, loader, spec)  # type: ignore[assignment]
        else:
            holder.loader = _LegacyLoader(self, loader, spec)  # type: ignore[assignment]

    def may_be_run(self) -> bool:
        return self.on_code is not None and "runpy" in sys.modules

    def loaded(self, name: str, module: "ModuleType", own: "Names" = _NOTHING) -> None:
        # A module may put something else in its own place; that is what importers get.
        self._apply(name, sys.modules.get(name, module), own)

    def _apply(self, name: str, module: "ModuleType", own: "Names") -> None:
        self._seen.add(name)
        try:
            self._on_import(name, module, own)
        except ours(Exception):
            self._swallow("applying monitors to " + name)

    def ran(self, module: "ModuleType", code: "CodeType") -> "Callable[[], None] | None":
        """Importlib's own loaders have run a module. Answers what is to be done when its code has been let go.

        One that was loaded by hand is monitored under the name that it was loaded as, or else under the one that an
        import would give to its file.
        """
        after, self.after = self.after, None
        if after is not None:
            after()
        if id(module) in self.running:
            self.running[id(module)] = defined.names(code)
            return None
        try:
            name = module.__name__
            if name not in self.wanted and name.partition(".")[0] not in self.roots:
                names = [each for each in places.on_path(code, self.packages) if each in self.wanted]
                if not names and not self.every_module:
                    return None
                name = names[0] if names else name
        except ours(Exception):
            self._swallow("looking at a module that was loaded by hand")
            return None
        own = defined.names(code)
        return lambda: self._apply(name, module, own)

    def runs(self, code: "CodeType") -> None:
        """Module runpy is about to run `code`."""
        try:
            if self.on_code is not None:
                self.on_code(code)
        except ours(Exception):
            self._swallow("following what runpy runs")


_FRESH_LOADERS = ("_frozen_importlib_external", "importlib._bootstrap_external")


class _Exec:
    """Stands in for `exec_module` on one loader, for one import.

    A program whose own lines are followed is not followed while its imports run.
    """

    def __init__(self, finder: Finder, loader: "Any", wanted: bool, follower: "Follower | None") -> None:
        self._finder = finder
        self._loader = loader
        self._wanted = wanted
        self._follower = follower

    def __call__(self, module: "ModuleType") -> None:
        _restore_methods(self._loader)
        paused = self._follower is not None and self._follower.pause()
        running = self._finder.running
        running[id(module)] = _NOTHING
        try:
            self._loader.exec_module(module)
        except BaseException as error:
            # The host's traceback shows no frame of ours (from Python 3.11 on: docs/limits.md).
            passed = traceback_of(error)
            if passed is not None:
                set_traceback(error, passed.tb_next)
            raise
        finally:
            own = running.pop(id(module), _NOTHING)
            if paused and self._follower is not None:
                self._follower.resume()
        if self._wanted:
            self._finder.loaded(module.__name__, module, own)


class _GetCode:
    """Stands in for `get_code` of a loader: what runpy asks for, it runs itself, as `python -m` does."""

    def __init__(self, finder: Finder, loader: "Any", spec: "ModuleSpec") -> None:
        self._finder = finder
        self._loader = loader
        self._spec = spec

    def __call__(self, *arguments: "Any") -> "Any":
        own = type(self._loader).get_code
        if sys._getframe(1).f_globals.get("__name__") != "runpy":
            return own(self._loader, *arguments)
        _restore_methods(self._loader)
        self._spec.loader = self._loader
        try:
            code = self._loader.get_code(*arguments)
        except BaseException as error:
            passed = traceback_of(error)
            if passed is not None:
                set_traceback(error, passed.tb_next)
            raise
        self._finder.runs(code)
        return code


class _Method:
    """Finds what stands in for a method of one loader; the loader itself holds nothing that could be seen on it."""

    def __init__(self, original: type, name: str) -> None:
        self._original = getattr(original, name)
        self._name = name

    def __get__(self, loader: "Any", owner: "type | None" = None) -> "Any":
        if loader is None:
            return self._original
        _, methods = _replaced.get(id(loader), (None, {}))
        return methods.get(self._name) or self._original.__get__(loader)


#: The identity of a loader → a weak reference to it, and what stands in for its methods.
_replaced: "dict[int, tuple[Any, dict[str, Any]]]" = {}
#: A class of loaders → one that differs in nothing but these methods; and back.
_twins: "dict[type, type]" = {}
_originals: "dict[type, type]" = {}


def _replace_methods(loader: "Any", methods: "dict[str, Any]") -> bool:
    """Have these stand in for methods of a loader, until `_restore_methods`; False where its class does not allow it.

    Its dictionary stays as it was, so that its spec still equals another of the same module.
    """
    from _weakref import ref

    original = _originals.get(type(loader), type(loader))
    twin = _twins.get(original)
    if twin is None:
        names = [name for name in ("exec_module", "get_code") if hasattr(original, name)]
        body: "dict[str, Any]" = {name: _Method(original, name) for name in names}
        body.update(__slots__=(), __module__=original.__module__, __qualname__=original.__qualname__)
        body["__class__"] = property(lambda _: original)
        twin = _twins[original] = type(original.__name__, (original,), body)
        _originals[twin] = original

    def forget(_: object, key: int = id(loader), replaced: "dict[int, Any]" = _replaced) -> None:
        replaced.pop(key, None)

    try:
        _set_class(loader, twin)
        _replaced[id(loader)] = (ref(loader, when_freed(forget)), methods)
    except ours(TypeError):
        return False
    return True


def _restore_methods(loader: "Any") -> None:
    original = _originals.get(type(loader))
    if original is not None:
        _set_class(loader, original)
        _replaced.pop(id(loader), None)


def _set_class(loader: "Any", cls: type) -> None:
    object.__dict__["__class__"].__set__(loader, cls)


class _StandIn:
    """Stands in for a loader that is shared or foreign, until the module is about to run."""

    def __init__(self, finder: Finder, loader: "Any", spec: "ModuleSpec") -> None:
        self._finder = finder
        self._loader = loader
        self._spec = spec

    def __getattr__(self, name: str) -> "Any":
        value = getattr(self._loader, name)
        if name == "get_code" and self._finder.may_be_run():
            return _GetCode(self._finder, self._loader, self._spec)
        return value

    @property  # type: ignore[misc]
    def __class__(self) -> "Any":  # isinstance must answer as for the loader that this stands in for
        return type(self._loader)


class _Loader(_StandIn):
    """For a loader of today."""

    def create_module(self, spec: "ModuleSpec") -> "ModuleType | None":
        create = getattr(self._loader, "create_module", None)
        return create(spec) if create is not None else None

    def exec_module(self, module: "ModuleType") -> None:
        self._restore(module)
        running = self._finder.running
        running[id(module)] = _NOTHING
        try:
            self._loader.exec_module(module)
        except BaseException as error:
            passed = traceback_of(error)
            if passed is not None:
                set_traceback(error, passed.tb_next)
            raise
        finally:
            own = running.pop(id(module), _NOTHING)
        self._finder.loaded(module.__name__, module, own)

    def _restore(self, module: "ModuleType") -> None:
        spec = getattr(module, "__spec__", None)
        if spec is not None and spec.loader is self:
            spec.loader = self._loader
        if getattr(module, "__loader__", None) is self:
            try:
                module.__loader__ = self._loader
            except ours(AttributeError):
                pass


class _LegacyLoader(_StandIn):
    """For a loader that knows only `load_module`; that it has no `exec_module` is how importlib can tell."""

    def load_module(self, name: str) -> "ModuleType":
        self._spec.loader = self._loader
        module: "ModuleType" = self._loader.load_module(name)
        self._finder.loaded(name, module)
        return module


def _as_importlib(function: "FunctionType") -> None:
    """Have a frame of ours pass for the import system's own.

    `warnings.warn(stacklevel=2)` in a module's body then finds whoever imports it, and the interpreter takes the frame
    out of tracebacks together with importlib's.
    """
    function.__code__ = function.__code__.replace(co_filename="<frozen importlib._bootstrap_external>")


for _function in (_Exec.__call__, _GetCode.__call__, _Loader.exec_module, _LegacyLoader.load_module):
    _as_importlib(_function)  # type: ignore[arg-type]


def install(finder: Finder) -> None:
    sys.meta_path.insert(0, finder)


def uninstall(finder: Finder) -> None:
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
