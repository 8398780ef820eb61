"""A bounded JSON form of any object, made without running the host's code.

The host's `__repr__`, properties, `__getattr__` and `__class__` are never called, and lazy objects and querysets are
not loaded: values are read through the slots of the built-in types, and from a plain instance `__dict__`. The one
exception is `exception_text`, which calls the `__str__` of an exception class, because people know the failure by that
text.
"""

from __future__ import annotations

import sys
from types import FunctionType, GetSetDescriptorType, ModuleType
from typing import TYPE_CHECKING, Any, cast

from ...base.interrupts import ours
from ...base.slots import GROUPS, ancestors_of, dict_of, members_of, module_of, qualname_of
from ...privacy.redact import clip, text
from ...privacy.scrub import scrub_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...base.model import Json

LONGEST_TEXT = 1_000
LONGEST_EXCEPTION = 2_000
MOST_ITEMS = 25

_WIDEST_JSON_INT = 63  # bits
_WIDEST_INT = 1_000  # bits; wider numbers are not written out
_LONGEST_ID = 64
_LAZY = (".__proxy__", ".LazyString")  # types of texts that are translated when they are shown

_type_dict = type.__dict__["__dict__"].__get__
_module_dict: Any = _type_dict(ModuleType)["__dict__"].__get__
_type_flags = type.__dict__["__flags__"].__get__


