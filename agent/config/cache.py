"""The compiled plan on disk: what every process after the first reads instead of monitors.yaml.

One file for each configuration holds a marshalled tuple: what the plan was made from, so that a change is noticed by a
few `stat` calls; the index, module name → numbers of monitors; and each monitor as bytes of its own, so that only those
whose module is imported are ever decoded. Reading it imports nothing.
"""

import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..model import MonitorData, PlanData, SentryData, SpoolData

FORMAT = 3


class Index:
    """A plan as a process uses it. `stale` is why a plan older than the configuration is in force, or empty."""

    __slots__ = ("_known", "_monitors", "_settings", "modules", "path", "problems", "roots", "stale")

    def __init__(self, path: str, modules: "dict[str, Any]", roots: "dict[str, Any]", monitors: "list[bytes]",
                 settings: bytes, problems: "list[str]") -> None:  # fmt: skip
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
    return marshal.dumps(
        (
            FORMAT,
            sys.hexversion,
            plan["path"],
            [(name, _stamp(name)) for name in _watched(plan)],
            list(plan["environment"].items()),
            modules,
            roots,
            [marshal.dumps(_plain(monitor)) for monitor in plan["monitors"]],
            marshal.dumps((_plain(plan["sentry"]), _plain(plan["spool"]))),
            problems,
        )
    )


def encode_bad(path: str, files: "list[str]", environment: "dict[str, str | None]", problems: "list[str]") -> bytes:
    """The bytes to store for a configuration that gives no plan, so that no process tries it again until it changes."""
    watched = [(name, _stamp(name)) for name in files]
    return marshal.dumps((FORMAT, sys.hexversion, path, watched, list(environment.items()), None, problems))


def decode(data: bytes, path: str) -> "Index | list[str] | None":
    """The index in `data`, the Problems of a bad configuration, or None where the data is of another making.

    Whether it is still fresh is another question: `is_fresh`.
    """
    try:
        content = marshal.loads(data)
    except (ValueError, EOFError, TypeError):
        return None
    if type(content) is not tuple or len(content) < 7 or content[:2] != (FORMAT, sys.hexversion) or content[2] != path:
        return None
    if content[5] is None:
        return list(content[6])
    return Index(path, *content[5:10])


def is_fresh(data: bytes) -> bool:
    """Are the files and variables that `data` was made from as they were?"""
    content = marshal.loads(data)
    return _unchanged(content[3], content[4])


def _unchanged(watched: "list[tuple[str, object]]", environment: "list[tuple[str, str | None]]") -> bool:
    for name, value in environment:
        if os.environ.get(name) != value:
            return False
    return all(_stamp(name) == stamp for name, stamp in watched)


def _stamp(name: str) -> "tuple[int, int, int] | None":
    try:
        status = os.stat(name)
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)


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
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(file, flags)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if hasattr(os, "getuid") and status.st_uid != os.getuid():
            return None
        data = b""
        while len(data) < status.st_size:
            chunk = os.read(descriptor, status.st_size - len(data))
            if not chunk:
                break
            data += chunk
        return data
    finally:
        os.close(descriptor)


def write(file: str, data: bytes) -> None:
    """Store `data` beside `file` and rename it there. Raises OSError."""
    folder = os.path.dirname(file)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    beside = "%s.%d.tmp" % (file, os.getpid())
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
        os.replace(beside, file)
    except OSError:
        os.unlink(beside)
        raise
