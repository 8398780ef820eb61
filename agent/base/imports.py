"""What the agent imports on a thread of the host's, and a fork of another thread's meanwhile.

The child has the locks of the modules that were being imported, and not the thread that would give them back: it would
hang at its own first import of one of them. So a fork waits for such imports to end, for a moment; and what had not
ended, its child forgets, so as to import it afresh. What the host itself imports is the host's affair.

In a bundle, a folder that holds the agent and its libraries, those come behind the host's, and are for the agent alone.
"""

import _thread
import os
import sys
from time import sleep

from . import places
from .clocks import monotonic
from .places import ours
from .postponed import around_forks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Seconds that a fork waits. The thread that imports may itself be waiting for the one that forks.
PATIENCE = 2.0

#: Thread → a lock that is free once it has imported what it wanted, and what it was importing for the host before.
under_way: "dict[int, tuple[_thread.LockType, set[str]]]" = {}


class Guarded:
    """While entered, what this thread imports is the agent's doing.

    `patient`: a fork may wait for it. Not for modules that register fork hooks themselves, as `logging` does: of
    one that is loaded in the middle of a fork, the hook after it runs and the hook before it does not.
    """

    __slots__ = ("_patient", "_thread")

    def __init__(self, *, patient: bool = True) -> None:
        self._patient = patient

    def __enter__(self) -> None:
        me = _thread.get_ident()
        self._thread = 0
        known = under_way.get(me)
        if known is None:
            done = _thread.allocate_lock()
            done.acquire()
            known = under_way[me] = (done, {name for name, lock in locks() if _owner(lock) == me})
            self._thread = me
            _eagerly()
        if not self._patient:
            _open(known[0])

    def __exit__(self, *_: object) -> None:
        # In a child that a signal handler has forked in between, it is no more there.
        known = under_way.pop(self._thread, None)
        if known is not None:
            _open(known[0])
            if _lazy and not under_way:
                _as_before()


#: Whether the host has all its imports be lazy (from CPython 3.15 on), which those of the agent are not.
_lazy = False


def _eagerly() -> None:
    """What a report needs is to be loaded before the call that fails."""
    global _lazy
    interpreter: "Any" = sys
    if sys.version_info >= (3, 15) and interpreter.get_lazy_imports() == "all":
        _lazy = True
        interpreter.set_lazy_imports("normal")


def _as_before() -> None:
    global _lazy
    _lazy = False
    interpreter: "Any" = sys
    interpreter.set_lazy_imports("all")


def _open(done: "_thread.LockType") -> None:
    try:
        done.release()
    except ours(RuntimeError):
        pass  # open already


def locks() -> "list[tuple[str, Any]]":
    """The modules that are being imported, with the lock that the import holds: CPython's, the same since 3.3."""
    found = [(name, reference()) for name, reference in list(_references().items())]
    return [(name, lock) for name, lock in found if lock is not None]


def _references() -> "dict[str, Any]":
    found: "dict[str, Any]" = getattr(sys.modules["_frozen_importlib"], "_module_locks", {})
    return found


def _owner(lock: "Any") -> "int | None":
    owner: "int | None" = getattr(lock, "owner", None)
    return owner


def _is_stuck(lock: "Any") -> bool:
    """Was a thread that is gone just taking it, or giving it back?"""
    inner = getattr(lock, "lock", None)
    if inner is None or not inner.acquire(False):
        return inner is not None
    inner.release()
    return False


def wait_for_others() -> None:
    """Until no other thread imports for the agent, or for as long as a fork may take."""
    until = monotonic() + PATIENCE
    me = _thread.get_ident()
    for thread, (done, _) in list(under_way.items()):
        if thread != me and done.acquire(True, max(until - monotonic(), 0.0)):
            done.release()


def _before_fork() -> None:
    """Registered before any other of ours, it runs as the last one."""
    wait_for_others()
    if _logging_came_first:
        return
    # Where another thread has loaded `logging` meanwhile, its hook after the fork will release its lock, and its hook
    # before the fork has not run, which acquires it.
    until = monotonic() + PATIENCE
    while _is_loaded_by_another("logging") and monotonic() < until:
        if _owns_lock_of_logging():
            return
        sleep(0.0005)
    logging: "Any" = sys.modules.get("logging")
    if hasattr(logging, "LogRecord") and not _owns_lock_of_logging():
        getattr(logging, "_prepareFork" if sys.version_info >= (3, 13) else "_acquireLock")()


def _is_loaded_by_another(name: str) -> bool:
    reference = _references().get(name)
    return reference is not None and _owner(reference()) not in (None, _thread.get_ident())


def _owns_lock_of_logging() -> bool:
    is_owned: "Any" = getattr(getattr(sys.modules.get("logging"), "_lock", None), "_is_owned", None)
    return is_owned is not None and bool(is_owned())


def _after_fork_in_child() -> None:
    me = _thread.get_ident()
    gone = {thread: earlier for thread, (_, earlier) in list(under_way.items()) if thread != me}
    for thread in gone:
        del under_way[thread]
    for name, lock in locks() if gone else ():
        owner = _owner(lock)
        if _is_stuck(lock) or (owner in gone and name not in gone[owner]):
            forget(name)


def forget(name: str) -> None:
    """Let a module be imported as if nobody had begun to."""
    _references().pop(name, None)
    module = sys.modules.get(name)
    if getattr(getattr(module, "__spec__", None), "_initializing", False):
        del sys.modules[name]


#: Then its hook runs after ours, and is no matter of ours.
_logging_came_first = "logging" in sys.modules

around_forks(before=_before_fork, after_in_child=_after_fork_in_child)


#: Of an interpreter: a library with a compiled part is made for one version and one platform.
TAG = "%s-%s" % (sys.implementation.cache_tag, getattr(sys.implementation, "_multiarch", sys.platform))

_FOLDER = "libraries"


def bundled() -> str:
    """Of this interpreter's libraries, which need not exist."""
    return os.path.join(os.path.dirname(places.PACKAGE), _FOLDER, TAG)


def bundled_for(bundle: str, version: "tuple[int, int] | None") -> "list[str]":
    """The libraries in a bundle for any interpreter of that version; empty where it has none, or is no bundle."""
    above = os.path.join(bundle, _FOLDER)
    wanted = "cpython-%d%d-" % version if version else ""
    try:
        return [os.path.join(above, name) for name in sorted(os.listdir(above)) if wanted and name.startswith(wanted)]
    except ours(OSError):
        return []


def use_bundled() -> None:
    """Have this process, which is the agent's own, find them behind everything else.

    What jsonschema would import for formats, which our schema has none of, is left out: it takes a second.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    found = bundled()
    if found not in sys.path and os.path.isdir(found):
        sys.path.append(found)


class Lent:
    """While entered, this thread finds them too. No other does: the host must not get a library that it lacks."""

    def __init__(self) -> None:
        self._folder = bundled()
        self._wanted = os.path.isdir(self._folder) and self._folder not in sys.path
        self._thread = _thread.get_ident()

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        if path is not None or _thread.get_ident() != self._thread:
            return None
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(name, [self._folder], target)

    def __enter__(self) -> None:
        if self._wanted:
            sys.meta_path.append(self)

    def __exit__(self, *_: object) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
