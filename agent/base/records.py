"""Tuples whose items have names: `typing.NamedTuple`, at a tenth of its price.

That compiles source text for each class, which costs a process 0.15 ms and 6.5 KB each time. Here, one text is compiled
for each number of fields, and classes share their other methods. Of annotations, only the names are read.
"""

from _collections import _tuplegetter  # type: ignore[import-not-found]
from types import FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any
    from typing import NamedTuple as Record
else:

    class _Maker(type):
        """Makes a class of a record from its body: the values there are defaults."""

        def __new__(cls, name: str, bases: "tuple[type, ...]", body: "dict[str, Any]") -> type:
            if not bases:
                return type.__new__(cls, name, bases, body)
            fields = tuple(_annotated(body))
            defaults = tuple([body[field] for field in fields if field in body])
            code = template(len(fields)).replace(co_varnames=("_cls", *fields))
            body["__new__"] = FunctionType(code, _GLOBALS, "__new__", defaults)
            body["__slots__"] = ()
            body["__match_args__"] = body["_fields"] = fields
            for index, field in enumerate(fields):
                body[field] = _tuplegetter(index, None)
            return type(name, (_Record,), body)

    class Record(metaclass=_Maker):
        """To inherit from, as from `typing.NamedTuple`."""


class _Record(tuple):  # type: ignore[type-arg]
    """What all classes of records share."""

    __slots__ = ()
    _fields: "tuple[str, ...]" = ()

    def _replace(self, **values: "Any") -> "_Record":
        made = _new(type(self), map(values.pop, self._fields, self))
        if values:
            raise ValueError(f"{type(self).__name__} has no {', '.join(values)}")
        return made

    def _asdict(self) -> "dict[str, Any]":
        return dict(zip(self._fields, self))

    def __getnewargs__(self) -> "tuple[Any, ...]":
        return tuple(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join([f'{name}={value!r}' for name, value in zip(self._fields, self)])})"


_new = tuple.__new__
_GLOBALS = {"__builtins__": {}, "__name__": __name__, "_new": _new}
_templates: "dict[int, CodeType]" = {}


def template(number: int) -> "CodeType":
    """The code of a `__new__` with so many fields; the caller gives them their names."""
    code = _templates.get(number)
    if code is None:
        names = "".join([f"_{at}, " for at in range(number)])
        made: "Any" = eval(f"lambda _cls, {names}: _new(_cls, ({names}))", _GLOBALS)  # noqa: S307
        code = _templates[number] = made.__code__.replace(co_name="__new__")
    return code


def _annotated(body: "dict[str, Any]") -> "dict[str, Any]":
    annotate = body.get("__annotate_func__") or body.get("__annotate__")  # from Python 3.14 on, where they are no text
    found: "dict[str, Any]" = annotate(1) if annotate is not None else body.get("__annotations__", {})
    return found


__all__ = ["Record"]
