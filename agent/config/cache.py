"""The compiled plan on disk: what every process after the first reads instead of monitors.yaml. `store` writes it.

    erp-agent-plan-13 VERSION HEADER-SIZE INDEX-SIZE SIZE-OF-THE-REST
    header    (configuration, [(file, stamp)…], [(variable, value)…], [(folder, stamp, names, suffix)…],
               does it name modules that are there at start-up, which programs it is for, does it name `__main__`)
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

from .. import start
from ..plan import PlanFile, Replaced, open_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..model import MonitorData, SentryData, SpoolData
    from ..start import Place

#: Plans of at most so many bytes are kept in memory whole once a module of theirs is imported.
_SMALL = 256 * 1024


class Index:
    """A plan as a process uses it. `stale` is why a plan older than the configuration is in force, or empty."""

    def __init__(self, plan: PlanFile) -> None:
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
        except Replaced:
            return self._reopen() and name in self._plan

    def settings(self) -> "tuple[SentryData, SpoolData]":
        return self.sentry, self.spool

    def monitors_of(self, module: str) -> "list[MonitorData]":
        """The monitors whose targets may lie in `module`, in the order of the file."""
        try:
            return self._monitors_of(module)
        except Replaced:
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
        plan = open_plan(self._plan.file, self.path)
        if plan is None:
            self.notes.append("the compiled plan is gone: modules imported since are not monitored")
            return False
        self._plan = plan
        self._known.clear()
        return True


class _Whole(PlanFile):
    """A plan that is in memory, and stays as it was."""

    __slots__ = ("_rest",)

    def __init__(self, plan: PlanFile, rest: bytes) -> None:
        super().__init__(plan.file, plan.header, plan._raw, 0, ())
        self._rest = rest

    def bytes_at(self, place: "Place") -> bytes:
        return self._rest[place[0] : place[0] + place[1]]


class Bad:
    """A configuration that gave no plan. `since` is when the first one after the last good plan was seen."""

    def __init__(self, plan: PlanFile) -> None:
        self.header = plan.header
        self.problems: "list[str]"
        self.since: float
        self.until: "float | None"  # None: until the configuration changes
        self.problems, self.since, self.until = plan.load(plan.top[2])


def load(state: str, path: str) -> "Index | None":
    """The plan that is stored for this Python and these variables, or for other values of them; fresh or not."""
    plan = open_plan(start.plan_file(state), path)
    if plan is None:
        return None
    if not start.unchanged(plan.header):
        other = open_plan(start.plan_file(state, variant=start.variant_of(plan.header)), path)
        plan = other or plan
    return index_of(plan)


def index_of(plan: PlanFile) -> "Index | None":
    try:
        if os.path.getsize(plan.file) <= _SMALL:
            data = read(plan.file)
            whole = decode(data, plan.header[0]) if data is not None else None
            if isinstance(whole, Index) and whole.header == plan.header:
                return whole
        return Index(plan)
    except (ValueError, EOFError, TypeError, IndexError, OSError, Replaced):
        return None


def load_bad(state: str, path: str) -> "Bad | None":
    plan = open_plan(start.plan_file(state, "rejected"), path)
    try:
        return Bad(plan) if plan is not None else None
    except (ValueError, EOFError, TypeError, IndexError, OSError, Replaced):
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
        plan = PlanFile("", header, rest[first : first + second], 0, ())
        whole = _Whole(plan, rest[first + second :])
        return Bad(whole) if whole.top[3] is None else Index(whole)
    except (ValueError, EOFError, TypeError, IndexError):
        return None


def read(file: str) -> "bytes | None":
    """The content of a cache file, or None where there is none or it is not the user's own."""
    opened = start.open_own(file)
    if opened is None:
        return None
    with open(opened[0], "rb") as stream:
        return stream.read()
