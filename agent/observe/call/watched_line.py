"""A line of a function that somebody watches: what its local variables hold when it is come to.

Nothing of it is sent. A line may be in the hottest loop of the ERP: a pass that is not looked at costs two reads of a
counter and a clock, only so much of each second is given to looking, and a line that costs too much all the same is
given up.
"""

from __future__ import annotations

import sys
from itertools import count
from typing import TYPE_CHECKING

from ...base import clocks
from ...base.interrupts import ours
from ...base.model import SHADOWED, Captured, Observation
from ..expression import reasons
from . import callers, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType, FrameType

    from ...base.model import LineData
    from .terms import Capture, Terms

#: Seconds that a pass takes which is only counted: about three times an empty call.
_A_PASS = 0.25e-6
_TURN = 1.0  # seconds between two looks at what it has cost
_PATIENCE = 3  # of these looks in a row above the budget, and the line is given up
_MOST_LOCALS = 40

#: From CPython 3.13 on, reading the variables of a frame leaves nothing behind in it.
_LEAVES_NOTHING = sys.version_info >= (3, 13)
#: What the function may use to see what is left behind.
_LOOKS = frozenset(("locals", "vars", "dir", "eval", "exec"))


class WatchedLine:
    """`look` and `counted` are called about once a second; `seen` is how often the line was come to.

    `give_up(reason)` is called once it has cost more than its budget.
    """

    def __init__(
        self,
        terms: Terms,
        line: LineData,
        *,
        look: Callable[[], None],
        counted: Callable[[], None],
        give_up: Callable[[str], None],
    ) -> None:
        self.terms = terms
        self._place = f"{line['file']}:{line['number']}"
        self._look, self._counted, self._give_up = look, counted, give_up
        self._budget = terms.monitor["budget"]
        self._condition = terms.rules[0] if terms.rules else None
        self.begin()

    def begin(self) -> None:
        """Count from zero, as in a forked child."""
        self._counter = count(1)
        self.seen = self.looked = 0
        self._began = self.terms.clock()
        self._until = self._began + _TURN
        self._before = self._over = 0
        self._spent = 0.0
        self._over_now = False
        self.failure = ""  # of the condition, the last one
        self.closed = False

    def come(self) -> None:
        """The execution of a function comes to the line. Called by the code that is injected there."""
        self.seen = next(self._counter)
        if self.closed:
            return
        try:
            began = self.terms.clock()
            if began >= self._until:
                self._turn(began)
            if self._over_now:
                return
            frame = sys._getframe(1)
            verdict.quietly(frame, lambda: self._show(frame))
            self._spent += self.terms.clock() - began
            self._over_now = self._budget is not None and self._spent > self._budget * _TURN
        except ours(RecursionError):
            pass  # the function has no room for much more; where there is none for this check, what is injected goes on
        except ours(BaseException):
            self.terms.lost("watching the line ", self._place)

    def _turn(self, now: float) -> None:
        elapsed, passes = now - self._began, self.seen - self._before
        share = passes * _A_PASS / elapsed
        self._over = self._over + 1 if self._budget is not None and share > self._budget else 0
        self._began, self._until, self._before = now, now + _TURN, self.seen
        self._spent, self._over_now = 0.0, False
        self._counted()
        if self._over >= _PATIENCE:
            self.closed = True
            each = f"{passes / elapsed:,.0f} times a second"
            self._give_up(f"it is come to {each}, which cost {share:.2%} of the time (budget {self._budget:.2%})")
        self._look()

    def _show(self, frame: FrameType) -> None:
        terms, condition = self.terms, self._condition
        if condition is None:
            suppressed = terms.limits.admit("line")
            if suppressed is None:
                return
        self.looked += 1
        values = variables(frame)
        if condition is not None:
            if not self._holds(values):
                return
            suppressed = terms.limits.admit("line")
            if suppressed is None:
                return
        code = frame.f_code
        name = getattr(code, "co_qualname", code.co_name)
        terms.report(
            Observation(
                monitor=terms.monitor,
                operation=name,
                function=f"{dict.get(frame.f_globals, '__name__')}.{name}",
                report="line",
                severity="info",
                message=self._place,
                frame=frame,
                operations=[*callers.operations(frame), name],
                captured=self._captured(values),
                suppressed=suppressed or 0,
                ended=clocks.time(),
                more={"seen": self.seen, "looked": self.looked},
            )
        )

    def _holds(self, values: Mapping[str, object]) -> bool:
        condition = self._condition
        assert condition is not None
        if any(name not in values for name in condition.names):
            return False  # a variable that is set further down
        try:
            return bool(condition.of(values))
        except ours(BaseException) as error:
            self.terms.failed("rule-raised", f"when {condition.text}", error)
            self.failure = reasons.reason_of(error, condition.text)
            return False

    def _captured(self, values: Mapping[str, object]) -> Captured:
        if not self.terms.captures:
            names = [name for name in values if name.isidentifier()]
            failed = {f"{len(names) - _MOST_LOCALS} more": "too many variables"} if len(names) > _MOST_LOCALS else {}
            return Captured({name: values[name] for name in names[:_MOST_LOCALS]}, failed)
        found: dict[str, object] = {}
        failed = {}
        for capture in self.terms.captures:
            missing = [name for name in capture.names if name not in values]
            if missing:
                failed[capture.name] = f"{missing[0].removeprefix(SHADOWED)} is not set here yet"
                continue
            try:
                found[capture.name] = capture.of(values)
            except ours(BaseException) as error:
                failed[capture.name] = reasons.reason_of(error, capture.text)
        return Captured(found, failed)

    def why_not(self, code: CodeType) -> str:
        """Why this function cannot be watched: it has no variable that an expression names. "" where it can."""
        known = {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
        expressions: list[Capture] = [*self.terms.captures, *([self._condition] if self._condition else [])]  # type: ignore[list-item]
        for each in expressions:
            for name in each.names:
                if name.removeprefix(SHADOWED) not in known:
                    has = ", ".join(sorted(name for name in known if name.isidentifier())) or "none"
                    return f"{each.text!r} names no local variable of {code.co_name}: it has {has}"
        return ""


def variables(frame: FrameType) -> dict[str, object]:
    """The local variables of a frame, by name, and so that nothing of this is left in the frame."""
    held = frame.f_locals
    found = dict(held)
    if not _LEAVES_NOTHING and frame.f_trace is None and _LOOKS.isdisjoint(frame.f_code.co_names):
        held.clear()  # or else what the function drops would live until it ends
    for name in ("result", "error", "duration"):
        if name in found:
            found[SHADOWED + name] = found[name]
    return found
