"""What all probes of one monitor share: its compiled expressions, its limits, and where it reports.

A pattern binds one monitor to a thousand functions. Expressions are compiled, exceptions judged and rates kept once,
here. A probe holds only what differs from function to function.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ...base import clocks, guard
from ...base.interrupts import ours
from ...base.model import SHADOWED
from ..event import reserve
from ..expression import reasons
from ..expression.evaluate import Expression
from ..failure.severity import NOWHERE, PACK, Severities
from .cost import GIVEN_UP, Cost
from .limits import Escalation, Limiter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...base.model import ExpressionData, MonitorData, Observation, RuleData, StancesData
    from ...measure.tallies import Tallies
    from ..expression.reasons import Failed
    from .spans import Recorder

    Report = Callable[[Observation], object]  # None: nothing was written
    Count = Callable[[str, str], None]

#: Names in an expression that are not parameters.
OWN_NAMES = ("result", "error", "duration")
#: Parameters of these names: as expressions spell them → as the function does.
SHADOWED_NAMES = {SHADOWED + name: name for name in OWN_NAMES}

_NONE: frozenset[str] = frozenset()  # each new one takes 216 bytes


class Capture(Expression):
    """A value that is read when there is something to report."""

    __slots__ = ("name",)

    def __init__(self, name: str, expression: ExpressionData) -> None:
        super().__init__(expression)
        self.name = name

    def __str__(self) -> str:
        return "capture." + self.name


class Exemption(Expression):
    """Which calls are not reported."""

    __slots__ = ("failed",)

    def __init__(self, expression: ExpressionData, failed: Callable[[str, str, BaseException], None]) -> None:
        super().__init__(expression, condition=True)
        self.failed = failed

    def __str__(self) -> str:
        return "unless"

    def holds(self, values: Mapping[str, object]) -> bool:
        """False where the expression raises: the call is reported then."""
        try:
            return bool(self.of(values))
        except ours(BaseException) as error:
            self.failed("exemption-raised", f"unless {self.text}", error)
            return False


class Rule(Expression):
    """A condition that is reported when it holds; with `escalation`, only when it holds too often.

    `evaluate` and `each.evaluate` take the same values.
    """

    __slots__ = ("each", "escalation", "message", "on_error", "raised", "severity")

    def __init__(self, rule: RuleData) -> None:
        when, each, rate = rule["when"], rule["each"], rule["escalate"]
        names = sorted({*when["names"], *(each["names"] if each else ())})
        super().__init__({**when, "names": names}, condition=True)
        self.each = Expression({**each, "names": names}) if each else None
        self.on_error = "error" in names
        self.raised = 0  # times in a row
        self.message = rule["message"]
        self.severity = rule["severity"]
        self.escalation = Escalation(rate[0], rate[1]) if rate else None

    def __str__(self) -> str:
        return "a rule"


class Terms:
    """One monitor, ready for use.

    `report` takes an Observation; `count(reason, monitor)` counts what was not reported; `failed` takes the
    expressions that raised. A `limiter` is passed where modules share it: a rate holds for all functions of a monitor.
    `span` makes what begins and ends one. With `tallies`, calls are counted, unless the monitor has it off. `cost` is
    shared by all that a monitor has. `clock` returns seconds.
    """

    def __init__(
        self,
        monitor: MonitorData,
        *,
        report: Report,
        count: Count,
        failed: Failed | None = None,
        stances: StancesData = NOWHERE,
        limiter: Limiter | None = None,
        span: Recorder | None = None,
        tallies: Tallies | None = None,
        cost: Cost | None = None,
        clock: Callable[[], float] = clocks.IN_CODE[0],
    ) -> None:
        self.monitor = monitor
        self.name = monitor["name"]
        self.report = report
        self.count = count
        self._failed = failed
        self.clock = clock
        self.tallies = tallies if monitor["metrics"] else None
        self.of_pack = monitor["where"].startswith(PACK)
        self.cost = cost or Cost()
        self.span = span
        self.captures = [Capture(name, data) for name, data in monitor["capture"].items()]
        self.rules = [Rule(rule) for rule in monitor["rules"]]
        self.exemption = Exemption(monitor["unless"], self.failed) if monitor["unless"] is not None else None
        self.quiet = frozenset(monitor["quiet_inside"]) if monitor["quiet_inside"] else _NONE
        self.expressions = [*self.captures, *self.rules, *([self.exemption] if self.exemption is not None else ())]
        #: Is each success looked at?
        self.checks_each = bool(self.rules or monitor["audit"]) or monitor["kind"] == "api"
        self.repeats = monitor["repeats"]
        #: Is each failure judged by itself, rather than by its type?
        self.judges_each = bool(
            monitor["escalate"] or self.quiet or self.exemption or any(rule.on_error for rule in self.rules)
        )
        self.thresholds = sorted(monitor["thresholds"])
        self.lowest = self.thresholds[0][0] if self.thresholds else None
        self.severities = Severities(monitor, stances)
        self.limits = limiter or Limiter(monitor["rate_limit"], monitor["sample"])

    def lost(self, doing: str, path: str) -> None:
        """A report on the function at `path` failed. Call this only in an `except ours(BaseException)` block."""
        if isinstance(sys.exc_info()[1], MemoryError):
            reserve.release()
            self.count("not-made", self.name)
            reserve.keep()
        else:
            self.cost.faults.append(doing + path)
            guard.swallow(doing + path)

    def failed(self, reason: str, expression: str, error: BaseException) -> None:
        """An expression of this monitor raised: it has no value, and is counted under `reason`."""
        if self._failed is not None:
            self._failed(reason, self.name, expression, reasons.reason_of(error, expression))
        else:
            self.count(reason, self.name)

    def rule_failed(self, rule: Rule, error: BaseException) -> None:
        """A rule raised. One that does nothing else is not evaluated any more."""
        rule.raised += 1
        self.failed("rule-raised", f"when {rule.text}", error)
        if rule.raised == GIVEN_UP:
            why = reasons.reason_of(error, f"when {rule.text}")
            self.cost.given_up[f"when {rule.text}"] = f"it raised {GIVEN_UP} times in a row, last: {why}"
            self.cost.look()
