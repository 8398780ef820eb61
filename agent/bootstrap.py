"""Makes the agent of a process: reads the whole plan, or has it made, and installs the finder.

Comes in when `start` finds no fresh plan, and when a module that a monitor names is imported. Where there is no fresh
plan, another interpreter makes it (`config.child`), so that neither yaml nor jsonschema nor anything they import is
loaded into the host. The engine that patches and reports is imported with the first module that a monitor names.
"""

import os
import sys
import time

from . import guard, programs, start
from .config import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, ModuleType
    from typing import Any

    from .engine import Engine
    from .hook.finder import Finder

#: Seconds for which the last good plan stays in force where AGENT_LAST_GOOD says nothing else.
LAST_GOOD = 24 * 3600.0

#: Seconds until a configuration is tried again whose compilation failed for a reason that is not in it.
_RETRY = 60.0


class _Wanted:
    """The modules whose import matters: those that monitors and integrations name."""

    def __init__(self, index: cache.Index) -> None:
        self._index = index
        self._packages = index.top_packages

    def __contains__(self, name: object) -> bool:
        if name in start.HOOKS or name == "runpy":
            return True
        return str(name).partition(".")[0] in self._packages and name in self._index


class Agent:
    """The agent of this process."""

    def __init__(self, index: cache.Index, state: str) -> None:
        self.index = index
        self.state = state
        self.finder: "Finder | None" = None
        self._engine: "Engine | None" = None
        self._undo: "list[Any]" = []
        self._at_work: "dict[int, list[tuple[str, Callable[[Engine], None]]]]" = {}  # by thread

    def engine(self) -> "Engine":
        if self._engine is None:
            from .engine import Engine

            self._engine = Engine(self.index, self.state)
            if self.index.stale:
                guard.say(
                    f"{self.index.path} is not in force, the last good plan is: {self.index.stale}; "
                    "see: python -m agent validate"
                )
        return self._engine

    def install(self, instead_of: "start.Lookout | None" = None) -> None:
        """Put the finder on `sys.meta_path`, where a Lookout kept its place; see to what is imported already."""
        from .hook import finder

        wanted = _Wanted(self.index)
        self.finder = finder.Finder(wanted, self.index.roots, self._imported, guard.swallow)
        self.finder.on_wait, self.finder.on_code = self._look_again, self._follow
        if instead_of is not None and instead_of in sys.meta_path:
            sys.meta_path[sys.meta_path.index(instead_of)] = self.finder
        else:
            finder.install(self.finder)
        for name, module in list(sys.modules.items()):
            if name in wanted and name != "__main__":  # of which nothing has run yet
                self.finder.loaded(name, module)
        if any(name in self.index for name in start.program()):
            self._follow()

    def uninstall(self) -> None:
        """Undo everything: the finder, the patches, the hooks."""
        from .hook import finder

        if self.finder is not None:
            finder.uninstall(self.finder)
        if self._engine is not None:
            self._engine.close()
            self._engine.undo()
        while self._undo:
            self._undo.pop().undo()

    def _imported(self, name: str, module: "ModuleType") -> None:
        if name == "runpy":
            self._read_files(module)
            return
        self._work("applying monitors to " + name, lambda engine: engine.imported(name, module))
        if guard.DEBUG:
            guard.step("monitors of %s applied" % name)

    def _look_again(self) -> None:
        """Something is imported, and what monitors name may have been set since the last time."""
        self._work("looking again for what was not there", lambda engine: engine.look_again())

    def _work(self, what: str, task: "Callable[[Engine], None]") -> None:
        """Do it, or, where this thread is at work already, after that.

        What the agent itself imports for its work may be monitored too.
        """
        from _thread import get_ident

        me = get_ident()
        tasks = self._at_work.get(me)
        if tasks is not None:
            tasks.append((what, task))
            return
        tasks = self._at_work[me] = [(what, task)]
        try:
            for doing, each in tasks:  # it grows meanwhile
                try:
                    engine = self.engine()
                    each(engine)
                    if self.finder is not None:
                        self.finder.every_module = engine.follows_subclasses
                        self.finder.waits = engine.waits
                except Exception:
                    guard.swallow(doing)
        finally:
            del self._at_work[me]

    def _follow(self, code: "CodeType | None" = None) -> None:
        """A program is about to run: this code, or what Python runs as `__main__`."""
        from .hook.main_module import Follower

        if self.finder is not None:
            self.finder.follower = Follower(self.index.monitors_of, self._defined, guard.swallow)
            self.finder.follower.follow(code)

    def _read_files(self, runpy: "ModuleType") -> None:
        from .hook.main_module import FileReader

        self._undo.append(FileReader(runpy, self.index, self._follow, guard.swallow))

    def _defined(self, name: str, namespace: "dict[str, Any]", names: "set[str] | None") -> None:
        self._work("applying monitors to " + name, lambda engine: engine.defined(name, namespace, names))
        if names is None and self.finder is not None:
            self.finder.follower = None


