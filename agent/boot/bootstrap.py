"""Makes the agent of a process: reads the whole plan, or has it made, and installs the finder.

Loaded when `start` finds no fresh plan, and when a module that a monitor names is imported. Where there is no fresh
plan, `plan.in_force` chooses one. The engine that patches and reports is imported with the first module that a
monitor names.
"""

import os
import sys
from _thread import allocate_lock

from ..base import guard, imports, places, programs
from ..base.clocks import monotonic
from ..base.interrupts import ours
from ..plan import index as plan_index
from .lookout import embeds, listen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, ModuleType
    from typing import Any

    from ..hook.code.patch import Layer
    from ..hook.imports.finder import Finder
    from ..hook.targets.defined import Names
    from .engine import Engine
    from .lookout import Lookout
    from .reload import Reload

#: Seconds of a process's life before it looks for changes: most processes do not live that long.
_SETTLED = 2.0

#: Seconds between two looks.
_EVERY = 1.0


class _Wanted:
    """The modules whose import matters: those that monitors and integrations name."""

    def __init__(self, index: plan_index.Index) -> None:
        self._index = index
        self._packages = index.top_packages

    def __contains__(self, name: object) -> bool:
        if name in places.HOOKS or name in places.CLIENTS or name == "runpy":
            return True
        return str(name).partition(".")[0] in self._packages and name in self._index


#: Where nothing is sent, what these modules need of us is needed with the first call of one of these functions: most
#: processes that import Django serve no request, and do without the engine.
_NOT_BEFORE: "dict[str, tuple[str, ...]]" = {
    "django.core.handlers.base": ("BaseHandler.load_middleware",),
    "django.core.handlers.wsgi": (),
    "django.core.handlers.asgi": (),
    "django.core.management": ("ManagementUtility.execute", "call_command"),
    "rest_framework.views": ("APIView.dispatch",),
    "aiohttp.web_protocol": ("RequestHandler.__init__",),
    "tornado.web": ("RequestHandler.__init__",),
}


#: What these see happens in requests, and a server begins with one of its own functions.
_WITH_A_SERVER = ("integrations.web.graphql",)


def _not_before(name: str) -> "tuple[str, ...] | None":
    """Those functions of the module `name`; None where the engine cannot wait for a call."""
    integration = places.HOOKS.get(name)
    if integration in ("integrations.web.install", "integrations.web.handlers") and name not in _NOT_BEFORE:
        from ..integrations.web import servers

        return servers.uses(name)
    return _NOT_BEFORE.get(name, () if integration in _WITH_A_SERVER else None)


class Turn:
    """What one thread does at a time; the others go on without it."""

    def __init__(self) -> None:
        self._lock, self._pid = allocate_lock(), os.getpid()

    def take(self, work: "Callable[[], None]") -> None:
        if self._pid != os.getpid():  # forked, perhaps while another thread had the lock
            self._lock, self._pid = allocate_lock(), os.getpid()
        lock = self._lock  # of this process: what is forked during `work` gets one of its own
        if lock.acquire(False):
            try:
                work()
            finally:
                lock.release()


