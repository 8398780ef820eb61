"""The agent's part of the import system in a process that has not imported anything that is monitored.

On `sys.meta_path` a Lookout, which waits for a module that a monitor names, and a word in importlib's loader for those
that are loaded without asking there. In `sys.path_importer_cache` a Folder, for the one that is on PYTHONPATH: in it a
host finds what is ours, and none of what lies beside it.
"""

import os
import sys
import time
from _thread import get_ident

from ..base import places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    #: (configuration, state folder, the Lookout that gives way): the Finder, or None.
    Begin = Callable[[str, str, "Lookout"], Any]

    _bootstrap: Any  # of importlib's own module, in which the copy of its function runs


#: Seconds between two looks at the configuration: see `boot.reload`.
_EVERY = 2.0


def take_over(
    waiting: "Any", state: str, head: "places.Head", begin: "Begin", step_aside: "Callable[[Any, str], None]"
) -> "Lookout | None":
    """Put a Lookout in place of `waiting` on `sys.meta_path`; None where that is not there any more."""
    finders = sys.meta_path
    if waiting not in finders:
        return None
    made = finders[finders.index(waiting)] = Lookout(state, head, begin, step_aside)
    listen(made)
    return made


class Lookout:
    """A finder on `sys.meta_path` until a module that a monitor names is imported, and then gives way to the Finder.

    The index is decoded with the first import of all: a process that imports nothing does not decode it.
    """

    #: No name of this module, since a host's tests replace those. `base.clocks` would be one more file to read.
    _monotonic = staticmethod(time.monotonic)

    def __init__(
        self, state: str, head: "places.Head", begin: "Begin", step_aside: "Callable[[Any, str], None]"
    ) -> None:
        """`begin` makes the agent of this process, `step_aside` is called where our own files cannot be read."""
        self.state = state
        self._begin, self._step_aside = begin, step_aside
        self.head: "places.Head | None" = head
        self._packages: "dict[str, places.Place] | None" = None
        self._plan: "Any" = None
        self._look_at = self._monotonic() + _EVERY
        self._reread: "Any" = None

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        try:
            if sys.meta_path[0] is not self:
                self._to_the_front()
            if self._monotonic() >= self._look_at:
                self._follow()
            if not self._concerns(name):
                return None
            finder = self.give_way()
        except places.ours(Exception):
            self._step_aside(self, "reading the plan")
            return None
        return finder.find_spec(name, path, target) if finder is not None else None

    def ran(self, module: "Any", code: "Any") -> "Any":
        """A module has run. If a monitor names it, it was loaded by hand: `find_spec` was not called for it."""
        if self.head is None:
            return None
        try:
            if not self._concerns(module.__name__) and not any(
                map(self._names, places.on_path(code, self._packages or ()))
            ):
                return None
            finder = self.give_way()
        except places.ours(Exception):
            self._step_aside(self, "reading the plan")
            return None
        return finder.ran(module, code) if finder is not None else None

    def _concerns(self, name: str) -> bool:
        packages = self._packages
        if packages is None and self.head is not None:
            try:
                packages = self._packages = places.index_in(self.head[2])[0]
            except places.ours(ValueError):
                return True  # damaged: the agent makes a new one
        root = name.partition(".")[0]
        if packages and root in packages:
            return name in places.HOOKS or self._names(name) or _runs_files(name)
        return (root in places.FRAMEWORKS and name in places.HOOKS) or _runs_files(name)

    @property
    def plan(self) -> "Any":
        from ..plan import file as plan

        if self._plan is None and self.head is not None:
            self._plan = plan.PlanFile(*self.head)
        return self._plan

    def _names(self, name: str) -> bool:
        from ..plan import file as plan

        try:
            return name in self.plan
        except places.ours(plan.Unreadable):
            return True  # begin again, with another one

    def _follow(self) -> None:
        """The configuration may have changed since the process started."""
        self._look_at = float("inf")  # what is imported below is looked for here, too
        if self.head is None or places.unchanged(self.head[1], environment=False):
            self._look_at = self._monotonic() + _EVERY
            return
        with _guarded():
            from ..plan import index as plan_index
            from ..plan.reread import Reread

            path, header = self.head[1][0], self.head[1]
            if self._reread is None:
                index = plan_index.index_of(self.plan)
                if index is not None and not index.follows:
                    return
                self._reread = Reread(path, header, index.identity if index is not None else "")
            try:
                found = self._reread.look(self.state)
            except places.ours(OSError):
                return  # nothing compiles here
        self._look_at = self._monotonic() + _EVERY
        if isinstance(found, plan_index.Index):
            self.head, self._packages, self._plan = places.open_head(found.file, path), None, None
            if self.head is not None and any(self._concerns(each) for each in list(sys.modules)):
                self.give_way()

    def _to_the_front(self) -> None:
        """Another finder is in front: what it finds would never reach this one."""
        finders = sys.meta_path
        if self in finders:
            finders.insert(0, self)
            del finders[finders.index(self, 1)]

    def give_way(self) -> "Any":
        """Load the agent; return its Finder, which has taken this one's place, or None."""
        head, self.head = self.head, None
        if head is None:
            return None
        with _guarded():
            finder = self._begin(head[1][0], self.state, self)
        if finder is None:
            listen(None)
        return finder


def embeds() -> bool:
    """Has a web server that is written in C embedded this Python? `sys.executable` may not be set yet there."""
    try:
        program = os.readlink("/proc/self/exe")
    except places.ours(OSError):
        program = sys.executable or ""
    return os.path.basename(program).startswith(("uwsgi", "apache2", "httpd"))


