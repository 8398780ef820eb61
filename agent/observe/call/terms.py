"""What all probes of one monitor share: its words made ready for use, its limits, and who is told.

A pattern binds one monitor to a thousand functions. Expressions are compiled, exceptions judged and rates kept once,
here, and a probe holds only what differs from function to function.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from ...base import guard
from ...base.interrupts import ours
from ...base.model import SHADOWED
from ..event import reserve
from . import failing
from .evaluate import compile_expression
from .limits import Escalation, Limiter
from .severity import Severities

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ...base.model import ExpressionData, MonitorData, Observation, RuleData
    from .failing import Failed
    from .tally import Tallies

    Report = Callable[[Observation], object]  # None: nothing was written
    Count = Callable[[str, str], None]

#: Names in an expression that are not parameters.
OWN_NAMES = ("result", "error", "duration")
#: What expressions call parameters of these names → their own names.
SHADOWED_NAMES = {SHADOWED + name: name for name in OWN_NAMES}


class Capture:
    """A value that is read when there is something to report."""

    __slots__ = ("evaluate", "name", "names", "text")

    def __init__(self, name: str, expression: ExpressionData) -> None:
        self.name = name
        self.text = expression["text"]
        self.names: Sequence[str] = expression["names"]
        self.evaluate = compile_expression(expression)

    def __str__(self) -> str:
        return "capture." + self.name


class Exemption:
    """Which calls are not reported."""

    __slots__ = ("evaluate", "failed", "names", "text")

    def __init__(self, expression: ExpressionData, failed: Callable[[str, str, BaseException], None]) -> None:
        self.failed = failed
        self.text = expression["text"]
        self.names: Sequence[str] = expression["names"]
        self.evaluate = compile_expression(expression)

    def __str__(self) -> str:
        return "unless"

    def holds(self, values: Mapping[str, object]) -> bool:
        """False where it cannot be told: then the call is reported."""
        try:
            return bool(self.evaluate(*[values[name] for name in self.names]))
        except ours(BaseException) as error:
            self.failed("exemption-raised", f"unless {self.text}", error)
            return False


class Rule:
    """With `escalation`, a rule may hold now and then."""

    __slots__ = ("escalation", "message", "names", "on_error", "severity", "test", "text")

    def __init__(self, rule: RuleData) -> None:
        when, rate = rule["when"], rule["escalate"]
        self.names: Sequence[str] = when["names"]
        self.text = when["text"]
        self.test = compile_expression(when)
        self.on_error = "error" in when["names"]
        self.message = rule["message"]
        self.severity = rule["severity"]
        self.escalation = Escalation(rate[0], rate[1]) if rate else None

    def __str__(self) -> str:
        return "a rule"


class Terms:
    """`report` takes an Observation; `count(reason, monitor)` counts what was not reported; `failed` is given the
    expressions that raised.

    `limiter` and `span` come from elsewhere where they are shared more widely: the rate is the monitor's, also where
    its functions lie in many modules. `sample_rate` is multiplied into the monitor's own. With `tallies`, every call
    is counted. `clock` answers seconds.
    """

    def __init__(
        self,
        monitor: MonitorData,
        *,
        report: Report,
        count: Count,
        failed: Failed | None = None,
        ignore: Sequence[str] = (),
        sample_rate: float = 1.0,
        limiter: Limiter | None = None,
        span: tuple[Callable[[Any], object], Callable[[object, bool], object]] | None = None,
        tallies: Tallies | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.monitor = monitor
        self.name = monitor["name"]
        self.report = report
        self.count = count
        self._failed = failed
        self.clock = clock
        self.tallies = tallies
        self.span = span
        self.captures = [Capture(name, data) for name, data in monitor["capture"].items()]
        self.rules = [Rule(rule) for rule in monitor["rules"]]
        self.exemption = Exemption(monitor["unless"], self.failed) if monitor["unless"] is not None else None
        self.quiet = frozenset(monitor["quiet_inside"])
        self.expressions = [*self.captures, *self.rules, *([self.exemption] if self.exemption is not None else ())]
        #: Is there something to look at after each success?
        self.looks = bool(self.rules or monitor["audit"]) or monitor["kind"] == "api"
        #: What these say of a failure is asked each time; all else is known by its type.
        self.asks = bool(monitor["escalate"] or self.quiet or self.exemption or any(r.on_error for r in self.rules))
        self.thresholds = sorted(monitor["thresholds"])
        self.severities = Severities(monitor, ignore)
        self.limits = limiter or Limiter(monitor["rate_limit"], monitor["sample"] * sample_rate)

    def lost(self, doing: str, path: str) -> None:
        """Call from an `except ours(BaseException)` block only: what happened to the function at `path` is not told."""
        if isinstance(sys.exc_info()[1], MemoryError):
            reserve.release()
            self.count("not-made", self.name)
            reserve.keep()
        else:
            guard.swallow(doing + path)

    def failed(self, reason: str, expression: str, error: BaseException) -> None:
        """An expression of this monitor raised: it loses its own value, and is counted under `reason`."""
        if self._failed is not None:
            self._failed(reason, self.name, expression, failing.why(error, expression))
        else:
            self.count(reason, self.name)
