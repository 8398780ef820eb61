"""All functions that are alive in this process, wherever they are held: closures, methods, what decorators made."""

import sys
from itertools import chain, compress, repeat, tee
from types import FunctionType, ModuleType

from . import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_BLOCK = 64  # objects: a `tee` holds 57 at a time
_FROZEN = 1_000  # objects; CPython 3.12 itself freezes some hundreds
_MOST = 2_000_000  # objects that are looked at where the collector does not know all


def instances(kind: type) -> "list[Any]":
    """The objects of this type that the collector knows.

    One step, in which no other thread runs: what the host drops meanwhile would be freed here, on a thread that it does
    not belong to. Nor is an object asked for its `__class__`, which may be the host's code.

    The list is run through twice by a `tee` that is made after it, and ends with nothing: a `tee` that is in its own
    list would hold all that the host drops, until the collector runs.
    """
    from _operator import itemgetter
    from gc import get_objects

    lists = map(chain, map(get_objects, (None,)), repeat(repeat(None, _BLOCK)))
    ones, others = tee(map(tee, lists))
    objects = chain.from_iterable(map(itemgetter(0), ones))
    types = map(type, chain.from_iterable(map(itemgetter(1), others)))
    return list(compress(objects, map(issubclass, types, repeat(kind))))


def functions() -> "list[FunctionType]":
    """Takes 0.1 s in a process of a million objects, twice that where a server has frozen them before it forks."""
    from gc import get_freeze_count

    found = instances(FunctionType)
    if get_freeze_count() > _FROZEN:
        known = {id(function) for function in found}
        found += [function for function in _in_modules() if id(function) not in known]
    return found


def files(those: "list[FunctionType]") -> "Iterator[str]":
    """The name of the file of the code of each."""
    from _operator import attrgetter

    return map(attrgetter("__code__.co_filename"), those)


def of_files(those: "list[FunctionType]", names: "set[str]") -> "list[FunctionType]":
    """The functions whose code is of these files."""
    return list(compress(those, map(names.__contains__, files(those))))


def _in_modules() -> "list[FunctionType]":
    """Those that modules and their classes lead to."""
    from gc import get_referents

    found: "list[FunctionType]" = []
    seen: "set[int]" = set()
    pending: "list[Any]" = [each for each in list(sys.modules.values()) if resolve.is_a(each, ModuleType)]
    while pending and len(seen) < _MOST:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if type(value) is FunctionType:
            found.append(value)
        if resolve.is_a(value, (type, ModuleType)):
            held = list(resolve.namespace(value).values())
        else:
            held = list(resolve.inside(value, get_referents))
            held += [each for attributes in held if type(attributes) is dict for each in attributes.values()]
        pending += [each for each in held if _may_lead_to_one(each)]
    return found


def _may_lead_to_one(value: object) -> bool:
    return type(value) is FunctionType or resolve.is_a(value, type) or resolve.may_hold_one(value)
