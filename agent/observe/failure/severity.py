"""How severe an exception is to a monitor, and whether it is a failure at all."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ...base.model import EXPECTED, IGNORED, SEVERITIES
from ...base.slots import GROUPS, ancestors_of, members_of, module_of, name_of, qualname_of
from ..event.represent import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...base.model import MonitorData, StancesData

_MOST_TYPES = 500  # of exceptions that are remembered: a host may make classes at run time
_MOST_MEMBERS = 100  # of a group, that are looked at
_MOST_STEPS = 10_000  # through a group and the groups in it

#: Control flow in the form of exceptions: counted, not reported, unless a monitor's `errors` names it.
_CONTROL_FLOW = (
    "StopIteration",
    "StopAsyncIteration",
    "celery.exceptions.TaskPredicate",  # Retry, Ignore, Reject
    "huey.exceptions.RetryTask",
    "huey.exceptions.CancelExecution",
    "huey.exceptions.TaskLockedException",
    "huey.exceptions.RateLimitExceeded",
    "concurrent.futures._base.CancelledError",
    "click.exceptions.Exit",
    "tornado.gen.Return",
)

_CONTROL = "control-flow"

#: Failures in the form of exceptions that `except Exception` does not catch: time limits, and shutdowns of a worker.
_NO_CONTROL_FLOW = ("dramatiq.middleware.threading.Interrupt", "django_q.exceptions.TimeoutException")

#: How `where` of a pack's monitor begins. What such a monitor expects does not count for the calls inside its own.
PACK = "packs/"

NOWHERE: StancesData = {"modules": {}, "everywhere": [], "unattended": []}

#: The exceptions that monitors of this process expect or ignore; and for exception types, whether that means them.
expected_anywhere: dict[str, str] = {}
expected_types: dict[type, bool] = {}


def is_expected_anywhere(kind: type[BaseException]) -> bool:
    """Does any monitor of this process, or its module, expect or ignore this exception, or a base class of it?"""
    if not expected_anywhere:
        return False
    known = expected_types.get(kind)
    if known is None:
        if len(expected_types) >= _MOST_TYPES:
            expected_types.clear()
        known = expected_types[kind] = _stance(_specific(kind), expected_anywhere) is not None
    return known


def _specific(kind: type[BaseException]) -> tuple[type, ...]:
    """The class and its bases, without those that every exception has."""
    return tuple([cls for cls in ancestors_of(kind) if cls not in (Exception, BaseException, object)])


def own(monitor: MonitorData) -> dict[str, str]:
    """What the monitor's own lists make of exceptions: dotted name → severity, EXPECTED or IGNORED."""
    ignored, expected = monitor["ignore_errors"], monitor["expect"]
    return {**dict.fromkeys(ignored, IGNORED), **dict.fromkeys(expected, EXPECTED), **monitor["errors"]}


class Severities:
    """Exception type → severity, or None where it is no failure. The results are kept by type."""

    def __init__(self, monitor: MonitorData, stances: StancesData = NOWHERE) -> None:
        self._default = monitor["severity"]
        #: The lists of the monitor, and those of its module.
        self._near = [own(monitor), *stances["modules"].get(monitor["module"] or "", ())]
        self._everywhere = stances["everywhere"]
        self._has_stance = not monitor["where"].startswith(PACK)
        if self._has_stance:
            expected = {name: made for layer in self._near for name, made in layer.items() if made not in SEVERITIES}
            if not expected_anywhere.keys() >= expected.keys():
                expected_anywhere.update(expected)
                expected_types.clear()
        self._known: dict[type, str] = {}
        #: For types of exceptions that decide alone: (severity, the type's dotted name), or (None, the reason to count)
        #: where it is not reported. No group, and none that leaves little memory or stack for a report.
        self.by_type: dict[type, tuple[str | None, str]] = {}

    def of_error(self, error: BaseException) -> str | None:
        """A group is as severe as the worst of its members, and expected only if all of them are."""
        if not issubclass(type(error), GROUPS):
            return self._of_kind(type(error))
        leaves, is_all = _search(error, lambda kind: self._decide(kind) in SEVERITIES)
        found = [self._of_kind(type(each)) for each in leaves]
        if not is_all:
            found.append(self._default)  # the others may be failures
        return max(filter(None, found), key=SEVERITIES.index, default=None)

    def expects(self, kind: type[BaseException]) -> bool:
        """Is this exception part of the business here, by whichever list?"""
        return (self._known.get(kind) or self._decide(kind)) == EXPECTED

    def ignores(self, kind: type[BaseException]) -> bool:
        """Is this exception no failure here, by whichever list?"""
        return (self._known.get(kind) or self._decide(kind)) == IGNORED

    def stance_on(self, kind: type[BaseException]) -> str | None:
        """What the monitor and its module make of this type: a severity, EXPECTED or IGNORED; None: nothing.

        `Exception` in a list counts for the monitor's own calls only.
        """
        return _first(_specific(kind), self._near) if self._has_stance else None

    def names(self, kind: type[BaseException]) -> bool:
        """Does a list of the monitor, or of its module, name it? Those of a pack's monitor count here."""
        return _first(_specific(kind), self._near) is not None

    def _of_kind(self, kind: type[BaseException]) -> str | None:
        made = self._known.get(kind)
        if made is None:
            if len(self._known) >= _MOST_TYPES:
                self._known.clear()
                self.by_type.clear()
            made = self._known[kind] = self._decide(kind)
        severity = made if made in SEVERITIES else None
        if issubclass(kind, Exception) and not issubclass(kind, (MemoryError, RecursionError)):
            word = type_name(kind) if severity else _CONTROL if made == _CONTROL else EXPECTED
            self.by_type[kind] = (severity, word)
        return severity

    def _decide(self, kind: type[BaseException]) -> str:
        """A severity, EXPECTED, IGNORED, or control flow."""
        classes = ancestors_of(kind)
        made = _first(classes, self._near) or _first(classes, self._everywhere)
        if made in SEVERITIES:
            return made
        if is_control_flow(kind):
            return _CONTROL
        return made or self._default


def is_control_flow(kind: type[BaseException]) -> bool:
    """Does the exception only end or redirect work? StopIteration, Celery's Retry, a cancelled future, SystemExit …"""
    if not issubclass(kind, Exception):
        return not any(_is_named(cls, dotted) for cls in ancestors_of(kind) for dotted in _NO_CONTROL_FLOW)
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


def _first(classes: Sequence[type], layers: Sequence[Mapping[str, str]]) -> str | None:
    """What the first layer that names one of the classes makes of the first class that it names."""
    return next((made for layer in layers if layer and (made := _stance(classes, layer)) is not None), None)


def _stance(classes: Sequence[type], layer: Mapping[str, str]) -> str | None:
    for cls in classes:
        made = layer.get(f"{module_of(cls)}.{qualname_of(cls)}")  # where it is defined: nearly all are named so
        if made is not None:
            return made
        for dotted, made in layer.items():
            if _is_named(cls, dotted):
                return made
    return None


def _is_named(cls: type, dotted: str) -> bool:
    """Is `cls` what `dotted` names, where it is defined or where it is re-exported? Imports nothing."""
    if f"{module_of(cls)}.{qualname_of(cls)}" == dotted:
        return True
    module, _, name = dotted.rpartition(".")
    if not module:
        return module_of(cls) == "builtins" and name_of(cls) == name
    holder = sys.modules.get(module)
    return holder is not None and getattr(holder, "__dict__", {}).get(name) is cls
