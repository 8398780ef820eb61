"""How severe an exception is to a monitor, and whether it is a failure at all."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ...base.model import SEVERITIES
from ...base.slots import GROUPS, ancestors_of, members_of, module_of, name_of, qualname_of
from ..event.represent import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...base.model import MonitorData

_MOST_TYPES = 500  # of exceptions that are remembered: a host may make classes at run time
_MOST_MEMBERS = 100  # of a group, that are looked at
_MOST_STEPS = 10_000  # through a group and the groups in it

#: Control flow in the form of exceptions: counted, not reported, unless a monitor's `errors` names it.
_CONTROL_FLOW = (
    "StopIteration",
    "StopAsyncIteration",
    "celery.exceptions.TaskPredicate",  # Retry, Ignore, Reject
    "concurrent.futures._base.CancelledError",
    "click.exceptions.Exit",
    "tornado.gen.Return",
)

#: How `where` of a pack's monitor begins. What a pack expects does not count for the ERP's own operations.
_PACK = "packs/"

#: The exceptions that monitors of this process expect, by name; and for exception types, whether one of those names
#: means them.
expected_anywhere: set[str] = set()
_expected_types: dict[type, bool] = {}


def is_expected_anywhere(kind: type[BaseException]) -> bool:
    """Does any monitor of this process name this exception, or a base class of it, in `expect`?"""
    if not expected_anywhere:
        return False
    known = _expected_types.get(kind)
    if known is None:
        if len(_expected_types) >= _MOST_TYPES:
            _expected_types.clear()
        classes = _specific(kind)
        known = _expected_types[kind] = any(_is_named(cls, each) for cls in classes for each in expected_anywhere)
    return known


def _specific(kind: type[BaseException]) -> tuple[type, ...]:
    """The class and its bases, without those that every exception has."""
    return tuple([cls for cls in ancestors_of(kind) if cls not in (Exception, BaseException, object)])


class Severities:
    """Exception type → severity, or None where it is expected. The results are kept by type."""

    def __init__(self, monitor: MonitorData, ignore: Sequence[str]) -> None:
        self._default = monitor["severity"]
        self._errors = monitor["errors"]
        self._expected = monitor["expect"]
        self._ignored = ignore
        self._has_stance = not monitor["where"].startswith(_PACK)
        if self._has_stance and not expected_anywhere.issuperset(monitor["expect"]):
            expected_anywhere.update(monitor["expect"])
            _expected_types.clear()
        self._known: dict[type, str | None] = {}
        #: For types of exceptions that decide alone: (severity, the type's dotted name), or (None, the reason to count)
        #: where it is not reported. No group, and none that leaves little memory or stack for a report.
        self.by_type: dict[type, tuple[str | None, str]] = {}

    def of_error(self, error: BaseException) -> str | None:
        """A group is as severe as the worst of its members, and expected only if all of them are."""
        if not issubclass(type(error), GROUPS):
            return self._of_kind(type(error))
        leaves, is_all = _search(error, lambda kind: self._decide(kind) is not None)
        found = [self._of_kind(type(each)) for each in leaves]
        if not is_all:
            found.append(self._default)  # the others may be failures
        return max(filter(None, found), key=SEVERITIES.index, default=None)

    def expects(self, kind: type[BaseException]) -> bool:
        """Is this exception in the monitor's own `expect`?"""
        if is_control_flow(kind):
            return False
        return any(_is_named(cls, dotted) for cls in ancestors_of(kind) for dotted in self._expected)

    def stance_on(self, kind: type[BaseException]) -> str | None:
        """Where the monitor names this type: "graded" in `errors`, "expected" in `expect`; None in neither.

        `Exception` in a list counts for the monitor's own calls only.
        """
        if self._has_stance:
            for cls in _specific(kind):
                if any(_is_named(cls, dotted) for dotted in self._errors):
                    return "graded"
                if any(_is_named(cls, dotted) for dotted in self._expected):
                    return "expected"
        return None

    def _of_kind(self, kind: type[BaseException]) -> str | None:
        if kind in self._known:
            return self._known[kind]
        if len(self._known) >= _MOST_TYPES:
            self._known.clear()
            self.by_type.clear()
        severity = self._known[kind] = self._decide(kind)
        if issubclass(kind, Exception) and not issubclass(kind, (MemoryError, RecursionError)):
            word = type_name(kind) if severity else "control-flow" if is_control_flow(kind) else "expected"
            self.by_type[kind] = (severity, word)
        return severity

    def _decide(self, kind: type[BaseException]) -> str | None:
        # The nearest class that a list names decides. The monitor's own lists come before the global one.
        for cls in ancestors_of(kind):
            for dotted, severity in self._errors.items():
                if _is_named(cls, dotted):
                    return severity
            if any(_is_named(cls, dotted) for dotted in self._expected):
                return None
        if any(_is_named(cls, dotted) for cls in ancestors_of(kind) for dotted in self._ignored):
            return None
        return None if is_control_flow(kind) else self._default


def is_control_flow(kind: type[BaseException]) -> bool:
    """Does the exception only end or redirect work? StopIteration, Celery's Retry, a cancelled future, SystemExit …"""
    if not issubclass(kind, Exception):
        return True
    return any(_is_named(cls, dotted) for cls in ancestors_of(kind)[:-3] for dotted in _CONTROL_FLOW)


def leaves_of(error: BaseException) -> list[BaseException]:
    """The exceptions in a group and in the groups in it, each once; none for any other exception."""
    return _search(error)[0] if members_of(error) else []


def _search(
    group: BaseException, opens: Callable[[type[BaseException]], bool] | None = None
) -> tuple[list[BaseException], bool]:
    """The exceptions in a group and in the groups in it, each once, and whether these are all.

    A group may contain another one a million times. `opens` returns whether to look into groups of this class.
    """
    found: list[BaseException] = []
    waiting = [group]
    seen: set[int] = set()
    is_all = True
    while waiting and len(seen) < _MOST_STEPS:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        inner = members_of(each)
        if not inner:
            found.append(each)
        elif opens is None or opens(type(each)):
            waiting += inner[:_MOST_MEMBERS]
            is_all = is_all and len(inner) <= _MOST_MEMBERS
    return found, is_all and not waiting


def _is_named(cls: type, dotted: str) -> bool:
    """Is `cls` what `dotted` names, where it is defined or where it is re-exported? Imports nothing."""
    if f"{module_of(cls)}.{qualname_of(cls)}" == dotted:
        return True
    module, _, name = dotted.rpartition(".")
    if not module:
        return module_of(cls) == "builtins" and name_of(cls) == name
    holder = sys.modules.get(module)
    return holder is not None and getattr(holder, "__dict__", {}).get(name) is cls
