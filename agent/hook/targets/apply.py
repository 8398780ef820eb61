"""Applies the monitors of a plan to modules as they are imported, and records the outcome for each target.

With each import it resolves the targets that the module may hold, expands matching patterns, retries targets that did
not exist before, and visits new subclasses where a monitor covers overriding methods. A target that cannot be monitored
is recorded with the reason; nothing else is affected. `replan` follows a changed plan: monitors that changed are
exchanged in place, new ones applied to what is imported already, and those that are gone undone.
"""

import sys
from types import FunctionType, ModuleType

from ...base.errors import CannotPatch
from ...base.interrupts import ours
from ...base.wildcards import matches
from ..code import patch
from . import registries, replacing, resolve, versions
from .contents import NOTHING, Contents
from .target_paths import OF_TASKS, attribute_in, pattern_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import CodeType
    from typing import Any, Protocol

    from ...base.model import MonitorData, TargetData
    from .defined import Names

    class Owner(patch.Owner, Protocol):
        """What is bound to one patched function: a probe."""

        receiver: object

        @property
        def name(self) -> str: ...

        @property
        def live(self) -> bool: ...

    #: (monitor, what was found, the function that will be patched, is it a pattern) → the probe, or CannotPatch
    Bind = Callable[[MonitorData, resolve.Found, FunctionType], Owner]
    #: (what happened: patched | failed | waiting, monitor's name, dotted path, note)
    Record = Callable[[str, str, str, str], None]
    #: A method that subclasses may override: (monitor, its name, the module whose monitors are applied)
    _Method = tuple[MonitorData, str, str]


class _Applied:
    """One monitor on one function, with what it takes to undo it."""

    __slots__ = ("changes", "key", "layer", "module", "monitor", "note", "path")

    def __init__(self, module: str, monitor: str, path: str, note: str, layer: patch.Layer) -> None:
        self.module = module  # whose monitors were applied
        self.monitor = monitor
        self.path = path
        self.note = note
        self.layer = layer
        self.changes: "tuple[patch.Replacement | replacing.Partial, ...]" = ()
        self.key: "tuple[str, int] | None" = None  # of what was replaced

    def undo(self) -> None:
        for change in reversed(self.changes):
            change.undo()
        self.layer.undo()


