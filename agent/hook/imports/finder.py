"""The finder on `sys.meta_path`: notices the import of modules that monitors name.

It is the first finder. For a module that no monitor names it returns None after one dictionary look-up. For a named one
it gets the spec from the other finders and lets the spec's own loader run the module; then it calls
`on_import(name, module, own)`, where `own` is what the module defines, if known. The module keeps the spec and the
loader that it would have had. Modules that are loaded by hand come through `ran`.
"""

import sys

from ...base import places
from ...base.interrupts import ours
from ...base.postponed import when_freed
from ...base.slots import drop_first_frame
from ..targets import defined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType
    from typing import Any

    from ..targets.defined import Names
    from .main_module import Follower

    Swallow = Callable[[str], None]


_NOTHING: "Names" = {}


class Finder:
    """`wanted` holds module names; `roots` the top-level packages in which patterns may match any module.

    Everything that can fail happens here, where None can still be returned: once a loader has been returned, the import
    depends on it. `swallow(where)` handles internal errors.
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
        self.waits = False  # set when targets did not exist when their module had run
        self.on_wait: "Callable[[], None] | None" = None
        self.on_code: "Callable[[CodeType], None] | None" = None  # called with what runpy is about to run
        self.on_look: "Callable[[], None] | None" = None  # called with each import; raises nothing
        self.follower: "Follower | None" = None  # pauses while an import runs
        self.after: "Callable[[], object] | None" = None  # called once, when the next module has run
        self._on_import = on_import
        self._swallow = swallow
        self._seen: "set[str]" = set()  # wanted modules whose import was noticed
        self._late: "set[str]" = set()  # others, which are still being run
        self.running: "dict[int, Names]" = {}  # modules that are being imported → what they define, once known

    def find_spec(self, name: str, path: "Any" = None, target: "ModuleType | None" = None) -> "ModuleSpec | None":
        try:
            finders = sys.meta_path
            if finders[0] is not self and self in finders:
                # Another finder was inserted before this one: the modules that it finds would be missed.
                finders.insert(0, self)
                del finders[finders.index(self, 1)]
                self._late.update(self._escaped())
            if self._late or self.waits:
                self._catch_up()
            if self.on_look is not None:
                self.on_look()
            # As in `_wants`, but inline: this runs with every import.
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
            # The import system calls the host's finder again, which raises there.
            if not isinstance(sys.exc_info()[1], ImportError):
                self._swallow("looking for the module " + name)
        return None

    def _wants(self, name: str) -> bool:
        return name in self.wanted or bool(self.roots and name.partition(".")[0] in self.roots) or self.every_module

    def _escaped(self) -> "list[str]":
        """Return the modules that were imported while another finder came first."""
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
            # It runs the module on first use, through the loader inside it. Do not trigger that.
            holder, loader = loader, loader.loader  # type: ignore[assignment, union-attr]
        fresh = type(loader).__module__ in _FRESH_LOADERS and hasattr(loader, "exec_module")
        follower = self.follower if fresh and type(loader).__name__.startswith("Source") else None
        if not wanted and follower is None:
            return
        if wanted:
            self._seen.add(spec.name)
        if fresh:
            # Each spec has a loader of its own, so that this one can be changed and restored: the module's loader is
            # then the same object, of the same type, as without us.
            methods: "dict[str, Any]" = {"exec_module": _Exec(self, loader, wanted, follower)}
            if wanted and self.may_be_run():
                methods["get_code"] = _GetCode(self, loader, spec)
            if _replace_methods(loader, methods):
                return
        proxy = _Proxy if hasattr(loader, "exec_module") else _LegacyProxy
        holder.loader = proxy(self, loader, spec)  # type: ignore[assignment]

    def may_be_run(self) -> bool:
        return self.on_code is not None and "runpy" in sys.modules

    def loaded(self, name: str, module: "ModuleType", own: "Names" = _NOTHING) -> None:
        # A module may replace itself in sys.modules; importers get the replacement.
        self._apply(name, sys.modules.get(name, module), own)

    def _apply(self, name: str, module: "ModuleType", own: "Names") -> None:
        self._seen.add(name)
        try:
            self._on_import(name, module, own)
        except ours(Exception):
            self._swallow("applying monitors to " + name)

    def ran(self, module: "ModuleType", code: "CodeType") -> "Callable[[], None] | None":
        """Called when one of importlib's loaders has run a module. Returns what to call once its code was released.

        A module that was loaded by hand is monitored under the name it was loaded as, or else under the name that an
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
            self._swallow("applying monitors to a module that was loaded by hand")
            return None
        own = defined.names(code)
        return lambda: self._apply(name, module, own)

    def runs(self, code: "CodeType") -> None:
        """Called when runpy is about to run `code`."""
        try:
            if self.on_code is not None:
                self.on_code(code)
        except ours(Exception):
            self._swallow("following what runpy runs")


_FRESH_LOADERS = ("_frozen_importlib_external", "importlib._bootstrap_external")


