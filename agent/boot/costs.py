"""What the monitors of this process cost, and the budget that each is kept within."""

from ..base import guard, imports
from ..base.interrupts import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.model import MonitorData
    from ..live.budget import Budget
    from ..observe.call.cost import Cost
    from .engine import Engine


class Costs:
    def __init__(self, look: "Callable[[], None]") -> None:
        self._look = look
        self._costs: "dict[str, Cost]" = {}
        self._budget: "Budget | None" = None  # from the first look on

    def of(self, monitor: "MonitorData") -> "Cost":
        """The cost of all functions of a monitor together."""
        from ..observe.call.cost import Cost

        cost = self._costs.get(monitor["name"])
        if cost is None:
            cost = self._costs[monitor["name"]] = Cost(look=self._look)
        cost.budget = monitor["budget"]
        return cost

    def look(self, engine: "Engine") -> None:
        """Called about once a second, if anything happens in the process. Raises nothing."""
        if not self._costs:
            return
        try:
            if self._budget is None:
                with imports.Guarded():
                    from ..live.budget import Budget

                    self._budget = Budget(
                        self._costs,
                        substitute=engine.applier.substitute,
                        tallies=engine.counting.all,
                        report=engine.report,
                        record=engine.reduced,
                        look=self._look,
                    )
            self._budget.look()
        except ours(ImportError):
            self._costs = {}  # the agent's files are gone: removed, or exchanged for newer ones
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
