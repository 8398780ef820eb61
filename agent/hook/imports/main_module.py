"""Patches functions of the program itself (`__main__`), which is never imported, while its body runs.

A program often calls its functions as soon as it has defined them (`if __name__ == "__main__": main()`), so that they
must be patched in between. A trace function follows the lines of the module's body, and of no other code: each name
that a monitor needs is patched as soon as it is defined, and after the last of them tracing ends. It pauses while an
import runs, and is not used where somebody else traces. On Python 3.12, `sys.monitoring` does this for one code object;
not from 3.13 on, where a debugger that begins on a monitored line misses its first stop.

All of this happens only where a monitor names the program; `places.program_names` has its names.
"""

import sys
from types import ModuleType

from ...base import places
from ...base.interrupts import ours
from ..targets import defined
from ..targets.target_paths import attribute_in, pattern_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import CodeType, FrameType
    from typing import Any

    from ...base.model import MonitorData

    #: (name that monitors know it by, its namespace, the names in it to look at; None for all, at the end)
    Apply = Callable[[str, dict[str, Any], "set[str] | None"], None]
    MonitorsOf = Callable[[str], Iterable[MonitorData]]
    Swallow = Callable[[str], None]

#: The opcodes that assign to a name of the module, and EXTENDED_ARG; by version.
STORES, EXTENDED = {(3, 13): ((113, 114), 71), (3, 14): ((115, 116), 69), (3, 15): ((114, 115), 67)}.get(
    sys.version_info[:2], ((90, 97), 144)
)

#: Tools of sys.monitoring that have no established owner.
_TOOLS = (4, 3)


def names_in(namespace: "dict[str, Any]") -> "list[str]":
    """Return the names by which monitors may refer to the module that runs in `namespace`.

    These are `__main__`, its real name under `python -m` or runpy, and the name that an import would give to its file.
    """
    found = []
    if namespace.get("__name__") in ("__main__", "__mp_main__"):
        found.append("__main__")
    spec = namespace.get("__spec__")
    name = getattr(spec, "name", None)
    if type(name) is str:
        found.append(name)
    file = namespace.get("__file__")
    if type(file) is str:
        found += places.program_names(file)
    return list(dict.fromkeys(found))


def module_in(namespace: "dict[str, Any]") -> ModuleType:
    """Return the module with this namespace; where runpy runs code without a module, an object that acts as one."""
    module = sys.modules.get(namespace.get("__name__", ""))
    if type(module) is ModuleType and module.__dict__ is namespace:
        return module
    return _Namespace(namespace)


class _Namespace(ModuleType):
    """A module object for a namespace that has no module."""

    def __init__(self, namespace: "dict[str, Any]") -> None:
        super().__init__(namespace.get("__name__", "?"))
        _own_dict(self)["namespace"] = namespace

    @property
    def __dict__(self) -> "dict[str, Any]":  # type: ignore[override]
        return _own_dict(self)["namespace"]  # type: ignore[no-any-return]

    def __setattr__(self, name: str, value: object) -> None:
        self.__dict__[name] = value


def _own_dict(module: ModuleType) -> "dict[str, Any]":
    """Return the real `__dict__` of the module object above."""
    return ModuleType.__dict__["__dict__"].__get__(module)  # type: ignore[no-any-return,index]