class Agent:
    """The agent of this process."""

    def __init__(self, index: plan_index.Index, state: str) -> None:
        self.index = index
        self.state = state
        self.finder: "Finder | None" = None
        self._engine: "Engine | None" = None
        self._undo: "list[Any]" = []
        self._tasks: "dict[int, list[tuple[str, Callable[[Engine], None]]]]" = {}  # by thread
        self._waiting: "dict[str, list[Layer]]" = {}  # modules that were imported and are not needed yet
        self._reload: "Reload | None" = None
        self._look_from = monotonic() + _SETTLED
        self._look_at = 0.0  # the next time that `look` does anything
        self._turn = Turn()

    def engine(self) -> "Engine":
        if self._engine is None:
            with imports.Guarded():
                from .engine import Engine

                made = Engine(self.index, self.state, self.look)
                if self._engine is None:  # another thread may have been faster
                    self._engine = made
                    self._catch_up(made)
        return self._engine

    def _catch_up(self, engine: "Engine") -> None:
        if self.index.stale and not self.index.reported:
            guard.write_line(
                f"{self.index.path} is not in force, the last good plan is: {self.index.stale}; "
                "see: python -m agent validate"
            )
        for name in (*self._wait_no_more(), *places.CLIENTS):
            if name in sys.modules:
                engine.imported(name, sys.modules[name])

    def _wait_no_more(self) -> "list[str]":
        waiting, self._waiting = self._waiting, {}
        for layers in waiting.values():
            for layer in layers:
                layer.undo()
        return list(waiting)

    def install(self, instead_of: "Lookout | None" = None) -> None:
        """Put the finder on `sys.meta_path`, in place of a Lookout; apply monitors to what is imported already."""
        from ..hook.imports import finder

        wanted = _Wanted(self.index)
        self.finder = finder.Finder(wanted, self.index.roots, self._imported, guard.swallow)
        self.finder.on_wait, self.finder.on_code, self.finder.on_look = self._look_again, self._follow, self.look
        if embeds():
            from ..hook.imports.script import Scripts

            self.finder.on_look = self._follow_uwsgi
            self._undo.append(Scripts(self._runs_script))
        self.watch(self.index)
        if instead_of is not None and instead_of in sys.meta_path:
            sys.meta_path[sys.meta_path.index(instead_of)] = self.finder
        else:
            finder.install(self.finder)
        listen(self.finder)
        for name, module in list(sys.modules.items()):
            if name in wanted and name != "__main__":  # of which nothing has run yet
                self.finder.loaded(name, module)
        if any(name in self.index for name in places.program()):
            self._follow()
        if self.index.lines:
            self.work("watching lines", lambda engine: engine.watch_lines())

    def _follow_uwsgi(self) -> None:
        """With the first import after uWSGI's own module has its options: the application's comes soon."""
        if hasattr(sys.modules.get("uwsgi"), "opt") and self.finder is not None:
            self.finder.on_look = self.look
            from ..integrations.web import embedding

            embedding.follow()
        self.look()

    def _runs_script(self, namespace: "dict[str, Any]") -> None:
        """A server is about to run a file in which its application is."""
        try:
            with imports.Guarded():
                from ..hook.imports.main_module import Follower
                from ..integrations.web import embedding, named

            def defined(name: str, namespace: "dict[str, Any]", names: "set[str] | None") -> None:
                self._defined(name, namespace, names)
                if names is None:
                    self.work("looking for an application", lambda engine: named.of_file(namespace, engine))

            if self.finder is not None:
                also = [embedding.attribute_of_file()]
                self.finder.follower = Follower(self.index.monitors_of, defined, guard.swallow, also)
                self.finder.follower.follow(namespace=namespace)
        except ours(Exception):
            guard.swallow("following a file that a server runs")

    def watch(self, index: plan_index.Index) -> None:
        """Have the finder notice the imports of what this plan names."""
        if self.finder is not None:
            self.finder.wanted, self.finder.roots = _Wanted(index), index.roots
            self.finder.packages = index.top_packages

    def look(self) -> None:
        """Called by what happens in the process anyway: follow the configuration, if it has changed.

        One thread at a time: a budget must not exchange monitors while another plan comes into force, nor the reverse.
        """
        now = monotonic()
        if now < self._look_at:
            return
        self._turn.take(self._look)

    def _look(self) -> None:
        self._look_at = monotonic() + _EVERY
        if self._engine is not None:
            self._engine.keep_looking()
        if self._reload is None and monotonic() >= self._look_from and self.index.follows and self.finder is not None:
            self._look_from = float("inf")  # what is imported below is looked for here, too
            try:
                with imports.Guarded():
                    from .reload import Reload

                    self._reload = Reload(self, lambda: _state_now(self.index.path, self.state))
                self.index.plan.release()  # most is read, and a plan in its place would be taken up
            except ours(ImportError):
                pass  # our files were removed, or replaced by an upgrade: this process keeps the plan that it has
            except ours(Exception):
                guard.swallow("beginning to follow the configuration")
        if self._reload is not None:
            self._reload.look()

    @property
    def has_engine(self) -> bool:
        return self._engine is not None

    def uninstall(self) -> None:
        """Undo everything: the finder, the patches, the hooks."""
        from ..hook.imports import finder

        listen(None)
        self._reload, self._look_from = None, float("inf")
        if self.finder is not None:
            finder.uninstall(self.finder)
        self._wait_no_more()
        if self._engine is not None:
            self._engine.close()
            self._engine.undo()
        while self._undo:
            self._undo.pop().undo()

    def _imported(self, name: str, module: "ModuleType", own: "Names") -> None:
        if name == "runpy":
            self._read_files(module)
            return
        if self._engine is None and name in places.CLIENTS:
            return  # the engine looks for it when it begins
        if self._engine is None and _not_before(name) is not None and self._can_wait(name, module):
            if guard.DEBUG:
                guard.step("%s waits until it is used" % name)
            return
        before = self._engine.recorded if self._engine is not None else 0
        self.work("applying monitors to " + name, lambda engine: engine.imported(name, module, own))
        if guard.DEBUG and self._engine is not None:
            # Where each module is needed this runs for every module: most change nothing.
            changed = self._engine.recorded - before
            if changed or name in self.index or name in places.HOOKS:
                guard.step("monitors of %s applied: %d change%s" % (name, changed, "s" * (changed != 1)))

    def _look_again(self) -> None:
        """Something is imported, and what monitors name may have been set since the last time."""
        self.work("looking again for what was not there", lambda engine: engine.look_again())

    def work(self, what: str, task: "Callable[[Engine], None]") -> None:
        """Run `task`, or queue it where this thread runs one already.

        What the agent itself imports for its work may be monitored too.
        """
        from _thread import get_ident

        me = get_ident()
        tasks = self._tasks.get(me)
        if tasks is not None:
            tasks.append((what, task))
            return
        tasks = self._tasks[me] = [(what, task)]
        try:
            with imports.Guarded():
                for doing, each in tasks:  # it grows meanwhile
                    try:
                        engine = self.engine()
                        each(engine)
                        if self.finder is not None:
                            self.finder.every_module = engine.applier.needs_each_module
                            self.finder.waits = engine.applier.waits
                    except ours(Exception):
                        guard.swallow(doing)
        finally:
            del self._tasks[me]

    def _follow(self, code: "CodeType | None" = None) -> None:
        """A program is about to run: this code, or what Python runs as `__main__`."""
        from ..hook.imports.main_module import Follower

        if self.finder is not None:
            self.finder.follower = Follower(self.index.monitors_of, self._defined, guard.swallow)
            self.finder.follower.follow(code)

    def _read_files(self, runpy: "ModuleType") -> None:
        from ..hook.imports.runpy_files import FileReader

        self._undo.append(FileReader(runpy, self.index, self._follow, guard.swallow))

    def _defined(self, name: str, namespace: "dict[str, Any]", names: "set[str] | None") -> None:
        self.work("applying monitors to " + name, lambda engine: engine.defined(name, namespace, names))
        if names is None and self.finder is not None:
            self.finder.follower = None

    def _can_wait(self, name: str, module: "ModuleType") -> bool:
        from .tracing import by_sdk

        sentry = self.index.sentry
        traced = sentry["dsn"] is not None and sentry["integrations"] != [] and by_sdk(sentry)
        if traced or name in self.index:
            return False
        from ..hook.code import wrap

        layers: "list[Layer]" = []
        try:
            for path in _not_before(name) or ():
                holder, _, attribute = path.rpartition(".")
                function = (module.__dict__[holder] if holder else module).__dict__[attribute]
                layers.append(wrap.before_first_call(function, self._wake))
        except ours(Exception):  # another version of the framework, or somebody patched it
            for layer in layers:
                layer.undo()
            return False
        if not self._waiting:
            import atexit

            # A patched function keeps its module alive, which makes the end of an interpreter a long one.
            atexit.register(self._wait_no_more)
        self._waiting[name] = layers
        return True

    def _wake(self) -> None:
        self.work("starting with the first use of a framework", lambda _: None)


