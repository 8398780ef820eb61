"""Gives functions a new `__code__`, and undoes that.

The new code is the function's own with the monitor in it (`inject`), or a trampoline, which calls a twin: a function
over the old code with the same globals, defaults and closure. Whoever holds the function, from whenever, runs the new
code; undoing gives back the very same code object. Several layers may lie on one function: two classes that inherit one
method, each with a monitor of its own. Only the innermost can be in the function itself.

The registries map a code object found on the stack to its layer. Code objects compare by value, so
they are keyed by identity. They hold functions weakly: a function that the host drops is dropped.
"""

import sys
from _thread import RLock
from _weakref import ref
from types import BuiltinFunctionType, CodeType, FunctionType

from ...base.postponed import when_freed

if sys.version_info < (3, 11):
    from ..until_310.replace_code import replace_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Owner(Protocol):
        """What a patch is made for: a probe, or a wrapper."""

        #: Makes the trampoline that calls the given twin.
        def make(self, original: FunctionType) -> CodeType: ...

        #: Puts the monitor into the given code; None where that cannot be done, and `make` has to.
        def inject(self, code: CodeType) -> "CodeType | None": ...

    class Rewriter(Protocol):
        """What changes a function's own code, below all monitors, and is no monitored call: a watched line."""

        def rewrite(self, code: CodeType) -> CodeType: ...


#: The import system's own frames, and those of ours that pass for them: `warnings.warn(stacklevel=2)` passes them over.
PASSED_OVER = "<frozen importlib._bootstrap>"


class Layer:
    """One change to one function."""

    __slots__ = ("owner", "patch")

    def __init__(self, patch: "Patch", owner: "Any") -> None:
        self.patch = patch
        self.owner = owner

    def undo(self) -> bool:
        """Remove this layer; return False where somebody else has replaced the code since: ours runs inside theirs."""
        return self.patch.remove(self)

    def exchange(self, owner: "Owner") -> "Layer | None":
        """Put a layer of `owner` in place of this one, in one step: each call runs the old one or the new one.

        Return None, and change nothing, where somebody else has replaced the code since. Raises what the owner raises.
        """
        return self.patch.exchange(self, owner)


patched: "dict[int, Patch]" = {}


class Patch(ref):  # type: ignore[type-arg]
    """A weak reference to a patched function, with its original code and the layers on it, innermost first."""

    __slots__ = ("_top", "key", "layers", "original")

    key: int
    original: CodeType
    layers: "tuple[Layer, ...]"
    _top: "Callable[[], CodeType | None]"  # what it runs, if nobody has replaced it since

    @staticmethod
    def of(function: FunctionType) -> "Patch":
        key = id(function)
        patch = Patch(function, when_freed(patched, key))
        patch.key = key
        patch.original = function.__code__
        patch.layers = ()
        patch._top = ref(patch.original)
        return patch

    def add(self, owner: "Owner | Rewriter") -> Layer:
        layer = Layer(self, owner)
        if not self.install((*self.layers, layer)):
            # Somebody patched after us: put the new layer on top of theirs; ours stays inside it.
            function = self()
            assert function is not None
            layer.patch = patched[self.key] = Patch.of(function)
            layer.patch.install((layer,))
        return layer

    def remove(self, layer: Layer) -> bool:
        with _lock:
            if layer not in self.layers:
                return True
            return self.install(tuple([item for item in self.layers if item is not layer]))

    def exchange(self, layer: Layer, owner: "Owner") -> "Layer | None":
        with _lock:
            other = Layer(self, owner)
            done = self.install(tuple([other if item is layer else item for item in self.layers]))
            return other if done and other in self.layers else None

    def install(self, layers: "tuple[Layer, ...]") -> bool:
        """Rebuild the function with `layers`; return False where somebody else has replaced its code."""
        function = self()
        if function is None:
            return True
        if function.__code__ is not self._top():
            return False
        # Do everything that can fail before the one assignment that changes the host.
        code = self.original
        made: "list[tuple[Layer, CodeType, _Codes]]" = []
        for layer in layers:
            rewrite = getattr(layer.owner, "rewrite", None)
            if rewrite is not None:
                code = rewrite(code)
        for layer in layers:
            if hasattr(layer.owner, "rewrite"):
                continue
            injected = None if made else layer.owner.inject(code)
            code = injected or layer.owner.make(twin(function, code))
            made.append((layer, code, _trampolines if injected is None else _injected))
        top: "Callable[[], CodeType | None] | None" = None
        for layer, new, codes in made:
            top = codes.add(new, layer)
        if sys.version_info < (3, 11):
            replace_code(function, code)
        else:
            function.__code__ = code
        self._top = top or ref(code)
        self.layers = layers
        if not layers:
            patched.pop(self.key, None)
        return True


class Entry(ref):  # type: ignore[type-arg]
    """A weak reference to a code object, and its layers: never empty, and replaced as a whole."""

    __slots__ = ("layers",)

    layers: "tuple[Layer, ...]"


