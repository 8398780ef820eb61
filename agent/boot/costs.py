"""What the monitors of this process cost, and the budget that each is kept within."""

from ..base import guard, imports
from ..base.interrupts import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..base.model import MonitorData
    from ..live.budget import Budget
    from ..observe.call.cost import Cost
    from .engine import Engine


class Costs:
    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._costs: "dict[str, Cost]" = {}
        self._budget: "Budget | None" = None  # from the first monitor on
        self._kind: "type[Cost] | None" = None  # an import in a function is looked up again each time

    def of(self, monitor: "MonitorData") -> "Cost":
        """The cost of all functions of a monitor together."""
        if self._budget is None:
            self._make_ready()
        cost = self._costs.get(monitor["name"])
        if cost is None:
            if self._kind is None:
                from ..observe.call.cost import Cost

                self._kind = Cost
            cost = self._costs[monitor["name"]] = self._kind(look=self._engine.look)
        cost.budget = monitor["budget"]
        return cost

    def _make_ready(self) -> None:
        """Load all that a look needs: it comes with a call of the host's, when there may be no file to load from."""
        engine = self._engine
        try:
            with imports.Guarded():
                from ..live.budget import Budget

                self._budget = Budget(
                    self._costs,
                    substitute=engine.applier.substitute,
                    tallies=engine.counting.all,
                    report=engine.report,
                    record=engine.reduced,
                    look=engine.look,
                )
        except ours(Exception):
            guard.swallow("making ready to keep monitors within their budgets")

    def look(self) -> None:
        """Called about once a second, if anything happens in the process. Imports nothing and raises nothing."""
        if self._budget is None:
            return
        try:
            self._budget.look()
        except ours(Exception):
            guard.swallow("keeping monitors within their budgets")

    def bring_all_back(self) -> None:
        """Another plan is in force."""
        if self._budget is not None:
            self._budget.bring_all_back()

    def after_fork(self) -> None:
        if self._budget is not None:
            self._budget.thread.after_fork()

    def close(self) -> None:
        if self._budget is not None:
            self._budget.thread.close(0.0)
