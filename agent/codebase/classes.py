"""What classes get at run time that their text does not show."""

from __future__ import annotations

import ast
import builtins

from .bindings import last_name

# fmt: off
_DATACLASS = frozenset((
    "__init__", "__repr__", "__eq__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__", "__setattr__", "__delattr__",
    "__replace__", "__match_args__", "__getstate__", "__setstate__",
))
_ORDERING = frozenset(("__lt__", "__le__", "__gt__", "__ge__"))

#: Base classes that write methods themselves → which.
GENERATED: dict[str, frozenset[str]] = {
    "NamedTuple": frozenset((
        "__new__", "_make", "_replace", "__replace__", "_asdict", "__repr__", "__getnewargs__", "count", "index",
    )),
    "TypedDict": frozenset(("__init__", "copy", "get", "items", "keys", "pop", "setdefault", "update", "values")),
}

_DATACLASSES = frozenset(("dataclass", "attrs", "attr", "define", "frozen", "mutable", "s", "attributes"))
# fmt: on

#: Decorators of a class that leave its attributes as its text shows them.
CLASS_DECORATORS = ("dataclass", "final", "total_ordering", "runtime_checkable", "unique")


def generated_by(node: ast.ClassDef, name: str) -> str:
    """Which decorator or base class writes a method of this name; "" for none."""
    for decorator in node.decorator_list:
        made = last_name(decorator)
        if (made in _DATACLASSES and name in _DATACLASS) or (made == "total_ordering" and name in _ORDERING):
            return f"@{made}"
    for base in node.bases:
        made = last_name(base)
        if name in GENERATED.get(made, ()):
            return made
    return ""


def builtin_has(cls: str, name: str) -> bool:
    """Whether a class that is built into Python has an attribute."""
    found = getattr(builtins, cls, None)
    return isinstance(found, type) and hasattr(found, name)