class Budget:
    """How many values may still be represented, in all parts of one event together."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


def represent(value: object, *, depth: int = 4, budget: Budget | int = 300) -> Json:
    """`value` as JSON: at most `depth` containers deep, and `budget` values in all. Marks what is left out."""
    return _represent(value, depth, Budget(budget) if type(budget) is int else cast("Budget", budget))


def type_name(kind: type) -> str:
    """`package.module.Class`, read without calling the metaclass."""
    name = qualname_of(kind)
    try:
        module = module_of(kind)
    except ours(AttributeError):
        module = None
    if type(module) is not str or module == "builtins":
        return name[:200]
    return f"{module}.{name}"[:200]


def _represent(value: Any, depth: int, budget: Budget) -> Json:
    budget.left -= 1
    kind = type(value)
    if kind is str:
        return value if len(value) <= LONGEST_TEXT else clip(value, LONGEST_TEXT)
    if value is None or kind is bool:
        return cast("bool | None", value)
    if kind is int:
        return _integer(value)
    if kind is float:
        return _float(value)
    if kind is dict or kind is list or kind is tuple or kind is set or kind is frozenset:
        return _container(value, kind, depth, budget)
    return _other(value, kind, depth, budget)


def _other(value: Any, kind: type, depth: int, budget: Budget) -> Json:
    known = _standard(value, kind)
    if known is not None:
        return known
    if issubclass(kind, str):
        return _own_text(value, LONGEST_TEXT)
    if issubclass(kind, int):
        return _integer(int.__index__(value) if int.bit_length(value) <= _WIDEST_INT else value)
    if issubclass(kind, float):
        return _float(float.__float__(value))
    for buffer in (bytes, bytearray):
        if issubclass(kind, buffer):
            return f"<{type_name(kind)}, {buffer.__len__(value)}>"
    for base in (dict, list, tuple, set, frozenset):
        if issubclass(kind, base):
            return _container(value, base, depth, budget)
    if issubclass(kind, BaseException):
        if depth <= 0 or budget.left <= 0:
            return f"<{type_name(kind)}>"
        return f"{type_name(kind)}: {_from_arguments(value, depth - 1, budget)}"[:LONGEST_TEXT]
    if issubclass(kind, type):
        return f"<class '{type_name(value)}'>"
    if kind is FunctionType:
        return f"<function {value.__qualname__}>"[:200]
    if kind is ModuleType:
        name = _module_dict(value).get("__name__")
        return f"<module {name}>"[:200] if type(name) is str else "<module>"
    return _object(value, kind)


def _own_text(value: Any, limit: int) -> str:
    """A plain `str` of any instance of `str`, at most `limit` characters."""
    size = str.__len__(value)
    head = str.__getitem__(value, slice(0, limit + 300))
    if size <= limit:
        return head
    # clip() would note the length of `head`.
    return clip(head, limit).rpartition("… (")[0] + f"… ({size - limit:,} more characters)"


def _integer(value: Any) -> Json:
    bits = int.bit_length(value)
    if bits <= _WIDEST_JSON_INT:
        return cast("int", value)
    return int.__repr__(value) if bits <= _WIDEST_INT else f"<int, {bits:,} bits>"


def _float(value: float) -> Json:
    return value if value - value == 0 else float.__repr__(value)


def _container(value: Any, base: type, depth: int, budget: Budget) -> Json:
    size: int = base.__len__(value)  # type: ignore[attr-defined]
    kind = type(value)
    if size == 0:
        return {} if base is dict else []
    if depth <= 0 or budget.left <= 0:
        return f"<{base.__name__ if kind is base else type_name(kind)}, {size:,}>"
    if base is dict:
        return _mapping(value, size, depth, budget)
    items: list[Json] = []
    cut = _extend(items, base.__iter__(value), depth, budget)  # type: ignore[attr-defined]
    if base is set or base is frozenset:
        items.sort(key=str)
    if cut and size > len(items):
        items.append(f"… {size - len(items):,} more")
    return items


def _extend(items: list[Json], source: Iterable[object], depth: int, budget: Budget) -> bool:
    """Add the items of `source`. Returns whether some were left out."""
    try:
        for item in source:
            if len(items) >= MOST_ITEMS or budget.left <= 0:
                return True
            items.append(_represent(item, depth - 1, budget))
    except ours(RuntimeError):  # another thread changed it meanwhile
        return True
    return False


def _mapping(value: Any, size: int, depth: int, budget: Budget) -> Json:
    result: dict[str, Json] = {}
    count = 0
    try:
        for key, item in dict.items(value):
            if count >= MOST_ITEMS or budget.left <= 0:
                break
            count += 1
            name = key if type(key) is str and len(key) <= LONGEST_TEXT else _key(key, budget)
            while name in result:
                name += "'"
            result[name] = _represent(item, depth - 1, budget)
    except ours(RuntimeError):  # another thread changed it meanwhile
        pass
    if count < size:
        result["…"] = f"{size - count:,} more"
    return result


def _key(key: object, budget: Budget) -> str:
    form = _represent(key, 1, budget)
    return form if type(form) is str else str(scrub_json(form))


def _object(value: Any, kind: type) -> str:
    held = instance_dict(value)
    if held is None:
        return f"<{type_name(kind)}>"
    name = type_name(kind)
    if name.endswith(_LAZY):
        lazy = _lazy_message(held)
        if lazy is not None:
            return lazy
    for attribute in ("id", "pk"):
        identity = dict.get(held, attribute)
        plain = type(identity)
        if plain is int and int.bit_length(cast("int", identity)) <= _WIDEST_JSON_INT:
            return f"<{name} {attribute}={identity}>"
        if plain is str and 0 < len(cast("str", identity)) <= _LONGEST_ID:
            return f"<{name} {attribute}={identity}>"
        if identity is not None:
            known = _standard(identity, plain)
            if type(known) is str:
                return f"<{name} {attribute}={known}>"
    return f"<{name}>"


def _lazy_message(held: dict[str, object]) -> str | None:
    """The text that Django's or Babel's `gettext_lazy` would translate, not translated."""
    arguments = dict.get(held, "_args") or dict.get(held, "_proxy____args")
    if type(arguments) is tuple and arguments and type(arguments[0]) is str:
        return clip(arguments[0], LONGEST_TEXT)
    named = dict.get(held, "_kw") or dict.get(held, "_kwargs") or dict.get(held, "_proxy____kw")
    first = next(iter(dict.values(named)), None) if type(named) is dict else None
    return clip(first, LONGEST_TEXT) if type(first) is str else None


def instance_dict(value: object) -> dict[str, object] | None:
    """The instance's own `__dict__`, if it is the ordinary one; None for anything that could run code instead."""
    cls = type(value)
    known = readers.get(id(cls))
    if known is None or known[0] is not cls:
        if len(readers) >= MOST_CLASSES:
            readers.clear()
        known = readers[id(cls)] = cls, _reader(cls)
    held = known[1](value) if known[1] is not None else None
    return held if type(held) is dict else None


#: What reads the `__dict__` of instances of a class, by the class' address: its metaclass may have a hash of its own.
readers: dict[int, tuple[type, Callable[[object], object] | None]] = {}
MOST_CLASSES = 500


def _reader(cls: type) -> Callable[[object], object] | None:
    found: Callable[[object], object] | None = None
    for base in ancestors_of(cls):
        descriptor = _type_dict(base).get("__dict__")
        if descriptor is None:
            continue
        # A class statement makes a getset of this shape. A proxy written in C has one of its own, which may resolve it.
        if type(descriptor) is not GetSetDescriptorType or not _ordinary(descriptor):
            return None
        if found is None:
            found = descriptor.__get__
    return found