class Applier:
    def __init__(self, monitors_of: "Callable[[str], Iterable[MonitorData]]", bind: "Bind", record: "Record") -> None:
        self._monitors_of = monitors_of
        self._bind = bind
        self._record = record
        self._applied: "dict[int, _Applied]" = {}  # by the identity of the layer
        self._plan: "dict[str, list[MonitorData]]" = {}  # module → its monitors, as they were applied
        self._old: "dict[int, _Applied] | None" = None  # during `replan`: what it has not come across yet
        self._gone: "set[str]" = set()  # monitors that the new plan does not have
        self.again: "list[Callable[[], None]]" = []  # what frameworks adopted is adopted once more
        self._of_tasks: "dict[tuple[str, str, str], str]" = {}  # targets that count for functions adopted later
        self._pending: "dict[tuple[str, str, str], tuple[MonitorData, TargetData, str]]" = {}
        self._lazy: "set[tuple[str, str, str]]" = set()  # those of them that a lazy import is to bring
        self._heads: "dict[str, set[str]]" = {}  # module → names in it that pending targets begin with
        self._failed: "set[tuple[str, str, str]]" = set()
        self._families: "dict[int, tuple[type, list[_Method]]]" = {}  # by a class → methods of it
        self._replaced: "set[tuple[str, int]]" = set()
        self._registries = registries.Registries()
        self._kept: "list[tuple[CodeType, FunctionType]]" = []  # patched just now, and known by their code elsewhere
        self._programs: "dict[str, ModuleType]" = {}  # what runs as a program, by the names that monitors have for it

    @property
    def needs_each_module(self) -> bool:
        """Whether any module that is loaded may hold something: a subclass, or what is imported lazily elsewhere."""
        return bool(self._families or self._lazy)

    def imported(self, name: str, module: ModuleType, own: "Names" = NOTHING) -> None:
        """`module` has just been run under `name`; `own` is what it defines, where that is known."""
        self._apply_all(name, module, None, own)
        self.retry(name)
        self.follow()

    def defined(self, name: str, module: ModuleType, names: "set[str] | None") -> None:
        """`names` were defined in `module`, a program that monitors call `name`; None: its body has ended."""
        self._programs[name] = module
        self._apply_all(name, module, names)
        self.follow()

    def follow(self) -> None:
        """Patch new overriding methods, and update sets that hold the code of patched functions."""
        for parent, methods in list(self._families.values()):
            self._visit_subclasses(parent, methods)
        self._follow_kept()

    def _follow_kept(self) -> None:
        kept, self._kept = self._kept, []
        if kept:
            self._registries.follow(kept)

    def adopt(
        self, found: "resolve.Found", module: str, attribute: str, errors: "Mapping[str, str] | None" = None
    ) -> None:
        """Apply the monitors of `module.attribute` to `found`, which a framework made from it at run time.

        A monitor that names the function itself takes precedence. `errors` (dotted exception → severity) comes from the
        framework, and counts for exceptions that the monitor does not name.
        """
        found.module = module
        for monitor in filter(versions.fits, self._monitors_of(module)):
            if any(attribute_in(module, target) == attribute for target in monitor["targets"] if not target["pattern"]):
                known = {name: each for name, each in (errors or {}).items() if name not in monitor["expect"]}
                adapted: "MonitorData" = {**monitor, "errors": {**known, **monitor["errors"]}} if known else monitor
                try:
                    self._patch(adapted, found, sweeping=True)
                except ours(Exception) as error:
                    self._fail(monitor, found.path, str(error) or type(error).__name__)

    def _apply_all(self, name: str, module: ModuleType, names: "set[str] | None", own: "Names" = NOTHING) -> None:
        monitors = [each for each in self._monitors_of(name) if versions.fits(each)]
        if monitors:
            self._plan[name] = monitors
        else:
            self._plan.pop(name, None)  # most modules of a package that a pattern names
        for monitor in monitors:
            for target in monitor["targets"]:
                if not target["pattern"]:
                    self._apply(name, module, monitor, target, names)
        # Targets that are named one by one take precedence over patterns.
        contents: "Contents | None" = None
        for monitor in monitors:
            for target in monitor["targets"]:
                rest = pattern_in(name, target) if target["pattern"] else None
                if rest is not None:
                    contents = contents or Contents(module, name, own)
                    self._apply_pattern(contents, rest, monitor, names)

    def undo(self) -> None:
        for applied in reversed(list(self._applied.values())):
            applied.undo()
        self._applied.clear()
        self._registries.undo()

    def replan(
        self,
        monitors_of: "Callable[[str], Iterable[MonitorData]]",
        names: "Iterable[str]",
        *,
        everything: bool = False,
    ) -> None:
        """Follow another plan in the imported modules `names`; with `everything`, also where its monitors are equal.

        A function that stays monitored is never without its monitor: its code is exchanged in one step.
        """
        before = dict(self._plan)
        self._monitors_of = monitors_of
        self._old = dict(self._applied)
        modules = dict.fromkeys([*names, *self._programs, *before])
        new = {name: [each for each in monitors_of(name) if versions.fits(each)] for name in modules}
        changed = {name for name in modules if everything or new[name] != before.get(name, [])}
        there = {monitor["name"] for monitors in new.values() for monitor in monitors}
        self._gone = {monitor["name"] for monitors in before.values() for monitor in monitors} - there
        try:
            self._forget_changed(changed)
            for name in changed:
                module = self._programs.get(name) or sys.modules.get(name)
                if resolve.is_a(module, ModuleType):
                    assert module is not None
                    self._apply_all(name, module, None)
                else:
                    self._plan.pop(name, None)  # it may come back
            for adopt in self.again:
                adopt()
            self.follow()
            for key, applied in self._old.items():
                if applied.module in changed or applied.monitor in self._gone:
                    self._applied.pop(key, None)
                    applied.undo()
                    self._has_new_code(applied.layer)  # where another monitor lies on it
                    if applied.key is not None:
                        self._replaced.discard(applied.key)
            self._follow_kept()
        finally:
            self._old, self._gone = None, set()

    def substitute(self, monitor: str, new: "Callable[[Any], Owner]") -> int:
        """Exchange what is bound to each function of a monitor for what `new` makes of it; return how many were.

        Raises CannotPatch, and changes no further one, where an interpreter refuses.
        """
        if self._old is not None:
            return 0  # another thread follows a changed plan
        done = 0
        for key, applied in list(self._applied.items()):
            if applied.monitor != monitor or applied.layer.patch() is None:
                continue
            layer = applied.layer.exchange(new(applied.layer.owner))
            if layer is not None and self._applied.pop(key, None) is applied:
                applied.layer = layer
                self._applied[id(layer)] = applied
                self._has_new_code(layer)
                done += 1
        self._follow_kept()
        return done

    def _has_new_code(self, layer: patch.Layer) -> None:
        """Remember a function that is known by its code elsewhere, for `_follow_kept`."""
        function = layer.patch()
        if function is not None and registries.is_held(code := patch.original_code(function)):
            self._kept.append((code, function))

    def _forget_changed(self, changed: "set[str]") -> None:
        """Forget what is not so any more, or is found out again."""
        for key in [key for key in self._pending if key[0] in changed]:
            self._forget(key)
        self._of_tasks = {key: note for key, note in self._of_tasks.items() if key[0] not in changed}
        stale = {monitor["name"] for name in changed for monitor in self._plan.get(name, ())}
        self._failed = {key for key in self._failed if key[0] not in stale}
        for identity, (parent, methods) in list(self._families.items()):
            kept = [each for each in methods if each[0]["name"] not in stale]
            self._families[identity] = (parent, kept)
            if not kept:
                del self._families[identity]

    def records(self) -> "Iterator[tuple[str, str, str, str]]":
        """All that is so now, as `record` is called with it."""
        for applied in list(self._applied.values()):
            yield "patched", applied.monitor, applied.path, applied.note
            for reason in getattr(applied.layer.owner, "disabled", ()):
                yield "failed", applied.monitor, applied.path, reason
        for (_, monitor, path), (_, _, why) in list(self._pending.items()):
            yield "waiting", monitor, path, why
        for (_, monitor, path), note in list(self._of_tasks.items()):
            yield "patched", monitor, path, note
        for monitor, path, reason in list(self._failed):
            yield "failed", monitor, path, reason

    def owners(self) -> "Iterator[Any]":
        """The probes of all that is patched now."""
        return iter([applied.layer.owner for applied in list(self._applied.values())])

    @property
    def is_applied(self) -> bool:
        """Is any function patched?"""
        return bool(self._applied)

    @property
    def waits(self) -> bool:
        """Whether targets are pending that did not exist when their module had run."""
        return bool(self._pending)

    def retry(self, imported: str = "") -> bool:
        """Retry pending targets in all modules but `imported`; return whether any was retried."""
        acted = False
        for name, heads in list(self._heads.items()):
            module = self._programs.get(name) or sys.modules.get(name)
            if name == imported or not resolve.is_a(module, ModuleType):
                continue
            assert module is not None
            if heads.isdisjoint(resolve.namespace(module)):
                continue  # cheap for each import, however many targets are pending
            acted = True
            for key, (monitor, target, _) in list(self._pending.items()):
                if key[0] == name:
                    self._apply(name, module, monitor, target, None)
        return acted

    def _wait(
        self, key: "tuple[str, str, str]", head: str, monitor: "MonitorData", target: "TargetData", why: str
    ) -> None:
        self._pending[key] = (monitor, target, why)
        self._heads.setdefault(key[0], set()).add(head)
        self._record("waiting", monitor["name"], target["path"], why)

    def _forget(self, key: "tuple[str, str, str]") -> None:
        self._lazy.discard(key)
        if self._pending.pop(key, None) is not None and not any(other[0] == key[0] for other in self._pending):
            self._heads.pop(key[0], None)

    def _apply(
        self, name: str, module: ModuleType, monitor: "MonitorData", target: "TargetData", names: "set[str] | None"
    ) -> None:
        attribute = attribute_in(name, target)
        if attribute is None:
            return
        head = attribute.partition(".")[0]
        if names is not None and head not in names:
            return
        key = (name, monitor["name"], target["path"])
        if (name, attribute) in OF_TASKS:
            if key not in self._of_tasks:
                self._of_tasks[key] = "each task's function, when it first runs"
                self._record("patched", monitor["name"], target["path"], self._of_tasks[key])
            return
        try:
            found = resolve.resolve(module, attribute, name)
            if name == "__main__" and not resolve.is_defined_in(found, module):
                raise resolve.NotThere("this program does not itself define it")
            self._patch(monitor, found, sweeping=False)
        except ours(resolve.InSubmodule):
            return
        except ours(resolve.NotThere) as missing:
            if type(missing) is resolve.NotLoaded:
                self._lazy.add(key)
            if key not in self._pending:
                self._wait(key, head, monitor, target, str(missing))
            return
        except ours(CannotPatch) as reason:
            self._fail(monitor, target["path"], str(reason))
        except ours(Exception) as error:  # the error of one target affects no other
            self._fail(monitor, target["path"], f"{type(error).__name__}: {error}")
        self._forget(key)

    def _fail(self, monitor: "MonitorData", path: str, reason: str) -> None:
        key = (monitor["name"], path, reason)
        if key not in self._failed:
            self._failed.add(key)
            self._record("failed", monitor["name"], path, reason)

    def _apply_pattern(
        self, contents: "Contents", rest: "list[str]", monitor: "MonitorData", names: "set[str] | None"
    ) -> None:
        for attribute in contents.expand(rest, names):
            path = contents.name + "." + attribute
            if any(matches(pattern, path) for pattern in monitor["exclude"]):
                continue
            try:
                found = contents.found(attribute)
                if found is not None:
                    self._patch(monitor, found, sweeping=True)
            except ours(CannotPatch) as reason:
                self._fail(monitor, path, str(reason))
            except ours(Exception) as error:
                self._fail(monitor, path, f"{type(error).__name__}: {error}")

    def _patch(self, monitor: "MonitorData", found: "resolve.Found", *, sweeping: bool) -> None:
        function = found.function
        if function is None:
            self._replace(monitor, found)
            return
        for layer in patch.layers_of(function):
            owner: "Any" = layer.owner
            if not hasattr(owner, "receiver"):
                continue  # an integration's, not a monitor's
            if self._gives_way(layer, monitor, found, sweeping=sweeping):
                self._exchange(layer, monitor, found, function)
                break
            if owner.live is not monitor["live"]:
                continue  # one that was put in lies beside the others
            if owner.name == monitor["name"] and owner.receiver is found.receiver:
                return  # the same module again, or another way to the same function
            if sweeping or owner.receiver is found.receiver:
                if not sweeping:
                    self._fail(monitor, found.path, f"already monitored by {owner.name!r}")
                return
        else:
            self._install(monitor, found, function, found.note)
        if monitor["subclasses"] and isinstance(found.parent, type):
            methods = self._families.setdefault(id(found.parent), (found.parent, []))[1]
            methods.append((monitor, found.name, found.module))
            self._visit_subclasses(found.parent, methods[-1:])

    def _install(self, monitor: "MonitorData", found: "resolve.Found", function: FunctionType, note: str) -> None:
        kept = registries.kept(function)
        probe = self._bind(monitor, found, function)
        layer = patch.patch_function(function, probe)
        self._applied[id(layer)] = _Applied(found.module, monitor["name"], found.path, note, layer)
        if kept is not None:
            self._kept.append((kept, function))
        self._record("patched", monitor["name"], found.path, note)

    def _gives_way(self, layer: patch.Layer, monitor: "MonitorData", found: "resolve.Found", *, sweeping: bool) -> bool:
        """During `replan`: is this layer of the old plan, and what is on the function now is `monitor`?"""
        owner: "Any" = layer.owner
        if self._old is None or id(layer) not in self._old or owner.receiver is not found.receiver:
            return False
        if owner.live is not monitor["live"]:
            return False
        return owner.name == monitor["name"] or not sweeping or owner.name in self._gone

    def _exchange(
        self, layer: patch.Layer, monitor: "MonitorData", found: "resolve.Found", function: FunctionType
    ) -> None:
        assert self._old is not None
        known = self._old.pop(id(layer))
        new = layer.exchange(self._bind(monitor, found, function))
        if new is None:
            raise CannotPatch("another tool has changed its code since: a restart takes up the new monitor")
        del self._applied[id(layer)]
        known.layer, known.module, known.monitor, known.path = new, found.module, monitor["name"], found.path
        self._applied[id(new)] = known
        self._has_new_code(new)
        self._record("patched", known.monitor, known.path, known.note)

    def _replace(self, monitor: "MonitorData", found: "resolve.Found") -> None:
        """Replace an object without `__code__` by a function of ours that calls it."""
        raw: "Any" = found.raw
        key = (found.path, id(raw))
        if key in self._replaced:
            for applied in list((self._old or {}).values()):
                function = applied.layer.patch()
                if applied.key == key and function is not None:
                    self._exchange(applied.layer, monitor, found, function)
            return
        partial = not resolve.is_compiled(raw)
        inner = raw.func if partial else raw
        qualname = getattr(raw, "__qualname__", found.name)
        module = getattr(raw, "__module__", None) or getattr(found.parent, "__module__", None) or found.parent.__name__
        function = patch.python_function(inner, found.name, qualname, module)
        probe = self._bind(monitor, found, function)
        applied = _Applied(found.module, monitor["name"], found.path, "", patch.patch_function(function, probe))
        self._applied[id(applied.layer)] = applied
        change: "patch.Replacement | replacing.Partial"
        change = (
            replacing.Partial(raw, function) if partial else patch.Replacement(found.parent, found.name, raw, function)
        )
        applied.changes = (change,)
        applied.key = key if partial else (found.path, id(function))
        self._replaced.add(applied.key)
        note = found.note
        if not partial and isinstance(found.parent, ModuleType) and module == found.parent.__name__:
            # Defined in this module: other modules that imported it from there hold the same object.
            others = list(replacing.aliases(raw, found))
            applied.changes += tuple([patch.Replacement(holder, name, raw, function) for holder, name in others])
            if others:
                note += "; replaced too: " + ", ".join([holder.__name__ + "." + name for holder, name in others])
        applied.note = note
        self._record("patched", monitor["name"], found.path, note)

    def _visit_subclasses(self, parent: type, methods: "list[_Method]") -> None:
        """Patch the methods that override those of `parent` in its subclasses and are not monitored yet.

        A subclass may have one from a class before `parent` in its MRO that is none: of that one, only the subclasses'
        calls count. Tryton builds its models so, of a class of each module that extends them.
        """
        pending: "list[type]" = list(type.__subclasses__(parent))
        seen: "set[int]" = set()
        while pending:
            cls = pending.pop()
            if id(cls) in seen:
                continue
            seen.add(id(cls))
            pending += type.__subclasses__(cls)
            self._visit(cls, methods, None)
            for each in type.__getattribute__(cls, "__mro__"):
                if each is parent:
                    break
                if id(each) not in seen and parent not in type.__getattribute__(each, "__mro__"):
                    seen.add(id(each))
                    self._visit(each, methods, parent)

    def _visit(self, cls: type, methods: "list[_Method]", receiver: "type | None") -> None:
        attributes = resolve.namespace(cls)
        for monitor, name, module in methods:
            raw = attributes.get(name)
            if raw is not None and (self._old is not None or not _is_watched(raw, monitor, receiver)):
                self._override(monitor, cls, name, raw, module, receiver)

    def _override(
        self, monitor: "MonitorData", cls: type, name: str, raw: object, module: str, receiver: "type | None"
    ) -> None:
        path = f"{cls.__module__}.{cls.__qualname__}.{name}"
        try:
            found = resolve.found_in(path, cls, name, raw)
            if found.function is None:
                return
            found.module = module
            if receiver is not None and type(raw) is not staticmethod:
                found.receiver = found.parent = receiver
            for layer in patch.layers_of(found.function):
                if hasattr(layer.owner, "receiver") and self._gives_way(layer, monitor, found, sweeping=True):
                    self._exchange(layer, monitor, found, found.function)
            if not _is_watched(found.function, monitor, found.receiver):
                self._install(monitor, found, found.function, "overrides the target")
        except ours(CannotPatch) as reason:
            self._fail(monitor, path, str(reason))


def _is_watched(raw: "Any", monitor: "MonitorData", receiver: object) -> bool:
    function = raw.__func__ if type(raw) in (staticmethod, classmethod) else raw
    return type(function) is FunctionType and any(
        getattr(layer.owner, "name", None) == monitor["name"] and getattr(layer.owner, "receiver", None) is receiver
        for layer in patch.layers_of(function)
    )
