"""Collections that would run a query, or other code of the host's, to find out what they hold: none is asked.

An expression that needs the truth, length or items of such a collection has no value. The type shows what is asked:

- Values whose methods are written in C: the built-in containers, numbers, dates, arrays.
- Objects without methods of their own for it, which are true.
- Objects whose `__bool__`, `__len__`, `__iter__` or `__getitem__` only reads what the object holds in memory: it names
  nothing but its attributes, other methods of that kind and built-in functions, and writes nothing. A lazy collection
  has to call something to be loaded.
- Lazy collections and proxies of Django that are loaded already.
"""

from __future__ import annotations

import builtins
from _weakref import ref
from types import (
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any

from ...base.interrupts import ours
from ...hook.code import patch
from ..event.represent import class_attribute, instance_dict, type_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from weakref import ReferenceType

TRUTH, LENGTH, ITEMS = ("__bool__", "__len__"), ("__len__",), ("__iter__", "__getitem__")
ITEM = ("__len__", "__getitem__")

_NOTHING = type(None)
#: By address: a metaclass may have a hash of its own, and these classes are never freed.
_PLAIN = frozenset(map(id, (bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, range, _NOTHING)))
_IN_C = (WrapperDescriptorType, MethodDescriptorType)
_FIELDS = (MemberDescriptorType, GetSetDescriptorType)
#: Built-in functions that run nothing but what is judged here.
_BUILTINS = frozenset((
    "len", "bool", "iter", "next", "any", "all", "sum", "min", "max", "abs", "int", "list", "tuple", "dict", "set",
    "frozenset", "range", "zip", "enumerate", "sorted", "reversed", "isinstance",
))  # fmt: skip
_OF_MAPPINGS = frozenset(("keys", "values", "items", "get"))
_LOOKING_INSIDE = (_BUILTINS - {"len", "bool"}) | _OF_MAPPINGS
_ALL = ("__bool__", "__len__", "__iter__", "__getitem__", "__contains__")
_LAZY_TEXT = (".__proxy__", ".LazyString")  # translated when it is shown
_MOST = 500  # codes that are remembered
_DEEPEST = 8


def truth(value: Any) -> Any:
    """The value. Raises TypeError where its truth is not known without running code of the host's."""
    if id(type(value)) not in _PLAIN and not _may_ask(value, TRUTH):
        raise _refusal("truth", value)
    return value


def length(value: Any) -> Any:
    """The value. Raises TypeError where its length is not known without running code of the host's."""
    if id(type(value)) not in _PLAIN and not _may_ask(value, LENGTH):
        raise _refusal("length", value)
    return value


def items(value: Any) -> Any:
    """The value. Raises TypeError where it consumes or makes its items when they are read."""
    if id(type(value)) not in _PLAIN:
        if _is_iterator(value):
            raise TypeError("an expression does not consume an iterator")
        if not _may_ask(value, ITEMS):
            raise _refusal("items", value)
    return value


def members(value: Any) -> Any:
    """The value. As `items`, but a `__contains__` of its own is a look-up, such as an attribute is."""
    if id(type(value)) in _PLAIN or (class_attribute(value, "__contains__") is not None and not _is_proxy(value)):
        return value
    return items(value)


def sequence(value: Any) -> Any:
    """The value, of which one item is read by its number."""
    if id(type(value)) not in _PLAIN and not _may_ask(value, ITEM):
        raise _refusal("items", value)
    return value


def text(value: Any) -> Any:
    """The value. A lazy collection prints its items."""
    return value if class_attribute(value, "__len__") is None else length(value)


def _refusal(what: str, value: object) -> TypeError:
    return TypeError(f"the {what} of {type_name(type(value))} may take a query, which no expression runs")


def _is_iterator(value: object) -> bool:
    return class_attribute(value, "__next__") is not None


def _is_proxy(value: object) -> bool:
    """Does it give itself out as an object of another class?"""
    return class_attribute(value, "__class__") is not _CLASS


_CLASS = object.__dict__["__class__"]


class _Walk:
    """What was looked at on the way to one verdict."""

    __slots__ = ("inside", "names")

    def __init__(self) -> None:
        self.inside: list[tuple[object, object]] = []  # the methods that are being looked at, each with its object
        #: Name → whether the object itself holds it, with a value whose type alone matters; None: more was looked at.
        self.names: dict[str, bool] | None = {}


#: By the address of a class and what is asked: the class, and what has to be so that its objects may be asked.
_verdicts: dict[tuple[int, tuple[str, ...]], tuple[ReferenceType[type], list[tuple[str, bool]]]] = {}


def _may_ask(value: object, asked: tuple[str, ...]) -> bool:
    """Does the first of these methods that the value has run nothing unknown? True where it has none.

    A rule asks at each call: as long as the object holds built-in values, what was found out once for its class counts.
    """
    cls = type(value)
    key = id(cls), asked
    known = _verdicts.get(key)
    if known is not None and known[0]() is cls:
        held = instance_dict(value) or {}
        if all(name in held and id(type(held[name])) in _PLAIN if own else name not in held for name, own in known[1]):
            return True
    walk = _Walk()
    may = _is_known(value, asked, walk)
    if may and walk.names is not None:
        if len(_verdicts) >= _MOST:
            _verdicts.clear()
        _verdicts[key] = ref(cls), list(walk.names.items())
    return may


def _is_known(value: object, asked: tuple[str, ...], walk: _Walk) -> bool:
    if id(type(value)) in _PLAIN:
        return True
    method = next((found for found in [class_attribute(value, name) for name in asked] if found is not None), None)
    if method is None:
        return True
    loaded = _is_loaded(value, asked, walk)
    if loaded is not None:
        walk.names = None
        return loaded
    return type(method) in _IN_C or (type(method) is FunctionType and _only_reads(value, method, walk))


def _is_loaded(value: object, asked: tuple[str, ...], walk: _Walk) -> bool | None:
    """Whether a collection or proxy whose loading is visible is loaded; None for anything else."""
    held = instance_dict(value) or {}
    if "_result_cache" in held:  # Django's and MongoEngine's
        pending = held.get("_prefetch_related_lookups") and not held.get("_prefetch_done")
        return type(held["_result_cache"]) is list and not pending and not held.get("_has_more")
    if type_name(type(value)).endswith(_LAZY_TEXT):
        return True
    if not _is_proxy(value):
        return None
    wrapped = held.get("_wrapped")  # of Django's LazyObject: a bare object() until it is loaded
    return type(wrapped) is not object and "_wrapped" in held and _is_known(wrapped, asked, walk)


def _only_reads(value: object, method: FunctionType, walk: _Walk) -> bool:
    """Does the method run nothing but built-in functions, on what the object holds?"""
    if any(method is each and value is its for each, its in walk.inside):
        return True
    if len(walk.inside) > _DEEPEST or class_attribute(value, "__getattribute__") is not _GETATTRIBUTE:
        return False
    known = _read(patch.original_code(method))
    if known is None or method.__closure__:
        return False
    names, bare = known
    if walk.inside and walk.inside[0][1] is not value:
        walk.names = None
    walk.inside.append((method, value))
    if not all(_is_harmless(value, name, method, names, walk) for name in names):
        return False
    may = not bare or all(_is_known(value, (name,), walk) for name in _ALL)
    walk.inside.pop()
    return may


_GETATTRIBUTE = object.__dict__["__getattribute__"]


def _is_harmless(value: object, name: str, method: FunctionType, names: frozenset[str], walk: _Walk) -> bool:
    """Is what the method calls `name` in memory, or one of the functions that may run?"""
    attribute: Any = class_attribute(value, name)
    held = instance_dict(value) or {}
    if walk.names is not None:
        walk.names[name] = name in held
    if type(attribute) is property:
        return type(attribute.fget) is FunctionType and _only_reads(value, attribute.fget, walk)
    if type(attribute) in _FIELDS:
        walk.names = None
        try:
            return _is_in_memory(attribute.__get__(value), names, walk)
        except ours(AttributeError):  # not set
            return False
    if name in held:
        return _is_in_memory(held[name], names, walk)
    if type(attribute) is FunctionType:
        return _only_reads(value, attribute, walk)
    if attribute is not None:
        walk.names = None
        return _is_in_memory(attribute, names, walk)
    if name in method.__globals__:
        return type(method.__globals__[name]) in (bool, int, float, str, _NOTHING)
    return name in _OF_MAPPINGS or (name in _BUILTINS and hasattr(builtins, name))


def _is_in_memory(value: Any, names: frozenset[str], walk: _Walk) -> bool:
    """May code that uses nothing but `names` do so with the value?"""
    if id(type(value)) not in _PLAIN:
        walk.names = None
        if callable(value) or _is_iterator(value):
            return False
        methods = [found for found in [class_attribute(value, name) for name in names & _OF_MAPPINGS] if found]
        called = all(
            type(each) in _IN_C or (type(each) is FunctionType and _only_reads(value, each, walk)) for each in methods
        )
        return called and all(_is_known(value, asked, walk) for asked in (TRUTH, LENGTH, ITEMS))
    if not names & _LOOKING_INSIDE:
        return True
    walk.names = None
    if type(value) not in (list, tuple, dict) or not value:
        return True
    first = next(iter(value.values() if type(value) is dict else value))
    return id(type(first)) in _PLAIN or all(_is_known(first, asked, walk) for asked in (TRUTH, LENGTH, ITEMS))


#: Code, by its address → it, and what it reads.
_codes: dict[int, tuple[CodeType, tuple[frozenset[str], bool] | None]] = {}


def _read(code: CodeType) -> tuple[frozenset[str], bool] | None:
    """The names in the code, and whether it uses its object otherwise than for attributes; None where it writes."""
    known = _codes.get(id(code))
    if known is None:
        if len(_codes) >= _MOST:
            _codes.clear()
        known = _codes[id(code)] = code, _look(code)
    return known[1]


def _look(code: CodeType) -> tuple[frozenset[str], bool] | None:
    names: set[str] = set()
    for each in _with_inner(code):
        names.update(each.co_names)
    bare = code.co_argcount < 1 or code.co_varnames[0] in code.co_cellvars
    after_object = False
    for operation, argument in [pair for each in _with_inner(code) for pair in _operations(each, each is code)]:
        if operation.startswith(("STORE_", "DELETE_", "IMPORT_")) and "_FAST" not in operation:
            return None
        if after_object and operation not in ("LOAD_ATTR", "LOAD_METHOD"):
            bare = True
        after_object = False
        if argument >= 0 and "LOAD_FAST" in operation:
            first, second = divmod(argument, 16) if operation.count("_FAST") > 1 else (-1, argument)
            bare = bare or (first == 0 and operation.startswith("LOAD_FAST"))
            after_object = second == 0
    return frozenset(names), bare


def _operations(code: CodeType, outermost: bool) -> Iterator[tuple[str, int]]:
    import opcode  # few processes see such a method

    for number, argument in zip(code.co_code[::2], code.co_code[1::2]):
        if opcode.opname[number] != "CACHE":
            yield opcode.opname[number], argument if outermost else -1


def _with_inner(code: CodeType) -> list[CodeType]:
    """The code, and that of the generators and functions in it."""
    found = [code]
    for each in found:
        found.extend(constant for constant in each.co_consts if type(constant) is CodeType)
    return found
