"""Updates what the host keeps about code objects: the new code of a patched function is added beside the old.

Jinja2, for example, keeps the code of its internals in a set and removes their frames from tracebacks; Trio has a
dictionary of weak references to the code that Ctrl-C may or may not interrupt. That something refers to the code of a
function is noticed by the code's reference counts; only then is the heap searched, once for all functions of a module.
"""

from _weakref import getweakrefs, ref
from sys import getrefcount, version_info
from types import CodeType, FunctionType

from ...base.interrupts import ours
from ...base.postponed import when_freed
from ..code import patch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The function, the caller's variable, and before Python 3.14, which lends it, getrefcount's own argument.
_ORDINARY = 2 + (version_info < (3, 14))
_IMMORTAL = 10_000


def kept(function: FunctionType) -> "CodeType | None":
    """Return the code of a function if anything besides the function refers to it."""
    code = function.__code__
    if _ORDINARY < getrefcount(code) < _IMMORTAL and not code.co_flags & 0x10:  # CO_NESTED: its maker holds it
        return code
    return code if _weak_keys(code) else None


def _weak_keys(code: CodeType) -> "list[Any]":
    """Return the weak references that may be a key: those of weak dictionaries and sets have a callback."""
    own = _known[id(code)][0] if id(code) in _known else None
    return [
        each
        for each in getweakrefs(code)
        if each.__callback__ is not None and each is not own and type(each) is not patch.Entry
    ]


#: Code that was searched for, and the sets that hold it: the heap is not searched twice.
_known: "dict[int, tuple[ref[CodeType], list[ref[set[object]]]]]" = {}


def is_held(code: CodeType) -> bool:
    """Whether the host is known to keep this code in a set, or keeps something about it."""
    return bool((id(code) in _known and _known[id(code)][1]) or _weak_keys(code))


class Registries:
    def __init__(self) -> None:
        self._added: "list[tuple[set[object], CodeType]]" = []

    def follow(self, codes: "list[tuple[CodeType, FunctionType]]") -> None:
        """Add the new code of each function to every set that holds its old code."""
        missing = [code for code, _ in codes if id(code) not in _known]
        if missing:
            _look_for(missing)
        for code, function in codes:
            new = function.__code__
            if new is code:
                continue
            for each in _known[id(code)][1]:
                holder = each()
                if holder is not None and code in holder and new not in holder:
                    holder.add(new)
                    self._added.append((holder, new))
        _follow_weakly([(key, function.__code__) for code, function in codes for key in _weak_keys(code)])

    def undo(self) -> None:
        for holder, code in self._added:
            holder.discard(code)
        self._added.clear()


def _look_for(codes: "list[CodeType]") -> None:
    from gc import get_referrers

    holders = [holder for holder in get_referrers(*codes) if type(holder) is set]
    for code in codes:
        key = id(code)
        _known[key] = (ref(code, when_freed(_known, key)), [ref(holder) for holder in holders if code in holder])


def _follow_weakly(keys: "list[tuple[Any, CodeType]]") -> None:
    """Have each dictionary or set with one of these weak references as a key refer in the same way to the new code.

    They lose it when it is freed, which undoing the patch does.
    """
    if not keys:
        return
    from gc import get_referrers

    holders: "list[Any]" = [each for each in get_referrers(*[key for key, _ in keys]) if type(each) in (dict, set)]
    for holder in holders:
        present = {id(each) for each in list(holder)}
        for key, new in keys:
            if id(key) not in present or key() is new:
                continue
            try:
                added = type(key)(new, key.__callback__)
                if type(holder) is set:
                    holder.add(added)
                else:
                    holder.setdefault(added, holder[key])
            except ours(Exception):  # a class of the host's own that is made in another way
                continue
