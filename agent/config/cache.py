"""The compiled plan on disk: what every process after the first reads instead of monitors.yaml.

    erp-agent-plan-10 VERSION HEADER-SIZE INDEX-SIZE SIZE-OF-THE-REST
    header    (configuration, [(file, stamp)…], [(variable, value)…], [(folder, stamp, names, suffix)…],
               does it name modules that are there at start-up, which programs it is for)
    index     ({top-level package: its part's place}, packages with patterns, the settings' place, the table's place)
    monitors  one after the other, in the order of the file
    parts     {module: places of its monitors}, for each top-level package
    settings  (sentry, spool, lines about Problems, the ERP's own packages); then the table: every monitor's size

Each piece is marshalled by itself, and read when it is needed: the header by every process, the index by those that
import something, a part with the first import from its package, and a monitor with the module that it names.
A configuration that gives no plan is kept in the same form, with (Problems, since when, good until) for settings.
"""

import marshal
import os
import sys

from .. import private, start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..model import MonitorData, PlanData, SentryData, SpoolData
    from ..start import Place

#: Modules of the standard library that nothing imports before a program does, the agent neither.
_LATE = {"sqlite3"}

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

#: Plans of at most so many bytes are kept in memory whole once a module of theirs is imported.
_SMALL = 256 * 1024

#: Plans for other values of the environment variables, beside the first.
_MOST_VARIANTS = 8


class Index:
    """A plan as a process uses it. `stale` is why a plan older than the configuration is in force, or empty."""

    def __init__(self, plan: start.PlanFile) -> None:
        self.path: str = plan.header[0]
        self.stale = ""
        self.stale_since = 0.0
        self.notes: "list[str]" = []  # about this process: what is wrong, but not with the configuration
        self._plan = plan
        self._known: "dict[Place, MonitorData]" = {}
        self.sentry: "SentryData"
        self.spool: "SpoolData"
        self.sentry, self.spool, self.problems, self.packages = plan.load(plan.top[2])

    @property
    def header(self) -> "start.Header":
        return self._plan.header

    @property
    def top_packages(self) -> "dict[str, Place]":
        """Of all modules that monitors name."""
        return self._plan.top[0]

    @property
    def roots(self) -> "frozenset[str]":
        """The top-level packages in which a pattern may match any module."""
        return self._plan.top[1]

    def __contains__(self, name: object) -> bool:
        """May a monitor's target lie in this module?"""
        try:
            return name in self._plan
        except start.Replaced:
            return self._reopen() and name in self._plan

    def settings(self) -> "tuple[SentryData, SpoolData]":
        return self.sentry, self.spool

    def monitors_of(self, module: str) -> "list[MonitorData]":
        """The monitors whose targets may lie in `module`, in the order of the file."""
        try:
            return self._monitors_of(module)
        except start.Replaced:
            return self._monitors_of(module) if self._reopen() else []

    def all_monitors(self) -> "list[MonitorData]":
        """Decodes every one: for the command line."""
        places, at = [], 0
        for size in self._plan.load(self._plan.top[3]):
            places.append((at, size))
            at += size
        return [self._monitor(place) for place in places]

    def _monitors_of(self, module: str) -> "list[MonitorData]":
        part = self._plan.part(module.partition(".")[0])
        return [self._monitor(place) for place in sorted({*part.get(module, ()), *part.get("*", ())})]

    def _monitor(self, place: "Place") -> "MonitorData":
        monitor = self._known.get(place)
        if monitor is None:
            monitor = self._known[place] = self._plan.load(place)
        return monitor

    def _reopen(self) -> bool:
        """Another process has written a newer plan: it counts for the modules that this one imports from now on."""
        plan = start.open_plan(self._plan.file, self.path)
        if plan is None:
            self.notes.append("the compiled plan is gone: modules imported since are not monitored")
            return False
        self._plan = plan
        self._known.clear()
        return True


class _Whole(start.PlanFile):
    """A plan that is in memory, and stays as it was."""

    __slots__ = ("_rest",)

    def __init__(self, plan: start.PlanFile, rest: bytes) -> None:
        super().__init__(plan.file, plan.header, plan._raw, 0, ())
        self._rest = rest

    def bytes_at(self, place: "Place") -> bytes:
        return self._rest[place[0] : place[0] + place[1]]


