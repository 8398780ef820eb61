"""The view that a route leads to, inside of its decorators: one without `functools.wraps` hides it.

What a decorator has made holds the view: as `__wrapped__`, in a cell of its closure, as an attribute, or as what a
`partial` calls. It is looked for once for each view. No code of the host's runs, and no descriptor is bound.
"""

from __future__ import annotations

from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any
from weakref import ref

from ...base.interrupts import ours
from ...observe.event.represent import class_attribute, instance_dict, type_name

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEEPEST = 20  # decorators around one view
_MOST_HELD = 30  # values that one of them holds
_MOST_KNOWN = 5_000
_PASSES_ON = 0x4 | 0x8  # code with `*args`, or with `**kwargs`

#: The dotted paths of views, by the address of the function that the route leads to: (a reference to that, the path).
_known: dict[int, tuple[ref[FunctionType], str]] = {}


def path_of(endpoint: object) -> str:
    """The dotted path of the function or class that `endpoint` comes down to; of an object, that of its class."""
    if type(endpoint) is not FunctionType:
        return dotted(view_of(endpoint))  # a method may have been bound for this request
    known = _known.get(id(endpoint))
    if known is None or known[0]() is not endpoint:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        known = _known[id(endpoint)] = ref(endpoint), dotted(view_of(endpoint))
    return known[1]


def dotted(endpoint: object) -> str:
    """The dotted path of a function or class; of a method, by the class of its object; of an object, its class."""
    if type(endpoint) is MethodType:
        holder, name = endpoint.__self__, getattr(endpoint.__func__, "__name__", "")
        return f"{type_name(holder if issubclass(type(holder), type) else type(holder))}.{name}"  # type: ignore[arg-type]
    module, name = getattr(endpoint, "__module__", None), getattr(endpoint, "__qualname__", None)
    if type(module) is str and type(name) is str:
        return f"{module}.{name}"
    return type_name(type(endpoint)) if endpoint is not None else ""


def view_of(endpoint: object) -> object:
    """The view inside of its decorators; `endpoint` itself where they do not show it."""
    for _ in range(_DEEPEST):
        inner = _inside(endpoint)
        if inner is None:
            break
        endpoint = inner
    return endpoint


def _inside(found: Any) -> object:
    """What `found` has been made of by one decorator; None where it is no decorator's, or several are possible."""
    if type(found) is partial:
        return found.func
    if type(found) is MethodType or issubclass(type(found), type):
        return None
    held = instance_dict(found) if type(found) is not FunctionType else found.__dict__
    for name in ("view_class", "cls", "__wrapped__"):  # the second is that of Django REST framework
        inner = (held or {}).get(name)
        if inner is not None and callable(inner):
            return inner
    call = found if type(found) is FunctionType else class_attribute(found, "__call__")
    if type(call) is not FunctionType:
        return None
    given = _cells(found) if call is found else list((held or {}).values())[:_MOST_HELD]
    first = _first_parameter(call, bound=call is not found)
    inner = [each for each in given if _is_function(each) and _takes(each, first)]
    if len(inner) > 1:
        inner = [each for each in inner if each.__module__ != call.__module__]
    return inner[0] if len(inner) == 1 else None


def _first_parameter(function: FunctionType, *, bound: bool) -> str:
    """Its name; `*` where the function takes any arguments, "" where it takes none."""
    code = function.__code__
    names = code.co_varnames[bound : code.co_argcount]
    return names[0] if names else "*" if code.co_flags & _PASSES_ON else ""


def _takes(each: Any, first: str) -> bool:
    """May it be called with what its decorator is called with? A helper of a view, which it holds too, may not."""
    if first == "*" or type(each) not in (FunctionType, MethodType):
        return True
    bound = type(each) is MethodType
    function = each.__func__ if bound else each
    return type(function) is FunctionType and _first_parameter(function, bound=bound) in (first, "*")


def _cells(function: FunctionType) -> Iterator[Any]:
    for cell in (function.__closure__ or ())[:_MOST_HELD]:
        try:
            yield cell.cell_contents
        except ours(ValueError):  # nothing yet
            continue


def _is_function(each: object) -> bool:
    return type(each) in (FunctionType, MethodType, partial) or (
        # An object of a decorator that is a class, which holds a function in its turn.
        type(class_attribute(each, "__call__")) is FunctionType
        and any(type(value) is FunctionType for value in (instance_dict(each) or {}).values())
    )
