"""How severe an exception is to a monitor, and whether it is a failure at all."""

from __future__ import annotations

import builtins
import sys
from typing import TYPE_CHECKING

from ...base.model import SEVERITIES
from ...base.slots import ancestors_of, module_of, name_of, qualname_of
from ..event.represent import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...base.model import MonitorData

#: The class of exception groups, for `issubclass`; none before Python 3.11.
GROUPS: tuple[type, ...] = tuple(
    [getattr(builtins, each) for each in ("BaseExceptionGroup",) if hasattr(builtins, each)]
)

_MOST_TYPES = 500  # of exceptions that are remembered: a host may make classes at run time
_MOST_MEMBERS = 100  # of a group, that are looked at
_MOST_STEPS = 10_000  # through a group and the groups in it

#: Control flow that is spelt as exceptions: counted, not reported, unless a monitor's `errors` names it.
_CONTROL_FLOW = (
    "StopIteration",
    "StopAsyncIteration",
    "celery.exceptions.TaskPredicate",  # Retry, Ignore, Reject
    "concurrent.futures._base.CancelledError",
    "click.exceptions.Exit",
    "tornado.gen.Return",
)


#: How `where` of a pack's monitor begins. What a pack expects, nobody has said of the ERP's own operations.
_PACK = "packs/"

#: What monitors of this process expect, by name; and of exception types, whether one of those names means them.
expected_anywhere: set[str] = set()
_means_them: dict[type, bool] = {}


def is_expected_anywhere(kind: type[BaseException]) -> bool:
    """Does any monitor here name this exception, or a class of it, in `expect`? Mostly not, and then nobody looks."""
    if not expected_anywhere:
        return False
    known = _means_them.get(kind)
    if known is None:
        if len(_means_them) >= _MOST_TYPES:
            _means_them.clear()
        known = _means_them[kind] = any(_is_named(cls, each) for cls in _specific(kind) for each in expected_anywhere)
    return known


def _specific(kind: type[BaseException]) -> tuple[type, ...]:
    """The class and its bases, but those that mean any exception."""
    return tuple([cls for cls in ancestors_of(kind) if cls not in (Exception, BaseException, object)])


class Severities:
    """Exception type → severity, or None where it is part of the business. Answers are remembered by type."""

    def __init__(self, monitor: MonitorData, ignore: Sequence[str]) -> None:
        self._default = monitor["severity"]
        self._errors = monitor["errors"]
        self._expected = monitor["expect"]
        self._ignored = ignore
        self._speaks = not monitor["where"].startswith(_PACK)
        if self._speaks and not expected_anywhere.issuperset(monitor["expect"]):
            expected_anywhere.update(monitor["expect"])
            _means_them.clear()
        self._known: dict[type, str | None] = {}
        #: Of an Exception about which the type says all: (severity, its dotted name), or (None, the reason to count it
        #: under) where it is part of the business. No group, and nothing that leaves little room to report it.
        self.verdicts: dict[type, tuple[str | None, str]] = {}

    def of_error(self, error: BaseException) -> str | None:
        """A group is as severe as the worst of its members, and expected only if all of them are."""
        if not issubclass(type(error), GROUPS):
            return self._of_kind(type(error))
        leaves, is_all = _search(error, lambda kind: self._decide(kind) is not None)
        found = [self._of_kind(type(each)) for each in leaves]
        if not is_all:
            found.append(self._default)  # what nobody has looked at may be a failure
        return max(filter(None, found), key=SEVERITIES.index, default=None)

    def expects(self, kind: type[BaseException]) -> bool:
        """Is it the monitor's own `expect` that makes this exception part of the business?"""
        if is_control_flow(kind):
            return False
        return any(_is_named(cls, dotted) for cls in ancestors_of(kind) for dotted in self._expected)

    def word_on(self, kind: type[BaseException]) -> str | None:
        """What the monitor's own lists say of a type by name: "graded", "expected", or None where they say nothing.

        `Exception` in a list is about the monitor's own calls alone.
        """
        if self._speaks:
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
            self.verdicts.clear()
        severity = self._known[kind] = self._decide(kind)
        if issubclass(kind, Exception) and not issubclass(kind, (MemoryError, RecursionError)):
            word = type_name(kind) if severity else "control-flow" if is_control_flow(kind) else "expected"
            self.verdicts[kind] = (severity, word)
        return severity

    def _decide(self, kind: type[BaseException]) -> str | None:
        # The nearest class that anything is said about decides; the monitor's own words come before the global ones.
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
    """Not a failure but a way to leave: StopIteration, Celery's Retry, a cancelled future, SystemExit …"""
    if not issubclass(kind, Exception):
        return True
    return any(_is_named(cls, dotted) for cls in ancestors_of(kind)[:-3] for dotted in _CONTROL_FLOW)


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """The exceptions in a group; none for any other exception. The class is not asked, which may be the host's."""
    if not issubclass(type(error), GROUPS):
        return ()
    members = GROUPS[0].__dict__["exceptions"].__get__(error)
    return members if type(members) is tuple else ()


def leaves_of(error: BaseException) -> list[BaseException]:
    """What is in a group, and in the groups in it, each once; nothing of any other exception."""
    return _search(error)[0] if members_of(error) else []


def _search(
    group: BaseException, opens: Callable[[type[BaseException]], bool] | None = None
) -> tuple[list[BaseException], bool]:
    """What is in a group and in the groups in it, each once, and whether that is all.

    A group may hold another one a million times over. `opens`: are groups of this class looked into?
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