class Bad:
    """A configuration that gave no plan. `since` is when the first one after the last good plan was seen."""

    def __init__(self, plan: start.PlanFile) -> None:
        self.header = plan.header
        self.problems: "list[str]"
        self.since: float
        self.until: "float | None"  # None: until the configuration changes
        self.problems, self.since, self.until = plan.load(plan.top[2])


def encode(plan: "PlanData", problems: "list[str]", folders: "Sequence[tuple[str, str]]" = ()) -> bytes:
    """The bytes to store for `plan`; runs where yaml and jsonschema may be imported.

    `folders` holds (folder, end of the names) where a new file would be included.
    """
    body = bytearray()
    sizes: "list[int]" = []
    parts: "dict[str, dict[str, list[Place]]]" = {}
    patterns: "set[str]" = set()
    for monitor in plan["monitors"]:
        data = marshal.dumps(_plain(monitor))
        place = (len(body), len(data))
        body += data
        sizes.append(len(data))
        for target in monitor["targets"]:
            path = target["module"] or target["path"]
            root = path.partition(".")[0]
            if target["pattern"]:
                patterns.add(root)
                names = ["*"]
            elif target["module"] is not None:
                names = [path]
            else:
                words = path.split(".")
                names = [".".join(words[:end]) for end in range(1, len(words))]
            for name in names:
                places = parts.setdefault(root, {}).setdefault(name, [])
                if not places or places[-1] != place:
                    places.append(place)
    top = {root: _append(body, part) for root, part in parts.items()}
    packages = _packages(plan)
    more: "Any" = plan.get("folders", ())
    settings = _append(body, (_plain(plan["sentry"]), _plain(plan["spool"]), problems, packages))
    table = _append(body, sizes)
    first = _first_modules()
    early = any(name in first for part in parts.values() for name in part) or not first.isdisjoint(patterns)
    header = (
        plan["path"],
        [(name, start.stamp(name)) for name in [*plan["files"], *package_folders()]],
        list(plan["environment"].items()),
        watch([*folders, *[(name, "") for name in more]]),
        early,
        _plain(plan.get("processes")),
    )
    return _join(header, (top, frozenset(patterns), settings, table), bytes(body))


def encode_bad(
    path: str,
    files: "Sequence[str]",
    environment: "dict[str, str | None]",
    problems: "list[str]",
    folders: "Sequence[tuple[str, str]]" = (),
    since: float = 0.0,
    until: "float | None" = None,
) -> bytes:
    """The bytes to store for a configuration that gives no plan, so that no process tries it again until it changes."""
    watched = [(name, start.stamp(name)) for name in files]
    return bad_bytes((path, watched, list(environment.items()), watch(folders), False, None), problems, since, until)


def bad_bytes(header: "start.Header", problems: "list[str]", since: float, until: "float | None" = None) -> bytes:
    body = bytearray()
    settings = _append(body, (problems, since, until))
    return _join(header, ({}, frozenset(), settings, None), bytes(body))


def watch(folders: "Sequence[tuple[str, str]]") -> "list[tuple[str, Any, list[str], str]]":
    return [(name, start.stamp(name), start.listing(name, suffix), suffix) for name, suffix in folders]


def _append(body: bytearray, value: "Any") -> "Place":
    data = marshal.dumps(value)
    body += data
    return (len(body) - len(data), len(data))


def _join(header: "tuple[Any, ...]", index: "Any", body: bytes) -> bytes:
    first, second = marshal.dumps(header), marshal.dumps(index)
    line = b"%s %d.%d %d %d %d\n" % (start.FORMAT, *sys.version_info[:2], len(first), len(second), len(body))
    return line + first + second + body


def _packages(plan: "PlanData") -> "list[str]":
    """The top-level packages that the user's own monitors name: the ERP's, wherever they are installed.

    A framework is not the ERP, also where a monitor of the user's watches a function of it.
    """
    own = {
        target["path"].partition(".")[0]
        for monitor in plan["monitors"]
        if not monitor["where"].startswith("packs/")
        for target in monitor["targets"]
    }
    return sorted(own - {name.partition(".")[0] for name in start.HOOKS})


