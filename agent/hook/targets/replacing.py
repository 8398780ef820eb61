"""Replaces objects that have no code to change: inside a `functools.partial`, and by name in other modules."""

import sys
from types import FunctionType, ModuleType

from . import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class Partial:
    """The replacement of the function inside one functools.partial, which stays the same object."""

    def __init__(self, partial: "Any", function: FunctionType) -> None:
        self._partial = partial
        self._inner = partial.func
        self._set(function)

    def _set(self, function: object) -> None:
        partial = self._partial
        partial.__setstate__((function, partial.args, partial.keywords, partial.__dict__ or None))

    def undo(self) -> bool:
        self._set(self._inner)
        return True


def aliases(raw: object, found: "resolve.Found") -> "Iterator[tuple[ModuleType, str]]":
    """Find the other modules, except our own, that hold `raw`."""
    ours = (__package__ or "").partition(".")[0] + "."
    for name, module in list(sys.modules.items()):
        if not resolve.is_a(module, ModuleType) or name.startswith(ours):
            continue
        for attribute, value in list(resolve.namespace(module).items()):
            if value is raw and not (module is found.parent and attribute == found.name):
                yield module, attribute
