"""Counts the calls of each operation: exactly, and so that a call which is counted costs next to nothing.

The code in a monitored function takes an item of a batch, which counts the call; when the batch has none left, it calls
`count`, which counts that call and all of the batch with the duration of the one. A batch is an `io.BytesIO` of line
ends: its position is how many calls were counted, other threads move it in one step, and it can be rewound.

An operation that is called less than a few thousand times a second has batches of no items: each of its calls is
counted at once, with its own duration. Batches grow with the rate, so that `count` is called a few thousand times a
second and not more. They are counted when the next thing is: see `Tallies.look`.

Nobody waits: whoever counts a batch, or grants the next one, holds the only token of it; who finds none goes on.
"""

from __future__ import annotations

import sys
from _io import BytesIO
from typing import TYPE_CHECKING, Any

from ..base import clocks, guard
from ..base.interrupts import ours
from ..hook.code.trampoline import ITEM
from . import layout, users

if sys.version_info < (3, 10):
    from ..hook.until_310.one_at_a_time import one_at_a_time
else:

    def one_at_a_time(work: Callable[..., None], later: object = None) -> Callable[..., None]:  # noqa: ARG001
        return work


if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.model import MonitorData
    from .counts import Counts
    from .tallies import Tallies

    User = Callable[[], object] | None  # returns the id of the current user; None for nobody

#: The most items of a batch. A process that falls silent in a batch has not counted these until it counts again.
MOST = 255
#: A rate from which there are batches, in calls a second; and how often `count` may be called then.
_OFTEN, _A_SECOND = 4000.0, 2000.0
#: Calls after which the rate is looked at.
_EACH = 64
#: Seconds between two looks at what is due.
INTERVAL = 1.0
#: Looks after which a token that nobody has given back is replaced.
_PATIENCE = 5

_ITEMS = ITEM * MOST
_SCALE = layout.SCALE

_bits = int.bit_length
_whole = float.__trunc__
_SEVERITIES = {severity: layout.FAILURES + number for number, severity in enumerate(layout.SEVERITIES)}
_NOTED = {
    "expected": layout.EXPECTED, "slow": layout.SLOW, "rule": layout.RULES, "rate": layout.HELD_RATE,
    "sample": layout.HELD_SAMPLE, "other": layout.HELD_OTHER, "reported": layout.REPORTED,
}  # fmt: skip
_LAST, _TOTAL, _LONGEST = layout.BUCKETS - 1, layout.TOTAL, layout.LONGEST


