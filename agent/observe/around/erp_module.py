"""The module of the ERP that a report belongs to which no monitor of the ERP's is around: that of its view or task.

It is the outermost package of the view's dotted path that `modules` declares: `shop.sales.views.orders` belongs to
`sales`. Code of libraries belongs to none. Without a view that has a module, a failure belongs to the innermost code it
passed that has a module. All fields of GraphQL have one view: one that fails belongs to the innermost code that has a
module other than the view's, of what its resolver had called (`shop.graphql.orders.resolve`: `orders`).
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..event.the_erp import looks_like_the_erp
from ..failure.severity import PACK
from ..failure.synthetic import NO_MONITOR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from ...base.model import Observation

#: The monitor of fields of GraphQL that fail.
FIELD = "unmonitored.graphql"
_DEEPEST = 2_000

#: Without a `__getattr__` of the host's.
_namespace: Any = ModuleType.__dict__["__dict__"].__get__  # type: ignore[index]


def placed(observation: Observation, context: Mapping[str, object], owners: Mapping[str, str | None]) -> Observation:
    """The observation; its monitor with module and owner, where both are known only now.

    `context` is what `context.collect` returned, `owners` has all declared modules. A monitor of the ERP's own without
    a module stays as it is.
    """
    monitor = observation.monitor
    if monitor["module"] is not None or not owners or not monitor["where"].startswith((PACK, NO_MONITOR)):
        return observation
    request = context.get("request")
    view = request.get("view") if type(request) is dict else None
    paths = [path for path in (observation.function, view, context.get("transaction")) if type(path) is str]
    name = next(filter(None, (of_code(path, owners) for path in paths)), None)
    if name is None or monitor["name"] == FIELD:
        others = {each: owner for each, owner in owners.items() if each != name}
        name = _of_traceback(observation.traceback, others) or name
    if name is None:
        return observation
    return observation._replace(monitor={**monitor, "module": name, "owner": owners[name]})


def _of_traceback(traceback: TracebackType | None, owners: Mapping[str, object]) -> str | None:
    found = None
    for _ in range(_DEEPEST):
        if traceback is None:
            break
        module = traceback.tb_frame.f_globals.get("__name__")
        if type(module) is str:
            found = of_code(module, owners) or found
        traceback = traceback.tb_next
    return found


def of_code(path: str, declared: Mapping[str, object]) -> str | None:
    """The declared module that the function at this dotted path belongs to; None where it belongs to none."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        module = sys.modules.get(".".join(parts[:length]))
        if module is not None:
            file = _namespace(module).get("__file__") if issubclass(type(module), ModuleType) else None
            if type(file) is not str or not looks_like_the_erp(file):
                return None
            return next((part for part in parts[:length] if part in declared), None)
    return None