class Follower:
    """Follows the frame that runs `code`; without `code`, the first module body in the namespace of `__main__`."""

    def __init__(
        self, monitors_of: "MonitorsOf", apply: "Apply", swallow: "Swallow", also: "Iterable[str]" = ()
    ) -> None:
        """`also` has names to wait for that no monitor need name."""
        self._monitors_of = monitors_of
        self._apply = apply
        self._swallow = swallow
        self._code: "CodeType | None" = None
        self._main: "dict[str, Any] | None" = None
        self._way: "_Tracing | _Monitoring | None" = None
        self._begun = False
        self._names: "list[str]" = []
        self._heads: "set[str]" = set(also)
        self._sweeps = False
        self._last = -1
        self._seen: "dict[str, object]" = {}
        self._size = 0

    def follow(self, code: "CodeType | None" = None, namespace: "dict[str, Any] | None" = None) -> None:
        """Wait for the beginning of `code`, or of what runs in `namespace`: as `__main__`, if neither is given."""
        self.stop()
        self._code = code
        self._main = None if code is not None else namespace or sys.modules["__main__"].__dict__
        way: "_Tracing | _Monitoring" = (_Monitoring if sys.version_info[:2] == (3, 12) else _Tracing)(self)
        if way.begin(code):
            self._way = way
        else:
            self._look_later()

    def stop(self) -> None:
        way, self._way = self._way, None
        if way is not None:
            way.end()

    @property
    def follows(self) -> bool:
        return self._way is not None

    def _look_later(self) -> None:
        """Leave it to imports to retry what is not defined yet: somebody else traces."""
        if self._main is None:
            return
        for name in dict.fromkeys([*names_in(self._main), *places.program()]):
            if _expected(name, self._monitors_of(name))[0]:
                self._apply(name, self._main, None)

    def importing(self) -> None:
        """Called when an import begins: give up where somebody else has begun to trace."""
        if self._way is not None and self._way.is_displaced():
            self._way = None
            self._look_later()

    def pause(self) -> bool:
        """Remove the tracer before an import. Return whether `resume` must be called after it."""
        return self._way is not None and self._way.pause()

    def resume(self) -> None:
        if self._way is not None:
            self._way.resume()

    def begins(self, frame: "FrameType") -> bool:
        """Return whether this is the frame to follow; if so, compute what to expect in it."""
        code = frame.f_code
        if self._begun or (
            code is not self._code and (self._main is not frame.f_globals or code.co_name != "<module>")
        ):
            return False
        self._begun = True
        self._names = names_in(frame.f_globals)
        for name in self._names:
            heads, sweeps = _expected(name, self._monitors_of(name))
            self._heads |= heads
            self._sweeps = self._sweeps or sweeps
        self._last = last_store(code, None if self._sweeps else self._heads)
        self._seen = dict(frame.f_globals)
        return True

    def line(self, frame: "FrameType") -> None:
        """Called before a line of the module's body runs."""
        space = frame.f_globals
        new = {name for name in self._heads if space.get(name) is not self._seen.get(name)}
        if self._sweeps and len(space) != self._size:
            self._size = len(space)
            new.update(name for name in space if name not in self._seen)
        if new:
            self._seen.update((name, space.get(name)) for name in new)
            for name in self._names:
                self._apply(name, space, new)
        if frame.f_lasti > self._last:
            self.ended(frame)

    def ended(self, frame: "FrameType") -> None:
        """Called when nothing that a monitor names is defined any more."""
        self.stop()
        for name in self._names:
            # Every program is `__main__`: a function that this one does not have is not worth a record.
            if name != "__main__" or not self._heads.isdisjoint(frame.f_globals):
                self._apply(name, frame.f_globals, None)

    def failed(self) -> None:
        self._swallow("following the program")
        self.stop()


def _expected(name: str, monitors: "Iterable[MonitorData]") -> "tuple[set[str], bool]":
    """Return the names in module `name` that targets begin with, and whether there are patterns."""
    heads: "set[str]" = set()
    sweeps = False
    for monitor in monitors:
        for target in monitor["targets"]:
            if target["pattern"]:
                sweeps = sweeps or pattern_in(name, target) is not None
                continue
            attribute = attribute_in(name, target)
            if attribute is not None:
                heads.add(attribute.partition(".")[0])
    return heads, sweeps


def last_store(code: "CodeType", heads: "set[str] | None") -> int:
    """Return the offset of the last assignment to one of `heads` (None: all that it defines); -1 if there is none."""
    wanted = heads if heads is not None else defined.names(code)
    at, extended = -1, 0
    body = code.co_code
    for offset in range(0, len(body), 2):
        argument = extended << 8 | body[offset + 1]
        extended = argument if body[offset] == EXTENDED else 0
        if body[offset] in STORES and code.co_names[argument] in wanted:
            at = offset
    return at