#: The agent of this process, if it was started and has something to do.
current: "Agent | None" = None


def begin(path: str, state: str, *, instead_of: "Lookout | None" = None) -> "Finder | None":
    """Make the agent of this process; return its finder, or None where there is nothing to do. Raises nothing."""
    global current
    try:
        if current is None:
            agent = _make(path, _state_now(path, state), instead_of.plan if instead_of is not None else None)
            if agent is None:
                _step_aside(instead_of)
                return None
            current = agent
            agent.install(instead_of)
        return current.finder
    except ours(Exception):
        _step_aside(instead_of)
        guard.swallow("starting")
        return None


def _step_aside(lookout: "Lookout | None") -> None:
    if lookout is not None and lookout in sys.meta_path:
        sys.meta_path.remove(lookout)


def _make(path: str, state: str, known: "Any") -> "Agent | None":
    """`known` is the plan that a Lookout had, which another user may not be able to read again."""
    head = places.open_head(places.plan_file(state), path)
    if _is_skipped(head[1] if head is not None else None):
        return None
    index = plan_index.load(state, path)
    if index is None and known is not None:
        index = plan_index.index_of(known)
    if index is None or not places.unchanged(index.header):
        from ..plan import in_force

        index = in_force.renew(path, state, index)
    if index is None or _is_skipped(index.header):
        return None
    index.remake = lambda: _remade(path, state)
    return Agent(index, state)


def _remade(path: str, state: str) -> "plan_index.Index | None":
    from ..plan import in_force

    return in_force.renew(path, _state_now(path, state), None)


def _state_now(path: str, state: str) -> str:
    """`state`, or another folder where the process has changed its user since it started."""
    if not hasattr(os, "geteuid") or os.geteuid() == places.user:
        return state
    from ..base import own_folders

    return own_folders.state_folder(path, state)


def _is_skipped(header: "places.Header | None") -> bool:
    why = programs.why_not(header[5] if header is not None else None)
    if why and guard.DEBUG:
        guard.step(f"nothing to do: {why}")
    return bool(why)