#: The agent of this process, if it was started and has something to do.
current: "Agent | None" = None


def begin(path: str, state: str, *, instead_of: "start.Lookout | None" = None) -> "Finder | None":
    """Make the agent of this process; answers its finder, or None where there is nothing to do. Raises nothing."""
    global current
    try:
        if current is None:
            agent = _make(path, state)
            if agent is None:
                _step_aside(instead_of)
                return None
            current = agent
            agent.install(instead_of)
        return current.finder
    except Exception:
        _step_aside(instead_of)
        guard.swallow("starting")
        return None


def _step_aside(lookout: "start.Lookout | None") -> None:
    if lookout is not None and lookout in sys.meta_path:
        sys.meta_path.remove(lookout)


def _make(path: str, state: str) -> "Agent | None":
    plan = start.open_plan(start.plan_file(state), path)
    if _is_skipped(plan.header if plan is not None else None):
        return None
    index = _index(path, state)
    if index is None or _is_skipped(index.header):
        return None
    return Agent(index, state)


def _is_skipped(header: "start.Header | None") -> bool:
    why = programs.why_not(header[5] if header is not None else None)
    if why and guard.DEBUG:
        guard.step(f"nothing to do: {why}")
    return bool(why)


def begin_loudly(path: str, state: str) -> None:
    """With AGENT_DEBUG or AGENT_STRICT: the same, explained, or stopped at the first thing that is wrong."""
    if guard.DEBUG:
        guard.step("configuration %s, state %s" % (path, state))
        guard.step("program %s, python %s" % (programs.names(programs.arguments())[0], sys.version.split()[0]))
    if not os.environ.get("AGENT_CONFIG") and not os.path.exists(path):
        if guard.DEBUG:
            guard.step("nothing to do: there is no such file, and AGENT_CONFIG names none")
        return
    if start.is_on("AGENT_STRICT"):
        begin(path, state)
        problems = _problems(path, state)
        if problems:
            _stop(problems)
        return
    lookout = start.look_out(path, state)
    if lookout is None:
        if guard.DEBUG:
            guard.step("there is no fresh plan: " + _why_not_fresh(path, state))
        begin(path, state)
    if guard.DEBUG:
        guard.step("waiting for the modules of %s" % _what(lookout) if lookout or current else "nothing is monitored")


def _problems(path: str, state: str) -> "list[str]":
    if current is not None:
        stale = current.index.stale
        return _reasons if stale else current.index.problems
    plan = start.open_plan(start.plan_file(state), path)
    if programs.why_not(plan.header[5] if plan is not None else None):
        return []
    return _reasons or ["the agent could not be started"]


def _stop(problems: "list[str]") -> None:
    """AGENT_STRICT: before the program has run a line of its own, which makes `os._exit` the clean way."""
    try:
        for problem in problems:
            guard.say(problem)
        guard.say("AGENT_STRICT stops this process: the configuration is wrong")
        if sys.stderr is not None:
            sys.stderr.flush()
    finally:
        os._exit(2)


def _why_not_fresh(path: str, state: str) -> str:
    plan = start.open_plan(start.plan_file(state), path)
    if plan is None:
        return "none is stored in " + start.plan_file(state)
    for name, value in plan.header[2]:
        if os.environ.get(name) != value:
            return f"another value of {name}"
    for name, stamped in plan.header[1]:
        if start.stamp(name) != stamped:
            return f"{name} has changed"
    return "files that would be included have come or gone"


def _what(lookout: "start.Lookout | None") -> str:
    plan = lookout.plan if lookout is not None else None
    if plan is not None:
        return ", ".join(sorted(plan.top[0])) or "nothing"
    return "the plan"


# ---------------------------------------------------------------------------------------------------- which plan it is

_reasons: "list[str]" = []


def _index(path: str, state: str) -> "cache.Index | None":
    """The plan in force: the stored one, a new one, or the last good one."""
    index = cache.load(state, path)
    if index is not None and start.unchanged(index.header):
        return index
    bad = cache.load_bad(state, path)
    if bad is None or not _still_holds(bad):
        with _Turn(state) as waited:
            if waited:  # another process has just done it
                index = cache.load(state, path)
                if index is not None and start.unchanged(index.header):
                    return index
                bad = cache.load_bad(state, path)
            if bad is None or not waited or not _still_holds(bad):
                made = _compile(path, state, bad)
                if isinstance(made, cache.Index):
                    return made
                bad = made
    return _last_good(index, bad, path, state)


def _still_holds(bad: "cache.Bad") -> bool:
    return start.unchanged(bad.header) and (bad.until is None or 0.0 <= bad.until - time.time() <= _RETRY)