def _first_modules() -> "set[str]":
    """What an interpreter has imported when the agent starts, `.pth` files of the environment included.

    This runs in a process of the same environment, a moment after that: what it has imported since does no harm.
    """
    return {*_EARLY, *sys.modules, *(set(getattr(sys, "stdlib_module_names", ())) - _LATE)}


def package_folders() -> "list[str]":
    """Where packages are installed: an installation changes the folder, and with it what `requires` finds."""
    return [entry for entry in sys.path if os.path.basename(entry) in ("site-packages", "dist-packages")]


def _plain(value: "Any") -> "Any":
    """Exact builtin types, which are all that marshal takes."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


# ------------------------------------------------------------------------------------------------------------- on disk


def load(state: str, path: str) -> "Index | None":
    """The plan that is stored for this Python and these variables, or for other values of them; fresh or not."""
    plan = start.open_plan(start.plan_file(state), path)
    if plan is None:
        return None
    if not start.unchanged(plan.header):
        other = start.open_plan(start.plan_file(state, variant=start.variant_of(plan.header)), path)
        plan = other or plan
    return index_of(plan)


def index_of(plan: start.PlanFile) -> "Index | None":
    try:
        if os.path.getsize(plan.file) <= _SMALL:
            data = read(plan.file)
            whole = decode(data, plan.header[0]) if data is not None else None
            if isinstance(whole, Index) and whole.header == plan.header:
                return whole
        return Index(plan)
    except (ValueError, EOFError, TypeError, IndexError, OSError, start.Replaced):
        return None


def load_bad(state: str, path: str) -> "Bad | None":
    plan = start.open_plan(start.plan_file(state, "rejected"), path)
    try:
        return Bad(plan) if plan is not None else None
    except (ValueError, EOFError, TypeError, IndexError, OSError, start.Replaced):
        return None


def decode(data: bytes, path: str) -> "Index | Bad | None":
    """What a process would find in a file of these bytes."""
    line, _, rest = data.partition(b"\n")
    words = line.split(b" ")
    if len(words) != 5 or words[0] != start.FORMAT or words[1] != b"%d.%d" % sys.version_info[:2]:
        return None
    try:
        first, second, third = int(words[2]), int(words[3]), int(words[4])
        header = marshal.loads(rest[:first])
        if header[0] != path or len(rest) != first + second + third:
            return None
        plan = start.PlanFile("", header, rest[first : first + second], 0, ())
        whole = _Whole(plan, rest[first + second :])
        return Bad(whole) if whole.top[3] is None else Index(whole)
    except (ValueError, EOFError, TypeError, IndexError):
        return None


def store(state: str, decoded: "Index | Bad", data: bytes) -> None:
    """Keep what a configuration gave. Raises OSError."""
    rejected = start.plan_file(state, "rejected")
    if isinstance(decoded, Bad):
        write(rejected, data)
        return
    first = start.open_plan(start.plan_file(state), decoded.path)
    if (
        first is not None
        and start.unchanged(first.header, environment=False)
        and not start.unchanged(first.header)
        and [name for name, _ in first.header[2]] == [name for name, _ in decoded.header[2]]
    ):
        write(start.plan_file(state, variant=start.variant_of(decoded.header)), data)
        _prune(state)
    else:
        write(start.plan_file(state), data)
    try:
        os.unlink(rejected)
    except OSError:
        pass


def _prune(state: str) -> None:
    begin = os.path.basename(start.plan_file(state))[: -len(".bin")] + "-"
    names = [os.path.join(state, name) for name in os.listdir(state) if name.startswith(begin)]
    names.sort(key=lambda name: (start.stamp(name) or (0,))[0])
    for name in names[:-_MOST_VARIANTS]:
        try:
            os.unlink(name)
        except OSError:
            continue


def read(file: str) -> "bytes | None":
    """The content of a cache file, or None where there is none or it is not the user's own."""
    descriptor = start.open_own(file)
    if descriptor is None:
        return None
    with open(descriptor, "rb") as stream:
        return stream.read()


def write(file: str, data: bytes) -> None:
    """Store `data` beside `file` and rename it there. Raises OSError."""
    private.make(os.path.dirname(file))
    beside = f"{file}.{os.getpid()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(beside, flags, 0o600)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
        os.replace(beside, file)
    except OSError:
        os.unlink(beside)
        raise