def class_attribute(value: object, name: str) -> object:
    """Read from the dictionaries of the classes: binds no descriptor, calls no `__getattr__`. None where missing."""
    for base in ancestors_of(type(value)):
        held = _type_dict(base)
        if name in held:
            return held[name]
    return None


def has_attribute(value: object, name: str) -> bool:
    """Would reading it call no `__getattr__`, which in a container may add what is missing?"""
    return name in (instance_dict(value) or ()) or class_attribute(value, name) is not None


def status_of(response: object) -> int | None:
    """The status of an HTTP response of any framework that names it `status_code`, read without a property."""
    held = instance_dict(response) or {}
    status = held["status_code"] if "status_code" in held else class_attribute(response, "status_code")
    if not issubclass(type(status), int):
        return None
    number = int.__index__(status)  # type: ignore[arg-type]
    return number if 100 <= number <= 599 else None


class _Example:
    pass


_ORDINARY = _type_dict(_Example)["__dict__"]  # from Python 3.15 on, all classes have this one


def _ordinary(descriptor: GetSetDescriptorType) -> bool:
    if descriptor is _ORDINARY:
        return True
    is_heap_type = bool(_type_flags(descriptor.__objclass__) & (1 << 9))
    return is_heap_type and descriptor.__doc__ == _ORDINARY.__doc__


def _standard(value: Any, kind: type) -> Json:
    """The form of the standard library's value types, or None. Uses only modules that are loaded."""
    modules = sys.modules
    enum = modules.get("enum")
    if enum is not None and issubclass(kind, enum.__dict__.get("Enum", ())):
        name = (instance_dict(value) or {}).get("_name_")
        return f"{qualname_of(kind)}.{name}"[:200] if type(name) is str else f"<{type_name(kind)}>"
    # The C modules: tests replace the classes in `datetime`.
    module = modules.get("_datetime")
    if module is not None:
        moment = _moment(value, kind, module)
        if moment is not None:
            return moment
    module = modules.get("_decimal")
    if module is not None and issubclass(kind, module.Decimal):
        base = module.Decimal
        return f"<{type_name(kind)}>" if base.__sizeof__(value) > 1_000 else cast("str", base.__str__(value))
    module = modules.get("uuid")
    if module is not None and issubclass(kind, module.__dict__.get("UUID", ())):
        number = module.UUID.__dict__["int"].__get__(value)
        if type(number) is int and number.bit_length() <= 128:
            digits = f"{number:032x}"
            return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    return None


def _moment(value: Any, kind: type, module: Any) -> Json:
    if issubclass(kind, module.datetime):
        day = "-".join(f"{_field(module.date, name, value):02}" for name in ("month", "day"))
        return f"{_field(module.date, 'year', value):04}-{day}T{_clock(value, module.datetime, module)}"
    if issubclass(kind, module.date):
        return cast("str", module.date.isoformat(value))
    if issubclass(kind, module.time):
        return _clock(value, module.time, module)
    if issubclass(kind, module.timedelta):
        return cast("str", module.timedelta.__str__(value))
    return None


def _field(owner: type, name: str, value: object) -> int:
    return cast("int", owner.__dict__[name].__get__(value))


def _clock(value: Any, owner: type, module: Any) -> str:
    micro = _field(owner, "microsecond", value)
    parts = ":".join(f"{_field(owner, name, value):02}" for name in ("hour", "minute", "second"))
    text = f"{parts}.{micro:06}" if micro else parts
    zone = owner.__dict__["tzinfo"].__get__(value)
    if zone is None:
        return text
    if type(zone) is module.timezone:
        return text + str(module.timezone.tzname(zone, None))
    return f"{text} <{type_name(type(zone))}>"  # its offset would take a call of its code


_arguments_of = BaseException.__dict__["args"].__get__
_PLAIN = (str, int, float, bool, type(None))

#: The built-in classes with a `__str__` of their own, and the attributes that it prints.
_PRINTED: dict[type, tuple[str, ...]] = {
    KeyError: (),
    OSError: ("errno", "strerror", "filename", "filename2"),
    ImportError: ("msg",),
    SyntaxError: ("msg", "filename", "lineno"),
    UnicodeDecodeError: ("encoding", "reason"),
    UnicodeEncodeError: ("encoding", "reason"),
    UnicodeTranslateError: ("reason",),
}
_PRINTING_ARGUMENTS = (KeyError, OSError, ImportError)


