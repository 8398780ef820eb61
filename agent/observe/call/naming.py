"""Fills in `{name}`, `{qualname}`, `{module}`, `{class}` and `{route}` in the texts of a monitor.

The name in the target counts: what a decorator puts in the place of a function may have any name. `{class}` is the
class that a method is called on, which several may inherit. For a function in no class, it is the last name of its
module. `{route}` is the method and route of the request that is being served, such as `GET /orders/<int:number>`.
"""

from typing import Any, Optional

from ...base.records import Record
from ...base.slots import ancestors_of, name_of, qualname_of
from ..around import work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FunctionType

    from ...base.model import MonitorData
    from ...hook.targets.resolve import Found

_MOST = 1_000  # classes of one method, or routes, that are remembered

#: In place of a route where there is none.
NO_ROUTE = "request"


class Named(Record):
    """A monitored function under the names that its monitor gives it."""

    operation: str
    path: str
    monitor: Any  # MonitorData, with the placeholders of its `detail` filled in


class ByClass:
    """The same for each class that a method may be called on."""

    needs_argument = True  # the first, which takes a microsecond to read

    __slots__ = ("_known", "_names", "_parent", "_template")

    def __init__(self, template: Named, names: "dict[str, str]", parent: type) -> None:
        self._template, self._names, self._parent = template, names, parent
        self._known: "dict[str, Named]" = {}

    def of(self, first: object) -> "Optional[Named]":
        """For a call whose first argument this is; None where that is of no such class."""
        cls: Any = first if issubclass(type(first), type) else type(first)
        if self._parent not in ancestors_of(cls):
            return None
        name = name_of(cls)
        known = self._known.get(name)
        if known is None:
            known = _filled(self._template, {**self._names, "{class}": name})
            if len(self._known) < _MOST:
                self._known[name] = known
        return known


class ByRoute:
    """The same for each route whose request a call may serve."""

    needs_argument = False

    __slots__ = ("_known", "_names", "_template")

    def __init__(self, template: Named, names: "dict[str, str]") -> None:
        self._template, self._names = template, names
        self._known: "dict[str, Named]" = {}

    def of(self, _first: object) -> "Optional[Named]":
        """For a call in the current piece of work; None where that has no route."""
        doing = work.current()
        route = (doing.called or doing.kind.route(doing.about)) if doing is not None else None
        if type(route) is not str or not route:
            return None
        known = self._known.get(route)
        if known is None:
            known = _filled(self._template, {**self._names, "{route}": route})
            if len(self._known) < _MOST:
                self._known[route] = known
        return known


def named(
    monitor: "MonitorData", found: "Found", written: "FunctionType"
) -> "tuple[Named, Optional[ByClass | ByRoute]]":
    """The names of all calls, and, where the monitor uses `{class}` or `{route}`, those of calls that show them.

    `written` is the function that a person wrote, as far as it was found.
    """
    if monitor["operation"] == "{name}" and not monitor["detail"]:  # as in most monitors
        return Named(found.name, found.path, monitor), None
    texts = (monitor["operation"], *monitor["detail"].values())
    if "{" not in "".join(texts):
        return Named(monitor["operation"], found.path, monitor), None
    parent = found.parent if issubclass(type(found.parent), type) else None
    qualname, module = written.__qualname__, written.__module__ or ""
    if written.__name__ != found.name:
        qualname = f"{qualname_of(parent)}.{found.name}" if parent is not None else found.name
    names = {"{qualname}": qualname, "{name}": found.name, "{module}": module}
    template = Named(monitor["operation"], found.path, monitor)
    within = name_of(parent) if parent is not None else module.rpartition(".")[2]
    usual = _filled(template, {**names, "{class}": within, "{route}": NO_ROUTE})
    if any("{route}" in text for text in texts):
        return usual, ByRoute(template, {**names, "{class}": within})
    if parent is None or type(found.raw) is staticmethod:
        return usual, None
    by_class = any("{class}" in text for text in texts)
    return usual, ByClass(template, names, parent) if by_class else None


def _filled(template: Named, names: "dict[str, str]") -> Named:
    monitor = template.monitor
    if monitor["detail"]:
        detail = {key: _fill(text, names) for key, text in monitor["detail"].items()}
        if detail != monitor["detail"]:
            monitor = {**monitor, "detail": detail}
    return Named(_fill(template.operation, names), template.path, monitor)


def _fill(text: str, names: "dict[str, str]") -> str:
    for name, value in names.items():  # braces that mean something else, as in /orders/{number}, stay
        if "{" not in text:
            break
        text = text.replace(name, value)
    return text
