"""The compiled plan on disk: what every process after the first reads instead of monitors.yaml.

    erp-agent-plan-5 HEXVERSION HEADER-SIZE INDEX-SIZE
    header    (configuration, [(file, stamp)…], [(variable, value)…], does it name modules that are there at start-up)
    index     ({module: numbers of monitors}, {top-level package: numbers of pattern monitors})
    body      ([monitor…] each as bytes of its own, settings, lines about Problems)

Each part is marshalled. `start` reads the header of every process and the index of those that import something; the
body is read when a module that a monitor names is imported, and of its monitors only those are decoded.
"""

import marshal
import os
import sys

from .. import start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..model import MonitorData, PlanData, SentryData, SpoolData

#: Modules that may be there before the agent is: their monitors are applied at once.
_EARLY = (
    "_frozen_importlib",
    "builtins",
    "marshal",
    "posix",
    "nt",
    "time",
    "zipimport",
    "sitecustomize",
    "usercustomize",
)


class Index:
    """A plan as a process uses it. `stale` is why a plan older than the configuration is in force, or empty."""

    __slots__ = ("_known", "_monitors", "_settings", "modules", "path", "problems", "roots", "stale")

    def __init__(
        self,
        path: str,
        modules: "dict[str, Any]",
        roots: "dict[str, Any]",
        monitors: "list[bytes]",
        settings: bytes,
        problems: "list[str]",
    ) -> None:
        self.path = path
        self.modules = modules
        self.roots = roots
        self.problems = problems
        self.stale = ""
        self._monitors = monitors
        self._settings = settings
        self._known: "dict[int, MonitorData]" = {}

    def monitors_of(self, module: str) -> "list[MonitorData]":
        """The monitors whose targets may lie in `module`, in the order of the file."""
        numbers = {*self.modules.get(module, ()), *self.roots.get(module.partition(".")[0], ())}
        return [self._monitor(number) for number in sorted(numbers)]

    def all_monitors(self) -> "list[MonitorData]":
        return [self._monitor(number) for number in range(len(self._monitors))]

    def _monitor(self, number: int) -> "MonitorData":
        monitor = self._known.get(number)
        if monitor is None:
            monitor = self._known[number] = marshal.loads(self._monitors[number])
        return monitor

    def settings(self) -> "tuple[SentryData, SpoolData]":
        return marshal.loads(self._settings)  # type: ignore[no-any-return]


def encode(plan: "PlanData", problems: "list[str]") -> bytes:
    """The bytes to store for `plan`; runs where yaml and jsonschema may be imported."""
    modules: "dict[str, list[int]]" = {}
    roots: "dict[str, list[int]]" = {}
    for number, monitor in enumerate(plan["monitors"]):
        for target in monitor["targets"]:
            path = target["module"] or target["path"]
            if target["pattern"]:
                _add(roots, path.partition(".")[0], number)
            elif target["module"] is not None:
                _add(modules, path, number)
            else:
                parts = path.split(".")
                for end in range(1, len(parts)):
                    _add(modules, ".".join(parts[:end]), number)
    early = not _first_modules().isdisjoint(modules) or not _first_modules().isdisjoint(roots)
    watched = [(name, start.stamp(name)) for name in _watched(plan)]
    body = (
        [marshal.dumps(_plain(monitor)) for monitor in plan["monitors"]],
        marshal.dumps((_plain(plan["sentry"]), _plain(plan["spool"]))),
        problems,
    )
    return _join((plan["path"], watched, list(plan["environment"].items()), early), (modules, roots), body)


def encode_bad(path: str, files: "list[str]", environment: "dict[str, str | None]", problems: "list[str]") -> bytes:
    """The bytes to store for a configuration that gives no plan, so that no process tries it again until it changes."""
    watched = [(name, start.stamp(name)) for name in files]
    return _join((path, watched, list(environment.items()), False), None, problems)


def _join(header: "tuple[Any, ...]", index: "Any", body: "Any") -> bytes:
    first, second = marshal.dumps(header), marshal.dumps(index)
    line = b"%s %x %d %d\n" % (start.FORMAT, sys.hexversion, len(first), len(second))
    return line + first + second + marshal.dumps(body)


def _split(data: bytes) -> "tuple[tuple[Any, ...], Any, Any] | None":
    line, _, rest = data.partition(b"\n")
    words = line.split(b" ")
    if len(words) != 4 or words[0] != start.FORMAT or words[1] != b"%x" % sys.hexversion:
        return None
    try:
        first, second = int(words[2]), int(words[3])
        return (
            marshal.loads(rest[:first]),
            marshal.loads(rest[first : first + second]),
            marshal.loads(rest[first + second :]),
        )
    except (ValueError, EOFError, TypeError):
        return None


def decode(data: bytes, path: str) -> "Index | list[str] | None":
    """The index in `data`, the Problems of a bad configuration, or None where the data is of another making.

    Whether it is still fresh is another question: `is_fresh`.
    """
    parts = _split(data)
    if parts is None or parts[0][0] != path:
        return None
    _, index, body = parts
    if index is None:
        return list(body)
    return Index(path, *index, *body)


def is_fresh(data: bytes) -> bool:
    """Are the files and variables that `data` was made from as they were?"""
    parts = _split(data)
    return parts is not None and start.unchanged(parts[0])


def _first_modules() -> "set[str]":
    """What an interpreter has imported when the agent starts, `.pth` files of the environment included.

    This runs in a process of the same environment, a moment after that: what it has imported since does no harm.
    """
    return {*_EARLY, *sys.stdlib_module_names} if hasattr(sys, "stdlib_module_names") else {*_EARLY, *sys.modules}


def _watched(plan: "PlanData") -> "list[str]":
    """The files that the plan came from, the folders in which included ones may appear, and those of packages."""
    files = list(plan["files"])
    home = os.path.dirname(plan["path"])
    folders = {os.path.dirname(name) for name in files if os.path.dirname(name) != home}
    return files + sorted(folders) + package_folders()


def package_folders() -> "list[str]":
    """Where packages are installed: an installation changes the folder, and with it what `requires` finds."""
    return [entry for entry in sys.path if os.path.basename(entry) in ("site-packages", "dist-packages")]


def _add(table: "dict[str, list[int]]", key: str, number: int) -> None:
    numbers = table.setdefault(key, [])
    if not numbers or numbers[-1] != number:
        numbers.append(number)


def _plain(value: "Any") -> "Any":
    """Exact builtin types, which are all that marshal takes."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def read(file: str) -> "bytes | None":
    """The content of a cache file, or None where there is none or it is not the user's own."""
    descriptor = start.open_own(file)
    if descriptor is None:
        return None
    with open(descriptor, "rb") as stream:
        return stream.read()


def write(file: str, data: bytes) -> None:
    """Store `data` beside `file` and rename it there. Raises OSError."""
    folder = os.path.dirname(file)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    beside = f"{file}.{os.getpid()}.tmp"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
        os.replace(beside, file)
    except OSError:
        os.unlink(beside)
        raise