def exception_text(error: BaseException) -> str:
    """The exception's message, at most 2,000 characters.

    Built-in messages are made from the arguments. A `__str__` of the class itself is called; if it raises, the
    arguments are used instead. Arguments that are the host's objects are represented, never converted by its code.
    """
    owner, method = _text_method(type(error))
    if owner is BaseException:
        return _from_arguments(error)
    if owner in GROUPS:
        return _group_text(error)
    attributes = _PRINTED.get(owner)
    if attributes is not None and not _printable(error, owner, attributes):
        return _from_arguments(error)
    held = dict(dict_of(error))
    try:
        text = method(error)
        if issubclass(type(text), str):
            return _own_text(text, LONGEST_EXCEPTION)
    except ours(BaseException):  # from the host's __str__
        pass
    finally:
        _give_back(error, held)
    return _from_arguments(error)


def _give_back(error: BaseException, held: dict[str, object]) -> None:
    """Undo what a `__str__` has kept. A host may read its text later, when it knows more: glom does."""
    now = dict_of(error)
    for name in [name for name in now if name not in held]:
        del now[name]
    for name, value in held.items():
        if name not in now or now[name] is not value:
            now[name] = value


def _text_method(kind: type) -> tuple[type, Any]:
    for base in ancestors_of(kind):
        method = _type_dict(base).get("__str__")
        if method is not None:
            return base, method if base in _PRINTED else _bound_later(method, kind)
    return BaseException, BaseException.__str__


def _bound_later(method: Any, kind: type) -> Any:
    """Bind the method at the call, as `str` does, whatever kind of descriptor it is."""

    def call(error: BaseException) -> object:
        bind = getattr(type(method), "__get__", None)
        return bind(method, error, kind)() if bind is not None else method()

    return call


def _printable(error: BaseException, owner: type, attributes: tuple[str, ...]) -> bool:
    if owner in _PRINTING_ARGUMENTS and not all(_plain(argument) for argument in _arguments_of(error)):
        return False
    members = _type_dict(owner)
    return all(_plain(members[name].__get__(error)) for name in attributes)


def _plain(value: Any) -> bool:
    kind = type(value)
    if kind is int:
        return bool(value.bit_length() <= _WIDEST_INT)
    return kind in _PLAIN or (kind is bytes and len(value) <= LONGEST_EXCEPTION)


def _from_arguments(error: BaseException, depth: int = 3, budget: Budget | None = None) -> str:
    """What `str` makes of the arguments. They may contain the exception itself, at any depth."""
    arguments = _arguments_of(error)
    if not arguments:
        return ""
    if budget is None:
        budget = Budget(60)
    if len(arguments) == 1:
        only = arguments[0]
        if type(only) is str:
            return clip(only, LONGEST_EXCEPTION)
        return clip(_argument(only, error, depth, budget, quote=False), LONGEST_EXCEPTION)
    shown = [_argument(each, error, depth, budget, quote=True) for each in arguments[:MOST_ITEMS]]
    if len(arguments) > MOST_ITEMS:
        shown.append(f"… {len(arguments) - MOST_ITEMS:,} more")
    return clip("(" + ", ".join(shown) + ")", LONGEST_EXCEPTION)


def _argument(value: object, error: BaseException, depth: int, budget: Budget, *, quote: bool) -> str:
    if value is error:
        return f"<{type_name(type(error))}>"
    return _printed(_represent(value, depth, budget), value, quote=quote)


def _printed(form: Json, original: object, *, quote: bool) -> str:
    """A represented value as Python would print it. Values under secret names are masked while the names are known."""
    if type(form) is str:
        return _quoted(text(form), original) if quote else form
    return _spelt(scrub_json(form), original)


def _spelt(form: Json, original: object) -> str:
    """Each member of a list or tuple by itself, so that only texts are in quotes."""
    kind = type(original)
    if type(form) is not list or kind not in (list, tuple):
        return _quoted(form, original)
    members: list[object] = list(cast("list[object]", original)[: len(form)])
    members += [""] * (len(form) - len(members))
    inside = ", ".join(map(_spelt, form, members))
    if kind is list:
        return f"[{inside}]"
    return f"({inside},)" if len(form) == 1 else f"({inside})"


def _quoted(form: Json, original: object) -> str:
    return form if type(form) is str and type(original) is not str else repr(form)


def _group_text(error: Any) -> str:
    message = GROUPS[0].__dict__["message"].__get__(error)
    count = len(members_of(error))
    head = _own_text(message, LONGEST_EXCEPTION) if issubclass(type(message), str) else ""
    return f"{head} ({count} sub-exception{'' if count == 1 else 's'})"