class _Codes:
    """Code objects and the layers they belong to. Held weakly: a trampoline refers to all that its function does."""

    def __init__(self) -> None:
        # `get` is called by any thread, without a lock.
        self.entries: "dict[int, Entry]" = {}

    def add(self, code: CodeType, layer: Layer) -> Entry:
        key = id(code)
        entry = self.entries.get(key)
        if entry is not None and entry() is code:
            entry.layers = (*entry.layers, layer)
            return entry
        entry = Entry(code, when_freed(self.entries, key))
        entry.layers = (layer,)
        self.entries[key] = entry
        return entry

    def get(self, code: CodeType) -> "Layer | None":
        entry = self.entries.get(id(code))
        return entry.layers[-1] if entry is not None else None


_lock = RLock()
#: A trampoline that was removed stays registered as long as a running call uses it.
_trampolines = _Codes()
_injected = _Codes()


def twin(function: FunctionType, code: CodeType) -> FunctionType:
    """Return a function over `code` with the globals, defaults, closure and names of `function`."""
    copy = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__qualname__ = function.__qualname__
    copy.__module__ = function.__module__
    return copy


def patch_function(function: FunctionType, owner: "Owner | Rewriter") -> Layer:
    """Put a layer on `function`. Raises what the owner raises (CannotPatch), and then nothing has changed."""
    with _lock:
        patch = patched.get(id(function))
        if patch is None or patch() is not function:
            patch = Patch.of(function)
            layer = patch.add(owner)
            patched.setdefault(id(function), layer.patch)
            return layer
        return patch.add(owner)


def layers_of(function: FunctionType) -> "tuple[Layer, ...]":
    patch = patched.get(id(function))
    return patch.layers if patch is not None and patch() is function else ()


def trampoline_of(code: CodeType) -> "Layer | None":
    """Return the layer whose trampoline `code` is; None for code of the host's."""
    return _trampolines.get(code)


def injected_in(code: CodeType) -> "Layer | None":
    """Return the layer that was injected into `code`, or None."""
    return _injected.get(code)


#: The same by identity, for a quick check of each frame of a deep stack.
trampoline_ids = _trampolines.entries
injected_ids = _injected.entries


def original_code(function: FunctionType) -> CodeType:
    """Return the code that the host gave to `function`, patched or not."""
    patch = patched.get(id(function))
    return patch.original if patch is not None and patch() is function else function.__code__


def rebase(function: FunctionType, code: CodeType) -> None:
    """Have `code` be what the function runs below what lies on it, in place of what it was made with."""
    with _lock:
        patch = patched.get(id(function))
        if patch is None or patch() is not function:
            function.__code__ = code
            return
        before, patch.original = patch.original, code
        if not patch.install(patch.layers):
            patch.original = before


class Replacement:
    """The replacement of an object without `__code__`, under one name."""

    __slots__ = ("inherited", "name", "owner_of_name", "raw", "replacement")

    def __init__(self, parent: "Any", name: str, raw: object, replacement: "Any") -> None:
        self.owner_of_name = parent
        self.name = name
        self.raw = raw
        self.inherited = name not in parent.__dict__
        if type(raw) is BuiltinFunctionType and isinstance(parent, type):  # which gets no instance, unlike Python's
            replacement = staticmethod(replacement)
        self.replacement = replacement
        setattr(parent, name, replacement)

    def undo(self) -> bool:
        if self.owner_of_name.__dict__.get(self.name) is not self.replacement:
            return False
        if self.inherited:
            delattr(self.owner_of_name, self.name)
        else:
            setattr(self.owner_of_name, self.name, self.raw)
        return True


def python_function(raw: "Any", name: str, qualname: str, module: str) -> FunctionType:
    """Return a Python function that calls `raw` and can be patched like any other.

    It is a generator or coroutine function where Cython compiled `raw` from one.
    """

    def call(*args: "Any", **kwargs: "Any") -> "Any":
        return raw(*args, **kwargs)

    def generate(*args: "Any", **kwargs: "Any") -> "Any":
        return (yield from raw(*args, **kwargs))

    async def wait(*args: "Any", **kwargs: "Any") -> "Any":
        return await raw(*args, **kwargs)

    flags = getattr(getattr(raw, "__code__", None), "co_flags", 0)
    chosen: "Any" = wait if flags & 0x80 else generate if flags & 0x20 else call  # CO_COROUTINE, CO_GENERATOR
    code = chosen.__code__.replace(co_name=name)
    if sys.version_info >= (3, 11):
        code = code.replace(co_qualname=qualname)
    function = FunctionType(code, chosen.__globals__, name, None, chosen.__closure__)
    function.__qualname__ = qualname
    function.__module__ = module
    function.__doc__ = getattr(raw, "__doc__", None)
    function.__wrapped__ = raw  # type: ignore[attr-defined]
    return function


def after_fork() -> None:
    """In a forked child: a lock that another thread held in the parent would never be released here."""
    global _lock
    _lock = RLock()
