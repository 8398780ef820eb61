"""What `{name}`, `{qualname}`, `{module}` and `{class}` stand for in a monitor's words.

A target's own name counts: what a decorator puts in the place of a function may be called anything. `{class}` is the
class that a method is called on, which several may inherit; of a function in no class, the last name of its module.
"""

from typing import Any, NamedTuple, Optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FunctionType

    from ...base.model import MonitorData
    from ...hook.targets.resolve import Found

_MOST = 1_000  # classes of one method whose words are remembered

_name_of = type.__dict__["__name__"].__get__  # whatever a metaclass makes of it
_qualname_of = type.__dict__["__qualname__"].__get__
_ancestors_of = type.__dict__["__mro__"].__get__


class Called(NamedTuple):  # annotated with types, not with text: see model.py
    """A monitored function in a monitor's words."""

    operation: str
    path: str
    monitor: Any  # MonitorData, with the placeholders of its `detail` filled in


class ByClass:
    """The same for each class that it may be called on."""

    __slots__ = ("_called", "_known", "_names", "_parent")

    def __init__(self, called: Called, names: "dict[str, str]", parent: type) -> None:
        self._called, self._names, self._parent = called, names, parent
        self._known: "dict[str, Called]" = {}

    def of(self, first: object) -> "Optional[Called]":
        """For a call whose first argument this is; None where that is of no such class."""
        cls: Any = first if issubclass(type(first), type) else type(first)
        if self._parent not in _ancestors_of(cls):
            return None
        name = _name_of(cls)
        called = self._known.get(name)
        if called is None:
            called = _filled(self._called, {**self._names, "{class}": name})
            if len(self._known) < _MOST:
                self._known[name] = called
        return called


def words(monitor: "MonitorData", found: "Found", written: "FunctionType") -> "tuple[Called, Optional[ByClass]]":
    """What counts for all calls, and, where a class is named, what counts for those that show one.

    `written` is the function that a person wrote, as far as it was found.
    """
    parent = found.parent if issubclass(type(found.parent), type) else None
    qualname, module = written.__qualname__, written.__module__ or ""
    if written.__name__ != found.name:
        qualname = f"{_qualname_of(parent)}.{found.name}" if parent is not None else found.name
    names = {"{name}": found.name, "{qualname}": qualname, "{module}": module}
    template = Called(monitor["operation"], found.path, monitor)
    within = _name_of(parent) if parent is not None else module.rpartition(".")[2]
    usual = _filled(template, {**names, "{class}": within})
    if parent is None or type(found.raw) is staticmethod:
        return usual, None
    named = any("{class}" in text for text in (monitor["operation"], *monitor["detail"].values()))
    return usual, ByClass(template, names, parent) if named else None


def _filled(called: Called, names: "dict[str, str]") -> Called:
    monitor = called.monitor
    detail = {key: _fill(text, names) for key, text in monitor["detail"].items()}
    if detail != monitor["detail"]:
        monitor = {**monitor, "detail": detail}
    return Called(_fill(called.operation, names), called.path, monitor)


def _fill(template: str, names: "dict[str, str]") -> str:
    if "{" in template:  # braces that mean something else, as in /orders/{number}, stay
        for name, value in names.items():
            template = template.replace(name, value)
    return template
