"""Updates sets in which the host keeps code objects: the new code of a patched function is added beside the old.

Jinja2, for example, keeps the code of its internals in a set and removes their frames from tracebacks. That something
holds the code of a function is noticed by the code's reference count; only then is the heap searched, once for all
functions of a module.
"""

from _weakref import ref
from sys import getrefcount, version_info
from types import CodeType, FunctionType

from ...base.postponed import when_freed

#: The function, the caller's variable, and before Python 3.14, which lends it, getrefcount's own argument.
_ORDINARY = 2 + (version_info < (3, 14))
_IMMORTAL = 10_000


def kept(function: FunctionType) -> "CodeType | None":
    """Return the code of a function if anything besides the function holds it."""
    code = function.__code__
    if _ORDINARY < getrefcount(code) < _IMMORTAL and not code.co_flags & 0x10:  # CO_NESTED: its maker holds it
        return code
    return None


#: Code that was searched for, and the sets that hold it: the heap is not searched twice.
_known: "dict[int, tuple[ref[CodeType], list[ref[set[object]]]]]" = {}


def is_held(code: CodeType) -> bool:
    """Whether a set of the host's is known to hold this code."""
    return id(code) in _known and bool(_known[id(code)][1])


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
