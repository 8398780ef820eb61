"""What every Python process of the machine pays for: one file of code, one small read, one finder.

A plan that is fresh (`config.cache` made it, nothing that it was made from has changed) costs a few `stat` calls. A
`Lookout` then waits on `sys.meta_path` for the import of a module that a monitor names; only that import brings in the
rest of the agent. Where there is no fresh plan, `bootstrap` finds out why. Nothing here imports anything that a bare
interpreter has not imported already.
"""

import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: First line of a plan file: this word, the interpreter, the sizes of the header and of the index that follow.
FORMAT = b"erp-agent-plan-5"

_NO = ("", "0", "false", "no", "off")


def config_path(environ: "Mapping[str, str]") -> str:
    """AGENT_CONFIG, or monitors.yaml beside sitecustomize.py; never the current directory."""
    named = environ.get("AGENT_CONFIG")
    if named:
        return os.path.abspath(os.path.expanduser(named))
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "monitors.yaml")


def state_folder(environ: "Mapping[str, str]", config: str) -> str:
    """The folder for everything that the agent writes for this configuration.

    AGENT_STATE_DIR or the user's state folder; in it, one folder for each configuration file, so that two ERPs of one
    user never mix their events.
    """
    base = environ.get("AGENT_STATE_DIR")
    if not base:
        home = environ.get("XDG_STATE_HOME") or (
            os.path.join(environ["HOME"], ".local", "state") if environ.get("HOME") else ""
        )
        if os.path.isabs(home):
            base = os.path.join(home, "erp-sentry-agent")
        else:
            user = os.getuid() if hasattr(os, "getuid") else 0
            base = "/var/tmp/erp-sentry-agent-%d" % user  # noqa: S108  (made 0700, owner checked)
    name = os.path.basename(os.path.dirname(config)) or "root"
    return os.path.join(os.path.abspath(os.path.expanduser(base)), "%s-%08x" % (name, _hash(config)))


def _hash(text: str) -> int:
    """FNV-1a, 32 bits: a name that stays the same from process to process, with nothing imported."""
    value = 0x811C9DC5
    for byte in text.encode("utf-8", "surrogateescape"):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def stamp(name: str) -> "tuple[int, int, int] | None":
    """What changes when a file or folder does."""
    try:
        status = os.stat(name)
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def unchanged(header: "tuple[Any, ...]") -> bool:
    """Are the files and variables that a plan was made from as they were?"""
    _, watched, environment, _ = header
    for name, value in environment:
        if os.environ.get(name) != value:
            return False
    return all(stamp(name) == stamped for name, stamped in watched)


def read_header(descriptor: int, path: str) -> "tuple[tuple[Any, ...], int, int] | None":
    """The header of a plan file for the configuration `path`, and where its index lies; None for anything else."""
    data = os.read(descriptor, 8192)
    line, _, rest = data.partition(b"\n")
    words = line.split(b" ")
    if len(words) != 4 or words[0] != FORMAT or words[1] != b"%x" % sys.hexversion:
        return None
    size = int(words[2])
    if len(rest) < size:  # many included files
        rest += os.read(descriptor, size - len(rest))
    header: "tuple[Any, ...]" = marshal.loads(rest[:size])  # noqa: S302  (the user's own file: the owner was checked)
    return (header, len(line) + 1 + size, int(words[3])) if header[0] == path else None


def open_own(file: str) -> "int | None":
    """A descriptor of a file that belongs to this user and is no link, or None."""
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
    if hasattr(os, "getuid") and os.fstat(descriptor).st_uid != os.getuid():
        os.close(descriptor)
        return None
    return descriptor


class Lookout:
    """Stands on `sys.meta_path` until a module that a monitor names is imported, and then gives way to the Finder.

    The index is read with the first import of all: a process that imports nothing does not read it.
    """

    def __init__(self, path: str, state: str, file: str, header: "tuple[Any, ...]", at: int, size: int) -> None:
        self._place = (path, state)
        self._file = file
        self._header = header
        self._at = at
        self._size = size
        self._modules: "dict[str, Any] | None" = None
        self._roots: "dict[str, Any]" = {}
        self._extra: "Mapping[str, str]" = HOOKS

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        try:
            modules = self._modules
            if modules is None:
                modules = self._read_index()
            finders = sys.meta_path
            if finders[0] is not self and self in finders:
                # Another finder has put itself in front: what it finds we would never see.
                finders.insert(0, self)
                del finders[finders.index(self, 1)]
            if name not in modules and name not in HOOKS and name.partition(".")[0] not in self._roots:
                return None
            finder = self.give_way()
        except Exception:
            from . import guard

            guard.swallow("reading the plan")
            return None
        return finder.find_spec(name, path, target) if finder is not None else None

    def _read_index(self) -> "dict[str, Any]":
        descriptor = open_own(self._file)
        if descriptor is not None:
            try:
                found = read_header(descriptor, self._place[0])
                if found is not None and found[0] == self._header:
                    os.lseek(descriptor, self._at, os.SEEK_SET)
                    self._modules, self._roots = marshal.loads(_read(descriptor, self._size))  # noqa: S302
                    return self._modules
            finally:
                os.close(descriptor)
        self.give_way()  # another process has written a newer plan since: begin again with that one
        self._modules = {}
        return self._modules

    def give_way(self) -> "Any":
        """Load the agent; answers its Finder, which now stands where this stood, or None."""
        from . import bootstrap

        place = sys.meta_path.index(self) if self in sys.meta_path else 0
        return bootstrap.begin(*self._place, instead_of=self, place=place)


def _read(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = os.read(descriptor, size - len(data))
        if not chunk:
            break
        data += chunk
    return data


#: Module of a framework → the integration that wants to know of its import.
HOOKS = {
    "django.core.handlers.base": "django",
    "django.core.handlers.wsgi": "django",
    "django.core.handlers.asgi": "django",
    "django.core.management": "django",
    "celery.app.trace": "celery",
}


def start() -> None:
    """Start the agent, if it is wanted here. What goes wrong is said on one line of stderr at most."""
    if os.environ.get("AGENT_DISABLED", "").strip().lower() not in _NO:
        return
    path = config_path(os.environ)
    state = state_folder(os.environ, path)
    file = os.path.join(state, "plan.bin")
    descriptor = open_own(file)
    found = None
    if descriptor is not None:
        try:
            found = read_header(descriptor, path)
        except (ValueError, EOFError, TypeError, IndexError, OSError):
            found = None  # torn: made again
        finally:
            os.close(descriptor)
    if found is None or not unchanged(found[0]):
        from . import bootstrap

        bootstrap.begin(path, state)
        return
    lookout = Lookout(path, state, file, *found)
    sys.meta_path.insert(0, lookout)
    if found[0][3]:  # a module that is imported before the agent, or by the agent itself, is named
        lookout.give_way()
