"""`{name}` in operations and rule messages."""

from __future__ import annotations

from string import Formatter

from ..base.interrupts import ours


class PlaceholderError(ValueError):
    pass


def placeholders(text: str) -> list[str]:
    """The names between braces, in order. `{{` and `}}` are braces. Raises PlaceholderError."""
    names = []
    try:
        for _, name, specification, conversion in Formatter().parse(text):
            if name is None:
                continue
            if specification or conversion:
                raise PlaceholderError(f"`{{{name}}}` has a `!` or `:` inside the braces: write the name alone")
            if not name.isidentifier():
                raise PlaceholderError(f"`{{{name}}}` is not a name in braces; write `{{{{` for a brace")
            names.append(name)
    except ours(PlaceholderError):
        raise
    except ours(ValueError):
        raise PlaceholderError("a brace is not closed or not opened; write `{{` and `}}` for braces") from None
    return names
