"""The compiled plan on disk: what every process after the first reads instead of monitors.yaml. `write` writes it.

    erp-agent-plan-25 VERSION HEADER-SIZE INDEX-SIZE SIZE-OF-THE-REST
    header    (configuration, [(file, stamp)…], [(variable, value)…], [(folder, stamp, names, suffix)…],
               does it name modules that are there at start-up, which programs it is for, does it name `__main__`,
               what identifies it, when it is over, when running processes have it
               compiled again, each in seconds since the epoch or 0.0)
    index     ({top-level package: its part's place}, packages with patterns, the settings' place, the table's place)
    monitors  one after the other, in the order of the file
    parts     {module: places of its monitors}, for each top-level package
    settings  (sentry, spool, lines about Problems, the ERP's own packages, do running processes follow a change?
               was a Python that is untested seen to run what is put into functions?);
               then the table: every monitor's size

Each piece is marshalled by itself, followed by a checksum, and read when it is needed: the header by every process, the
index by those that import something, a part with the first import from its package, and a monitor with the module that
it names. A plan in which a checksum is wrong is made again.
A configuration that gives no plan is kept in the same form, with (Problems, since when, good until, is it this
environment that lacks something) for settings.
"""

from ..base import places
from ..base.interrupts import ours
from .file import PlanFile, Unreadable, open_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from ..base.model import MonitorData, SentryData, SpoolData
    from ..base.places import Place

    T = TypeVar("T")


class Index:
    """A plan as a process uses it. `stale` is why a plan older than the configuration is in force, or empty."""

    def __init__(self, plan: PlanFile) -> None:
        self.path: str = plan.header[0]
        self.stale = ""
        self.stale_since = 0.0
        self.reported = False  # another process has reported why
        self.notes: "list[str]" = []  # about this process: what is wrong, but not with the configuration
        self.remake: "Callable[[], Index | None] | None" = None  # where the file is damaged or gone
        self.plan = plan
        self._known: "dict[Place, MonitorData]" = {}
        self.sentry: "SentryData"
        self.spool: "SpoolData"
        self.sentry, self.spool, self.problems, self.packages, self.follows, self.injects = plan.load(plan.top[2])

    @property
    def header(self) -> "places.Header":
        return self.plan.header

    @property
    def file(self) -> str:
        return self.plan.file

    @property
    def identity(self) -> str:
        """The same for plans of the same monitors and settings, whenever they were compiled."""
        return self.header[7].hex() if len(self.header) > 7 else ""

    @property
    def top_packages(self) -> "dict[str, Place]":
        """Of all modules that monitors name."""
        return self.plan.top[0]

    @property
    def roots(self) -> "frozenset[str]":
        """The top-level packages in which a pattern may match any module."""
        return self.plan.top[1]

    def __contains__(self, name: object) -> bool:
        """May a monitor's target lie in this module?"""
        return self._read(lambda: name in self.plan, False)

    @property
    def watches_anything(self) -> bool:
        """Is there a monitor, or a framework whose unseen failures would be sent?"""
        return bool(self.top_packages) or (self.sentry["dsn"] is not None and self.sentry["integrations"] != [])

    def settings(self) -> "tuple[SentryData, SpoolData]":
        return self.sentry, self.spool

    def monitors_of(self, module: str) -> "list[MonitorData]":
        """The monitors whose targets may lie in `module`, in the order of the file."""
        return self._read(lambda: self._monitors_of(module), [])

    @property
    def lines(self) -> "list[MonitorData]":
        """The lines that are watched for a time."""
        return self.monitors_of(places.LINES) if places.LINES in self.top_packages else []

    def all_monitors(self) -> "list[MonitorData]":
        """Decodes every one: for the command line."""
        return self._read(self._all_monitors, [])

    def _all_monitors(self) -> "list[MonitorData]":
        found, at = [], 0
        for size in self.plan.load(self.plan.top[3]):
            found.append((at, size))
            at += size + places.CHECKSUM
        return self._monitors(found)

    def _monitors_of(self, module: str) -> "list[MonitorData]":
        part = self.plan.part(module.partition(".")[0])
        return self._monitors(sorted({*part.get(module, ()), *part.get("*", ())}))

    def _monitors(self, wanted: "list[Place]") -> "list[MonitorData]":
        known = self._known  # of this plan: another thread may begin a newer one
        missing = [place for place in wanted if place not in known]
        known.update(zip(missing, self.plan.load_all(missing)))
        return [known[place] for place in wanted]

    def _read(self, load: "Callable[[], T]", otherwise: "T") -> "T":
        """Return what `load` reads from the plan; where that is gone or damaged, from a newer or a new one."""
        for another in (self._newer, self.remake):
            try:
                return load()
            except ours(Unreadable):
                index = another() if another is not None else None
                if index is not None:
                    self.plan = index.plan
                    self._known = {}
        try:
            return load()
        except ours(Unreadable):
            self.notes.append("the compiled plan is gone: modules imported since are not monitored")
            return otherwise

    def _newer(self) -> "Index | None":
        """Another process has written one: it counts for the modules that this one imports from now on."""
        plan = open_plan(self.plan.file, self.path)
        return index_of(plan) if plan is not None else None


class Bad:
    """A configuration that gave no plan. `since` is when the first one after the last good plan was seen."""

    def __init__(self, plan: PlanFile) -> None:
        self.header = plan.header
        self.problems: "list[str]"
        self.since: float
        self.until: "float | None"  # None: until the configuration changes
        self.lacking: str  # what this environment lacks to read a configuration that may be right; "" for nothing
        self.problems, self.since, self.until, self.lacking = plan.load(plan.top[2])


def load(state: str, path: str) -> "Index | None":
    """The plan that is stored for this Python and these variables, or for other values of them; fresh or not."""
    plan = open_plan(places.plan_file(state), path)
    if plan is None:
        return None
    if not places.unchanged(plan.header):
        other = open_plan(places.plan_file(state, variant=places.variant_of(plan.header)), path)
        plan = other or plan
    return index_of(plan)


def index_of(plan: PlanFile) -> "Index | None":
    """None for one that is damaged, as far as that is seen yet."""
    try:
        plan.hold(places.SMALL_PLAN)
        return Index(plan)
    except ours(ValueError, EOFError, TypeError, IndexError, OSError, Unreadable):
        return None


def load_bad(state: str, path: str) -> "Bad | None":
    plan = open_plan(places.plan_file(state, "rejected"), path)
    try:
        return Bad(plan) if plan is not None else None
    except ours(ValueError, EOFError, TypeError, IndexError, OSError, Unreadable):
        return None


def decode(data: bytes, path: str) -> "Index | Bad | None":
    """What a process would find in a file of these bytes."""
    try:
        found = places.split(data, len(data), lambda _: b"")
        if found is None or found[0][0] != path:
            return None
        header, raw, at = found
        plan = PlanFile("", header, raw, at, (), data[at:])
        return Bad(plan) if plan.top[3] is None else Index(plan)
    except ours(ValueError, EOFError, TypeError, IndexError, Unreadable):
        return None


def report_partial(index: Index) -> None:
    """One line on stderr where not all of the configuration counts."""
    from ..base import guard

    if index.problems:
        more = " (and %d more)" % (len(index.problems) - 1) if len(index.problems) > 1 else ""
        first = index.problems[0]
        guard.write_line(f"not all of the configuration counts: {first}{more}; see: python -m agent validate")
