"""Notices, while a process runs, that its configuration has changed, and finds the plan that another process made.

No thread waits for that: `look` is called by what happens in the process anyway, and looks at the files at most once a
second. Whoever sees the change first has another process compile it (`compile_elsewhere.start`); all find the plan, or
the reasons why there is none, in the state folder.
"""

import os

from ..base import places
from ..base.clocks import monotonic, time
from ..base.interrupts import ours
from . import compile_elsewhere
from . import index as plan_index
from .file import PlanFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Seconds after which a compiler that left nothing is started again, unless one is at work: it was killed. Then twice
#: that, and so on.
_PATIENCE, _LONGEST = 2.0, 64.0


class Reread:
    """What the configuration `path` has become since the plan with `header` was made."""

    def __init__(self, path: str, header: "places.Header", identity: str, file: str = "") -> None:
        """`file`: where the plan is stored."""
        self._path = path
        self._header = header  # of the newest plan or failure that is known
        self._values = dict(header[2])  # the variables that counted when the process started: it may change them
        self._identity = identity
        self._stored: "list[str]" = []
        self._stamps: "list[Any]" = []
        self._store(*filter(None, [file]))
        self._before = header, identity
        self._started: "tuple[Any, ...] | None" = None  # the files as they were when a compiler was started
        self._again, self._pause = 0.0, _PATIENCE
        self.was_first = False  # did this process have it compiled?

    def look(self, state: str) -> "plan_index.Index | plan_index.Bad | None":
        """Return a new plan, or why there is none, once each; None where nothing is new. Raises OSError."""
        if not self._stored:
            self._stored = self._files(state)  # it was compiled by this process, and not read from there
        stored = [places.stamp(file) for file in self._stored]
        same = stored == self._stamps and places.unchanged(self._header, environment=False)
        if same and not _is_due(self._header):
            return None
        self._stamps = stored
        self._before = self._header, self._identity
        for file in self._files(state):
            head = places.open_head(file, self._path)
            if head is None or not self._is_ours(head[1]):
                continue
            index = plan_index.index_of(PlanFile(*head))
            if index is not None:
                self._header = index.header
                self._store(file)
                if index.identity == self._identity:
                    return None  # saved without a change
                self._found(index.identity)
                return index
        bad = plan_index.load_bad(state, self._path)
        if bad is not None and bad.until is None and self._is_ours(bad.header):
            self._header = bad.header
            self._found("")
            return bad
        self._compile(state, monotonic())
        return None

    def again(self) -> None:
        """What `look` returned last could not be used: return it again."""
        self._header, self._identity = self._before

    def _store(self, *files: str) -> None:
        """Somebody may have it compiled again although no file has changed: for what has been learned meanwhile."""
        self._stored = list(files)
        self._stamps = [places.stamp(file) for file in files]

    def _found(self, identity: str) -> None:
        self._identity = identity
        self.was_first, self._started = self._started is not None, None

    def _value(self, name: str) -> "str | None":
        return self._values[name] if name in self._values else os.environ.get(name)

    def _is_ours(self, header: "places.Header") -> bool:
        """Is it fresh, and for the variables that this process started with?"""
        if _is_due(header):
            return False
        same = all(self._value(name) == value for name, value in header[2])
        return same and places.unchanged(header, environment=False)

    def _files(self, state: str) -> "list[str]":
        """Where a plan for this process may be: see `places.variant_of`."""
        first = places.plan_file(state)
        head = places.open_head(first, self._path)
        if head is None:
            return []
        return [first, places.plan_file(state, variant=places.variant_of(head[1], self._value))]

    def _compile(self, state: str, now: float) -> None:
        files = tuple([places.stamp(name) for name, _ in self._header[1]])
        if files != self._started:
            self._pause = _PATIENCE
        elif now < self._again:
            return
        try:
            why = compile_elsewhere.start(self._path, state, self._values)
        except ours(BlockingIOError):
            return
        self._started, self._again = files, now + self._pause
        self._pause = min(2 * self._pause, _LONGEST)
        if why:
            raise OSError(why)


def _is_due(header: "places.Header") -> bool:
    """Is it time to compile again, for what has been learned meanwhile?"""
    return bool(header[9]) and header[9] <= time()