class _Tracing:
    """On Python 3.9 to 3.11, and from 3.13 on: `sys.settrace`, for this thread, while the module's body runs."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower

    def begin(self, code: "CodeType | None") -> bool:
        del code
        if sys.gettrace() is not None:
            return False  # a debugger or coverage, which must keep its tracer
        sys.settrace(self._call)
        return True

    def end(self) -> None:
        self.pause()

    def is_displaced(self) -> bool:
        return sys.gettrace() is not None and sys.gettrace() != self._call

    def pause(self) -> bool:
        if sys.gettrace() != self._call:
            return False
        sys.settrace(None)
        return True

    def resume(self) -> None:
        if sys.gettrace() is None:
            sys.settrace(self._call)

    def _call(self, frame: "FrameType", _: str, __: object) -> "Any":
        try:
            if self._follower.begins(frame):
                return self._line
        except ours(Exception):
            self._follower.failed()
        return None

    def _line(self, frame: "FrameType", event: str, _: object) -> "Any":
        try:
            if event == "line":
                self._follower.line(frame)
            elif event == "return":
                self._follower.ended(frame)
        except ours(Exception):
            self._follower.failed()
        # A debugger that begins to trace sets a function of its own; ours is removed once all is defined.
        if frame.f_trace == self._line and not self._follower.follows:
            frame.f_trace = None
        return frame.f_trace


class _Monitoring:
    """On Python 3.12: `sys.monitoring`, for the lines of one code object."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._monitoring: "Any" = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
        self._tool = -1
        self._code: "CodeType | None" = None

    def begin(self, code: "CodeType | None") -> bool:
        monitoring, events = self._monitoring, self._monitoring.events
        self._tool = next((tool for tool in _TOOLS if monitoring.get_tool(tool) is None), -1)
        if self._tool < 0:
            return False
        monitoring.use_tool_id(self._tool, "erp-sentry-agent")
        monitoring.register_callback(self._tool, events.PY_START, self._start)
        monitoring.register_callback(self._tool, events.LINE, self._line)
        monitoring.register_callback(self._tool, events.PY_RETURN, self._return)
        if code is None:
            monitoring.set_events(self._tool, events.PY_START)
        else:
            self._watch(code, events.PY_START)
        return True

    def _watch(self, code: "CodeType", events: int) -> None:
        self._code = code
        self._monitoring.set_events(self._tool, 0)
        self._monitoring.set_local_events(self._tool, code, events)

    def end(self) -> None:
        monitoring, events = self._monitoring, self._monitoring.events
        if self._code is not None:
            monitoring.set_local_events(self._tool, self._code, 0)
        monitoring.set_events(self._tool, 0)
        for event in (events.PY_START, events.LINE, events.PY_RETURN):
            monitoring.register_callback(self._tool, event, None)
        monitoring.free_tool_id(self._tool)

    def is_displaced(self) -> bool:
        return False  # it has a tool id of its own

    def pause(self) -> bool:
        return False  # it follows no other code

    def resume(self) -> None:
        pass

    def _start(self, code: "CodeType", _: int) -> object:
        try:
            frame = sys._getframe(1)
            if code.co_name == "<module>" and self._follower.begins(frame):
                self._watch(code, self._monitoring.events.LINE | self._monitoring.events.PY_RETURN)
        except ours(Exception):
            self._follower.failed()
        return self._monitoring.DISABLE

    def _line(self, code: "CodeType", _: int) -> object:
        try:
            frame = sys._getframe(1)
            if frame.f_code is code:
                self._follower.line(frame)
        except ours(Exception):
            self._follower.failed()
        return None

    def _return(self, code: "CodeType", _: int, __: object) -> object:
        """Called at the end: the caller (`runpy.run_path`) may use what the last line defines."""
        try:
            frame = sys._getframe(1)
            if frame.f_code is code:
                self._follower.ended(frame)
        except ours(Exception):
            self._follower.failed()
        return None