def _guarded() -> "Any":
    """`imports.Guarded()`, whose own import is seen to here."""
    name = __package__.partition(".")[0] + ".base.imports"
    if name not in sys.modules and hasattr(os, "register_at_fork"):
        me = get_ident()

        def after_in_child() -> None:
            # A child of another thread's, forked before that module was whole: it must not wait for this thread.
            made = sys.modules.get(name)
            if get_ident() != me and not hasattr(made, "Guarded"):
                sys.modules["_frozen_importlib"]._module_locks.pop(name, None)
                sys.modules.pop(name, None)

        os.register_at_fork(after_in_child=after_in_child)
    from ..base import imports

    return imports.Guarded()


def _runs_files(name: str) -> bool:
    """Is runpy imported to run files later on, as multiprocessing does, and not by Python itself to run the program?"""
    return name == "runpy" and ("__file__" in sys.modules["__main__"].__dict__ or sys.argv[:1] == ["-c"])


# What is loaded by hand (`SourceFileLoader(…).load_module()`, `spec_from_file_location`, the plug-in loaders of ERPs)
# bypasses `sys.meta_path`, but ends where imports end: in one function of importlib's. Its body is exchanged for
# the same body, which then calls `_ran`. No frame is added to any traceback, and nothing is there to be seen.

#: Whose `ran(module, code)` is called when importlib's own loaders have run a module: a Lookout, or the Finder. What it
#: returns is called when nothing holds that code any more.
_listener: "Any" = None
#: Our code, while it is in place, and importlib's.
_exchanged: "tuple[Any, Any] | None" = None


def listen(listener: "Any") -> None:
    """Have `listener.ran` called from now on; with None, importlib is what it was."""
    global _listener, _exchanged
    from _frozen_importlib_external import _LoaderBasics

    _listener = listener
    function: "Any" = _LoaderBasics.exec_module
    code = function.__code__
    if listener is None:
        if _exchanged is not None and code is _exchanged[0]:
            function.__code__ = _exchanged[1]
        _exchanged = None
    elif _exchanged is None and {*code.co_names, "format"} == {*_COPY.co_names, "format"}:
        if sys.version_info < (3, 11) and len(sys._current_frames()) > 1:
            return  # a thread may be half-way into calling it: see hook.until_310.replace_code
        ours = _COPY.replace(
            co_consts=tuple([_ran if each == "ran" else each for each in _COPY.co_consts]),
            co_filename=code.co_filename,
            co_firstlineno=code.co_firstlineno,
        )
        _exchanged = ours, code
        function.__code__ = ours


def _ran(module: "Any", code: "Any") -> "Any":
    return _listener.ran(module, code) if _listener is not None else None


def _exec_module(self: "Any", module: "Any") -> None:  # each line where importlib has it, for tracebacks
    """Execute the module."""
    code = self.get_code(module.__name__)
    if code is None:
        raise ImportError(f"cannot load module {module.__name__!r} when get_code() returns None")

    _bootstrap._call_with_frames_removed(exec, code, module.__dict__)  # noqa: F821  (of importlib's own globals)
    ran: "Any" = "ran"  # exchanged
    ran = ran(module, code)
    if ran is not None:
        del code
        ran()


_COPY = _exec_module.__code__.replace(co_name="exec_module")
if sys.version_info >= (3, 11):
    _COPY = _COPY.replace(co_qualname="_LoaderBasics.exec_module")


#: What may lie there. With anything else, it is the folder of somebody who has put more into it, and is left as it is.
OURS = frozenset(("agent", "sitecustomize", "__pycache__", "bench", "docs", "examples", "schema", "tests", "build",
                   "erp_agent_command", "libraries", "LICENSE", "Makefile", "PKG-INFO", "dist", "var"))  # fmt: skip


class Folder:
    """In `sys.path_importer_cache`: hands look-ups of our names to the finder that the import system made."""

    def __init__(self, path: str, finder: "Any") -> None:
        self.path = path
        self._finder = finder
        self._only_ours = _only_ours(path)

    def find_spec(self, name: str, target: "Any" = None) -> "Any":
        if name == "agent":
            if self._is_the_hosts(name):
                return None
        elif self._only_ours and name not in ("sitecustomize", "erp_agent_command"):
            return None
        return self._finder.find_spec(name, target)

    def __getattr__(self, name: str) -> "Any":
        """What else a finder of the import system has: setuptools before 66 asks for `find_module`."""
        return getattr(self._finder, name)

    def _is_the_hosts(self, name: str) -> bool:
        from _frozen_importlib_external import PathFinder

        try:
            # "" is the current directory, which may be our folder too.
            others = [entry for entry in sys.path if (entry or os.getcwd()) != self.path]
            spec = PathFinder.find_spec(name, others)
            if spec is None or spec.origin is not None:
                return spec is not None
            # A folder without an __init__.py is a package, too, if there is anything in it.
            return any(places.listing(folder, ".py") for folder in spec.submodule_search_locations or ())
        except places.ours(Exception):
            return False

    def invalidate_caches(self) -> None:
        self._only_ours = _only_ours(self.path)
        self._finder.invalidate_caches()


def _only_ours(folder: str) -> bool:
    try:
        names = os.listdir(folder)
    except places.ours(OSError):
        return False
    for name in names:
        stem, dot, ending = name.partition(".")
        if (not dot or ending in ("py", "pyc", "so", "pyd")) and stem not in OURS:
            return False
    return True