class Tally:
    """The numbers of one operation under one monitor. All of its functions take the items of `batch`."""

    __slots__ = (
        "_armed",
        "_before",
        "_bucket",
        "_clock",
        "_due",
        "_duration",
        "_longest",
        "_missing",
        "_next",
        "_tallies",
        "_total",
        "_window",
        "attached",
        "batch",
        "calls",
        "granted",
        "monitor",
        "operation",
        "read",
        "row",
        "size",
    )  # fmt: skip

    def __init__(self, tallies: Tallies, monitor: MonitorData, operation: str) -> None:
        self._tallies = tallies
        self._clock = tallies.clock
        self.monitor = monitor
        self.operation = operation
        self.row: Any = None  # a memoryview of 64-bit integers: see `layout`. None until something is counted
        self.attached = False  # is the row one that others can read?
        self.read: Counts | None = None  # what `Tallies.changes` has yielded
        self.batch = BytesIO(_ITEMS)
        self.begin()

    def begin(self) -> None:
        """Begin with a batch of no items."""
        self.batch.seek(MOST)
        self.granted = [0]  # the token: how many items of the batch were granted and are not counted
        self._missing = 0  # looks at which there was no token
        self.size = 0  # of the next batch
        self.calls = 0  # that are counted
        self._next = _EACH  # the call with which `_renew` is called: the batch is counted, or the rate looked at
        self._before = 0  # calls until `_window`
        self._window = self._armed = 0.0
        self._bucket, self._duration = layout.UNTIMED, 0.0  # of the call that the last batch was counted with
        self._longest = 0.0  # seconds
        self._total = self._due = 0.0  # seconds that the row does not have yet; and from how many on it is to have them

    def count(self, start: float) -> None:
        """A call has ended that got no item: count it, and the batch. 0.0: when it began is not known."""
        try:
            now = self._clock()
            if now >= self._tallies.due:
                self._count_and_look(start, now)
                return
            if start:
                duration = total = now - start
                bucket = _bits(_whole(duration * duration * _SCALE))
                if bucket > _LAST:  # noqa: PLR1730  (to call `min` would take longer than all of this line)
                    bucket = _LAST
            else:
                bucket, duration, total = layout.UNTIMED, 0.0, 0.0
            weight = 1
            self.calls = calls = self.calls + 1
            if calls >= self._next:
                weight = self._renew(now, bucket, duration)
                total *= weight
            row = self.row
            if row is None:
                self._tallies.attach(self)
                row = self.row
            # No other thread runs, and none attaches another row, between reading a number and writing it.
            row[bucket] += weight
            self._total = total = self._total + total
            if total > self._due:
                self.write_total()
            if duration > self._longest:
                self._longest = duration
                self._at_least(_LONGEST, _whole(duration * 1e9 + 0.5))
        except ours(OverflowError):  # it began at infinity: a full stack had no room to read the clock then
            self.count(0.0)
        except ours(RecursionError):
            pass
        except ours(Exception):
            guard.swallow("counting a call")

    def count_later(self, start: float) -> tuple[Callable[..., None], tuple[Any, ...], dict[str, Any]]:
        """For another thread: with the duration that the call has now."""
        duration = self._clock() - start if start else None
        return (lambda: self.count(0.0 if duration is None else self._clock() - duration)), (), {}

    count = one_at_a_time(count, count_later)

    def _count_and_look(self, start: float, now: float) -> None:
        self._tallies.due = now + INTERVAL
        self._tallies.notice_fork()
        self.count(start)
        self._tallies.look(now)

    @one_at_a_time
    def write_total(self) -> None:
        """Add the durations to the row. To do so with each call would take as long as all else.

        Between two looks the row has all but a hundredth of them.
        """
        total, self._total = self._total, 0.0
        nanoseconds = _whole(total * 1e9 + 0.5)
        if self.row is None:
            self._tallies.attach(self)
        row = self.row
        row[_TOTAL] += nanoseconds
        self._due = row[_TOTAL] * 1e-11
        self._tallies.unwritten[self] = None

    def settle_total(self) -> None:
        """Have all durations in the row."""
        if self._total > 0.0:
            self.write_total()
        else:
            self._due = 0.0
            self._tallies.unwritten.pop(self, None)

    def _renew(self, now: float, bucket: int, duration: float) -> int:
        """Count the batch, and fill it again. Return the number of calls that one is to count for."""
        try:
            granted = self.granted.pop()
        except ours(IndexError):
            self._tallies.hot[self] = None  # another thread is here, or was interrupted: `settle` finds out
            return 1
        taken = granted - len(self.batch.read()) if granted else 0
        self.calls += taken
        self._bucket, self._duration = bucket, duration
        self.granted.append(self._grant(now, 1 + taken))
        return 1 + taken

    def _grant(self, now: float, weight: int) -> int:
        """Fill the batch according to the rate. Return the number of items."""
        size = self.size
        if size and weight < _A_SECOND * (now - self._armed):
            size, self._before, self._window = 0, self.calls, now
        elif self.calls - self._before >= _EACH:
            elapsed = now - self._window
            seen = self.calls - self._before
            size = 0 if seen < _OFTEN * elapsed else 2 * size + 1
            if size:
                most = seen / (_A_SECOND * elapsed) if elapsed > 0 else MOST
                size = int(min(size, most, MOST))
            self._before, self._window = self.calls, now
        self.size = size
        self._next = self.calls + (1 if size else _EACH)
        if not size:
            return 0
        self._armed = now
        self._tallies.hot[self] = None
        # Not always the same number: the ERP may do one thing at each tenth call.
        number = size - int(now * 1e9) % ((size + 1) // 2 + 1)
        self.batch.seek(MOST - number)
        return number

    def settle(self, *, looks: bool = False) -> None:
        """Count what was taken of the batch, and empty it. Its duration is that of the last call that was measured.

        `looks`: this happens once a second.
        """
        try:
            granted = self.granted.pop()
        except ours(IndexError):
            self._missing += looks
            if self._missing > _PATIENCE:  # an exception of the host's has struck whoever had it
                self.begin()
            return
        self._missing = 0
        taken = granted - len(self.batch.read()) if granted else 0
        self.granted.append(0)
        self._tallies.hot.pop(self, None)
        if taken:
            self.calls += taken
            self._put(self._bucket, taken)
            self._total += taken * self._duration
            self.write_total()

    @one_at_a_time
    def begin_in_memory(self) -> None:
        """Count in a row that nobody else can read, where there is none."""
        row = memoryview(bytearray(layout.ROW)).cast("q")
        if self.row is None:
            self.row, self.attached = row, False

    @one_at_a_time
    def _put(self, index: int, number: int) -> None:
        if self.row is None:
            self._tallies.attach(self)
        self.row[index] += number

    @property
    def is_batched(self) -> bool:
        """Does the code in the function count most calls by an item, of late?"""
        return self.size > 0

    # What is rare.

    def note(self, what: str) -> None:
        """Count what became of a call: a key of `_NOTED`."""
        self._put(_NOTED[what], 1)
        self.look()

    def look(self) -> None:
        """For what is counted without reading the clock."""
        now = self._tallies.clock()
        if now >= self._tallies.due:
            self._tallies.look(now)

    def ended(self, start: float) -> None:
        """Count a call that the code in the function does not count."""
        for _ in self.batch:
            return
        self.count(start)

    def raised(self, start: float | bytes, outcome: str, user: User) -> None:
        """Count a call that raised; one whose start is an item is counted. `outcome`: a severity, or a reason."""
        if type(start) is float:
            self.ended(start)
        if outcome == "expected":
            self._put(layout.EXPECTED, 1)
        elif outcome in _SEVERITIES:
            self.failed(outcome, user)

    def failed(self, severity: str, user: User) -> None:
        """Count a failure, and the user that it affects."""
        self._put(_SEVERITIES[severity], 1)
        self._at_least(layout.LAST_FAILURE, int(clocks.time() * 1e3))
        affected = user() if user is not None else None
        salt = self._tallies.salt() if affected is not None else None
        row = self.row
        if salt is not None and row is not None:
            users.add(_registers(row), users.hashed(affected, salt))
        self.look()

    def dropped(self, start: float | bytes, severity: str, user: User) -> None:
        """As `raised`, and `note` of what the rate holds back: one of many, at the least cost."""
        if user is not None or self.row is None:
            self.raised(start, severity, user)
            self._put(layout.HELD_RATE, 1)
            return
        if type(start) is float:
            for _ in self.batch:
                break
            else:
                self.count(start)
        row, now = self.row, _whole(clocks.time() * 1e3)
        row[_SEVERITIES[severity]] += 1
        row[layout.HELD_RATE] += 1
        if now > row[layout.LAST_FAILURE]:  # noqa: PLR1730  (`max` would take longer)
            row[layout.LAST_FAILURE] = now

    def slow(self, duration: float) -> None:
        """Count that a call took longer than the lowest threshold. Of a batch, it need not be the one measured."""
        self._at_least(layout.LONGEST, int(duration * 1e9))
        self.note("slow")

    def uncounted(self, seconds: float) -> None:
        """Note that calls were not counted for so long."""
        self._put(layout.UNCOUNTED, round(seconds * 1e3))

    @one_at_a_time
    def _at_least(self, index: int, number: int) -> None:
        if self.row is None:
            self._tallies.attach(self)
        self.row[index] = max(self.row[index], number)

    def counts(self) -> Counts:
        """A copy of the numbers."""
        from .counts import Counts

        row = self.row
        if row is None:
            return Counts()
        return Counts(tuple(row[: layout.INTEGERS]), row[layout.INTEGERS :].tobytes())

    @one_at_a_time
    def replace_row(self, row: memoryview | None, *, attached: bool) -> None:
        """Count in another row from now on; what is in one that nobody can read goes along."""
        before, was_attached = self.row, self.attached
        self.row = row
        self.attached = attached
        self._longest = self._due = 0.0
        if before is not None and row is not None and not was_attached:
            for index, number in enumerate(before[: layout.INTEGERS]):
                if index in layout.GREATEST:
                    row[index] = max(row[index], number)
                elif number:
                    row[index] += number
            users.merge(_registers(row), _registers(before))


def _registers(row: memoryview) -> memoryview:
    return row.cast("B")[layout.INTEGERS * 8 :]