def _as_importlib(function: "Callable[..., Any]") -> "Any":
    """Make a frame of ours pass for the import system's own.

    `warnings.warn(stacklevel=2)` in a module's body then finds the importer, and the interpreter takes the frame out of
    tracebacks together with importlib's.
    """
    function.__code__ = function.__code__.replace(co_filename="<frozen importlib._bootstrap_external>")
    return function


class _Exec:
    """Replaces `exec_module` of one loader for one import.

    A program whose own lines are followed is not followed while its imports run.
    """

    def __init__(
        self, finder: Finder, loader: "Any", wanted: bool, follower: "Follower | None", proxy: "_Proxy | None" = None
    ) -> None:
        self._finder = finder
        self._loader = loader
        self._wanted = wanted
        self._follower = follower
        self._proxy = proxy

    @_as_importlib
    def __call__(self, module: "ModuleType") -> None:
        if self._proxy is None:
            _restore_methods(self._loader)
        else:
            self._proxy.restore(module)
        paused = self._follower is not None and self._follower.pause()
        running = self._finder.running
        running[id(module)] = _NOTHING
        try:
            self._loader.exec_module(module)
        except BaseException as error:
            drop_first_frame(error)
            raise
        finally:
            own = running.pop(id(module), _NOTHING)
            if paused and self._follower is not None:
                self._follower.resume()
        if self._wanted:
            self._finder.loaded(module.__name__, module, own)


class _GetCode:
    """Replaces `get_code` of a loader, for runpy, which runs the code itself, as in `python -m`."""

    def __init__(self, finder: Finder, loader: "Any", spec: "ModuleSpec") -> None:
        self._finder = finder
        self._loader = loader
        self._spec = spec

    @_as_importlib
    def __call__(self, *arguments: "Any") -> "Any":
        own = type(self._loader).get_code
        if sys._getframe(1).f_globals.get("__name__") != "runpy":
            return own(self._loader, *arguments)
        _restore_methods(self._loader)
        self._spec.loader = self._loader
        try:
            code = self._loader.get_code(*arguments)
        except BaseException as error:
            drop_first_frame(error)
            raise
        self._finder.runs(code)
        return code


class _Method:
    """A descriptor that returns the replacement of a loader's method, which is kept outside of the loader."""

    def __init__(self, original: type, name: str) -> None:
        self._original = getattr(original, name)
        self._name = name

    def __get__(self, loader: "Any", owner: "type | None" = None) -> "Any":
        if loader is None:
            return self._original
        _, methods = methods_replaced.get(id(loader), (None, {}))
        return methods.get(self._name) or self._original.__get__(loader)


#: The identity of a loader → a weak reference to it, and the replacements of its methods.
methods_replaced: "dict[int, tuple[Any, dict[str, Any]]]" = {}
#: A class of loaders → a subclass that differs only in these methods; and back.
_twins: "dict[type, type]" = {}
_originals: "dict[type, type]" = {}


def _replace_methods(loader: "Any", methods: "dict[str, Any]") -> bool:
    """Replace methods of a loader until `_restore_methods`; return False where its class does not allow it.

    The loader's `__dict__` does not change, so that its spec still equals another spec of the same module.
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

    try:
        _set_class(loader, twin)
        key = id(loader)
        methods_replaced[key] = (ref(loader, when_freed(methods_replaced, key)), methods)
    except ours(TypeError):
        return False
    return True


def _restore_methods(loader: "Any") -> None:
    original = _originals.get(type(loader))
    if original is not None:
        _set_class(loader, original)
        methods_replaced.pop(id(loader), None)


def _set_class(loader: "Any", cls: type) -> None:
    object.__dict__["__class__"].__set__(loader, cls)


class _Proxy:
    """In place of a loader that is shared or foreign, until the module is about to run."""

    def __init__(self, finder: Finder, loader: "Any", spec: "ModuleSpec") -> None:
        self._finder = finder
        self._loader = loader
        self._spec = spec

    def __getattr__(self, name: str) -> "Any":
        value = getattr(self._loader, name)
        if name == "exec_module":
            return _Exec(self._finder, self._loader, wanted=True, follower=None, proxy=self)
        if name == "get_code" and self._finder.may_be_run():
            return _GetCode(self._finder, self._loader, self._spec)
        return value

    @property  # type: ignore[misc]
    def __class__(self) -> "Any":  # isinstance must return what it returns for the loader
        return type(self._loader)

    def restore(self, module: "ModuleType") -> None:
        """Put the loader back where the module shows it."""
        spec = getattr(module, "__spec__", None)
        if spec is not None and spec.loader is self:
            spec.loader = self._loader
        if getattr(module, "__loader__", None) is self:
            try:
                module.__loader__ = self._loader
            except ours(AttributeError):
                pass


class _LegacyProxy(_Proxy):
    """For a loader that has only `load_module`: by the lack of `exec_module`, importlib recognises it."""

    @_as_importlib
    def load_module(self, name: str) -> "ModuleType":
        self._spec.loader = self._loader
        module: "ModuleType" = self._loader.load_module(name)
        self._finder.loaded(name, module)
        return module


def install(finder: Finder) -> None:
    sys.meta_path.insert(0, finder)


def uninstall(finder: Finder) -> None:
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
