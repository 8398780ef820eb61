"""What `{name}`, `{qualname}`, `{module}` and `{class}` stand for in a monitor's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FunctionType

    from ..hook.resolve import Found


class Naming:
    """The names of one target. Its own count: what a decorator puts in the place of a function may be called anything.

    `written` is the function that a person wrote, as far as it was found.
    """

    __slots__ = ("_names",)

    def __init__(self, found: Found, written: FunctionType) -> None:
        parent = found.parent if isinstance(found.parent, type) else None
        qualname = written.__qualname__
        if written.__name__ != found.name:
            qualname = f"{parent.__qualname__}.{found.name}" if parent is not None else found.name
        self._names = {"{name}": found.name, "{qualname}": qualname, "{module}": written.__module__ or ""}

    def of(self, template: str) -> str:
        if "{" in template:
            for name, value in self._names.items():
                template = template.replace(name, value)
        return template