def _compile(path: str, state: str, before: "cache.Bad | None") -> "cache.Index | cache.Bad":
    from .config import child

    began = time.monotonic()
    answer = child.run(path)
    if guard.DEBUG:
        guard.step("another interpreter read the configuration in %.0f ms" % ((time.monotonic() - began) * 1000))
    decoded = cache.decode(answer, path) if isinstance(answer, bytes) else None
    if isinstance(decoded, cache.Index) and isinstance(answer, bytes):
        try:
            cache.store(state, decoded, answer)
            _keep_bytecode(state)
        except OSError as error:
            decoded.notes.append(f"the compiled plan cannot be kept, each process makes it anew: {error}")
            guard.say(f"{state} cannot be written, so that events are kept in memory only: {error}")
        else:
            # Said by the process that meets the change; afterwards `status` knows, and the log is not filled with it.
            if decoded.problems:
                more = " (and %d more)" % (len(decoded.problems) - 1) if len(decoded.problems) > 1 else ""
                first = decoded.problems[0]
                guard.say(f"not all of the configuration counts: {first}{more}; see: python -m agent validate")
        return decoded
    # Since when nothing newer than the last good plan could be had: the first failure counts, not the last.
    since = before.since if before is not None else time.time()
    if isinstance(decoded, cache.Bad):
        data = cache.bad_bytes(decoded.header, decoded.problems, since)
    else:
        why = answer if isinstance(answer, str) else "the compiler's answer could not be read"
        chosen = {"AGENT_PYTHON": os.environ.get("AGENT_PYTHON")}  # another interpreter is another try
        data = cache.encode_bad(path, [path], chosen, [why], since=since, until=time.time() + _RETRY)
    bad = cache.decode(data, path)
    assert isinstance(bad, cache.Bad)
    try:
        cache.store(state, bad, data)
    except OSError as error:
        bad.problems.append(f"{state} cannot be written, so that each process tries again: {error}")
    return bad


def _keep_bytecode(state: str) -> None:
    """For sitecustomize.py, where none is written beside the source: every process would compile `start` again."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "start.py")
    name = "start.%s.pyc" % sys.implementation.cache_tag
    if os.path.exists(os.path.join(os.path.dirname(source), "__pycache__", name)):
        return
    from _frozen_importlib_external import MAGIC_NUMBER
    from marshal import dumps

    status = os.stat(source)
    with open(source, "rb") as stream:
        code = compile(stream.read(), source, "exec", dont_inherit=True)
    data = MAGIC_NUMBER + b"\0\0\0\0"
    for number in (int(status.st_mtime), status.st_size):
        data += (number & 0xFFFFFFFF).to_bytes(4, "little")
    cache.write(os.path.join(os.path.dirname(state), "bytecode", name), data + dumps(code))


def _last_good(index: "cache.Index | None", bad: "cache.Bad", path: str, state: str) -> "cache.Index | None":
    first = bad.problems[0] if bad.problems else "unknown reason"
    more = " (and %d more)" % (len(bad.problems) - 1) if len(bad.problems) > 1 else ""
    _reasons[:] = bad.problems or [first]
    if index is not None:
        allowed = last_good_for(os.environ.get("AGENT_LAST_GOOD"))
        if time.time() - bad.since < allowed:
            index.stale, index.stale_since = first + more, bad.since
            return index
        _reasons.append("the last good plan is no longer in force: AGENT_LAST_GOOD is %d s" % allowed)
    guard.say(f"nothing is monitored: {first}{more}; see: python -m agent validate")
    from .health import Health

    health = Health(os.path.join(state, "run"), path)
    for problem in _reasons:
        health.record("problem", problem)
    health.flush()
    return None


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def last_good_for(text: "str | None") -> float:
    """Seconds: `24h`, `7d`, `30m`, `90s`, a bare number of seconds, `0` for never."""
    if text is None or not text.strip():
        return LAST_GOOD
    text = text.strip().lower()
    try:
        if text[-1] in _UNITS:
            return max(0.0, float(text[:-1]) * _UNITS[text[-1]])
        return max(0.0, float(text))
    except ValueError:
        guard.say(f"AGENT_LAST_GOOD is {text[:40]!r}, which is no duration such as 24h: taken as 24h")
        return LAST_GOOD


class _Turn:
    """One process compiles, the others that start at that moment wait for it. Answers whether this one had to wait."""

    def __init__(self, state: str) -> None:
        self._folder = state
        self._descriptor = -1

    def __enter__(self) -> bool:
        try:
            from fcntl import LOCK_EX, LOCK_NB, flock

            from . import private
            from .config.child import PATIENCE

            private.make(self._folder)
            self._descriptor = os.open(self._folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            deadline = time.monotonic() + PATIENCE + 5
            waited = False
            while True:
                try:
                    flock(self._descriptor, LOCK_EX | LOCK_NB)
                    return waited
                except BlockingIOError:
                    waited = True
                    if time.monotonic() > deadline:
                        return True
                    time.sleep(0.01)
        except (ImportError, OSError):
            return False  # each for itself

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
