"""Interpreters of other environments that work for one that lacks the libraries: a system's Python under PYTHONPATH.

Such an environment uses the interpreter that compiled this configuration last, or that of the environment which the
agent's folder belongs to, to compile and to deliver. Only what this user or root alone can change is started.
"""

import os
import sys

from ..base import own_folders, places
from ..base.interrupts import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_STICKY = 0o1000
_OTHERS = 0o022


def in_use(state: str) -> "str | None":
    """Return the interpreter that compiles for this environment, where it needs another's."""
    return _safe(_for_this(state))


def of(state: str, version: "tuple[int, int]", prefix: str) -> "str | None":
    """Return the interpreter that compiles for the environment `prefix`, where it needs another's."""
    return _safe(os.path.join(state, "borrowed-%d.%d-%08x.bin" % (*version, places.name_hash(prefix))))


def to_deliver(state: str) -> "str | None":
    """Return the interpreter that is to deliver in place of this one, which cannot."""
    return in_use(state) or next(candidates(state), None)


def use(state: str, interpreter: str) -> None:
    """It compiles for this environment from now on. Raises OSError."""
    own_folders.replace(_for_this(state), os.fsencode(interpreter))


def forget(state: str) -> None:
    """It cannot any more. Raises OSError."""
    os.unlink(_for_this(state))


def compiled_with(state: str, interpreter: str) -> None:
    """Remember an interpreter that has the libraries, for environments that do not. Raises OSError."""
    if _read(_for_others(state)) != interpreter:
        own_folders.replace(_for_others(state), os.fsencode(interpreter))


def candidates(state: str) -> "Iterator[str]":
    """Other environments' interpreters that may have the libraries, the likeliest first."""
    own = os.path.realpath(sys.prefix)
    remembered, *beside = possible(state)
    for each in dict.fromkeys([_read(remembered), *beside]):
        if each and os.path.realpath(_prefix(each)) != own and is_safe(each):
            yield each


def possible(state: str) -> "list[str]":
    """The files in which, or as which, one may appear: what was remembered, then the agent's own environment."""
    folder = os.path.dirname(places.PACKAGE)
    environments = [os.path.join(folder, ".venv"), os.path.join(folder, "venv")]
    if os.path.basename(folder) == "site-packages":
        environments.append(os.path.dirname(os.path.dirname(os.path.dirname(folder))))
    return [_for_others(state), *[os.path.join(each, "bin", "python") for each in environments]]


def is_safe(interpreter: str) -> bool:
    """Return whether only this user and root can change this program, and the environment that it belongs to."""
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    if not os.path.isabs(interpreter) or not os.access(interpreter, os.X_OK):
        return False
    environment = [os.path.join(_prefix(interpreter), name) for name in ("pyvenv.cfg", "lib")]
    try:
        return all(_is_of(user, each) for each in (interpreter, *filter(os.path.lexists, environment)))
    except ours(OSError):
        return False


def _is_of(user: int, path: str) -> bool:
    """Of `path`, all folders above it, and what links on this way lead to."""
    waiting, seen = [path], set()
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        facts = os.lstat(at)
        if facts.st_uid not in (0, user):
            return False
        if facts.st_mode & 0o170000 == 0o120000:
            waiting.append(os.path.normpath(os.path.join(os.path.realpath(os.path.dirname(at)), os.readlink(at))))
        elif facts.st_mode & _OTHERS and not (facts.st_mode & _STICKY and at != path):
            return False
        waiting.append(os.path.dirname(at))
    return True


def _prefix(interpreter: str) -> str:
    return os.path.dirname(os.path.dirname(interpreter))


def _safe(file: str) -> "str | None":
    found = _read(file)
    return found if found and is_safe(found) else None


def _for_this(state: str) -> str:
    return places.plan_file(state, "borrowed")


def _for_others(state: str) -> str:
    return os.path.join(state, "compiler")


def _read(file: str) -> "str | None":
    try:
        descriptor, _ = places.open_own(file)
        try:
            return os.fsdecode(places.read(descriptor, 4096))
        finally:
            os.close(descriptor)
    except ours(OSError):
        return None
