"""Makes the agent of a process: reads the whole plan, or has it made, and installs the finder.

Comes in when `start` finds no fresh plan, and when a module that a monitor names is imported. Where there is no fresh
plan, another interpreter makes it (`config.child`), so that neither yaml nor jsonschema nor anything they import is
loaded into the host. The engine that patches and reports is imported with the first module that a monitor names.
"""

import os
import sys

from . import guard
from .config import cache
from .start import HOOKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from .engine import Engine
    from .hook.finder import Finder
    from .start import Lookout


class Agent:
    """The agent of this process."""

    def __init__(self, index: "cache.Index", state: str) -> None:
        self.index = index
        self.state = state
        self.finder: "Finder | None" = None
        self._engine: "Engine | None" = None

    def engine(self) -> "Engine":
        if self._engine is None:
            from .engine import Engine

            self._engine = Engine(self.index, self.state)
        return self._engine

    def install(self, instead_of: "Lookout | None" = None, place: int = 0) -> None:
        """Put the finder on `sys.meta_path`, at `place` if a Lookout kept it; see to what is imported already."""
        from .hook import finder

        self.finder = finder.Finder({**HOOKS, **self.index.modules}, self.index.roots, self._imported, guard.swallow)
        if instead_of is not None and instead_of in sys.meta_path:
            sys.meta_path[place] = self.finder
        else:
            finder.install(self.finder)
        for name, module in list(sys.modules.items()):
            if name in self.index.modules or name in HOOKS or name.partition(".")[0] in self.index.roots:
                self.finder.loaded(name, module)

    def uninstall(self) -> None:
        """Undo everything: the finder, the patches, the hooks."""
        from .hook import finder

        if self.finder is not None:
            finder.uninstall(self.finder)
        if self._engine is not None:
            self._engine.close()
            self._engine.undo()

    def _imported(self, name: str, module: "ModuleType") -> None:
        engine = self.engine()
        engine.imported(name, module)
        if self.finder is not None:
            self.finder.every_module = engine.follows_subclasses


#: The agent of this process, if it was started and has something to do.
current: "Agent | None" = None


def begin(path: str, state: str, *, instead_of: "Lookout | None" = None, place: int = 0) -> "Finder | None":
    """Make the agent of this process; answers its finder, or None where there is nothing to do. Raises nothing."""
    global current
    try:
        if current is not None:
            return current.finder
        if not os.environ.get("AGENT_CONFIG") and not os.path.exists(path):
            return None  # nothing was ever configured here: no reason to bother every Python of the machine
        index = _index(path, state)
        if index is None:
            return None
        current = Agent(index, state)
        current.install(instead_of, place)
        if index.stale:
            current.engine()  # so that `status` knows
        return current.finder
    except Exception:
        guard.swallow("starting")
        return None


def _index(path: str, state: str) -> "cache.Index | None":
    """The plan in force: the cached one, a new one, or the last good one."""
    stored = os.path.join(state, "plan.bin")
    rejected = os.path.join(state, "rejected.bin")
    data = cache.read(stored)
    index = cache.decode(data, path) if data is not None else None
    if isinstance(index, cache.Index) and data is not None and cache.is_fresh(data):
        return index
    data = cache.read(rejected)
    problems = cache.decode(data, path) if data is not None else None
    if not isinstance(problems, list) or data is None or not cache.is_fresh(data):
        problems = _compile(path, stored, rejected)
        if isinstance(problems, cache.Index):
            return problems
    return _last_good(index, problems, path, state)


def _compile(path: str, stored: str, rejected: str) -> "cache.Index | list[str]":
    from .config import child

    answer = child.run(path)
    if isinstance(answer, str):
        return [answer]
    decoded = cache.decode(answer, path)
    if decoded is None:
        return ["the compiler's answer could not be read"]
    try:
        cache.write(stored if isinstance(decoded, cache.Index) else rejected, answer)
    except OSError as error:
        if isinstance(decoded, cache.Index):
            decoded.problems.append(f"the compiled plan cannot be kept, each process makes it anew: {error}")
    return decoded


def _last_good(
    index: "cache.Index | list[str] | None", problems: "list[str]", path: str, state: str
) -> "cache.Index | None":
    first = problems[0] if problems else "unknown reason"
    more = " (and %d more)" % (len(problems) - 1) if len(problems) > 1 else ""
    if isinstance(index, cache.Index):
        index.stale = first + more
        guard.say(f"{path} is not in force, the last good plan is: {first}{more}; see: python -m agent validate")
        return index
    guard.say(f"nothing is monitored: {first}{more}; see: python -m agent validate")
    from .health import Health

    health = Health(os.path.join(state, "run"), path)
    for problem in problems:
        health.record("problem", problem)
    health.flush()
    return None
