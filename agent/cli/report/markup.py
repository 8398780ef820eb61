"""HTML by construction: text becomes markup only by being escaped, so no value of the ERP's can be obeyed.

Values come from customers and from whoever attacks them: an operation, a message, a user's id.
"""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING

from ..terminal import clean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Union

    from typing_extensions import TypeAlias

    Content: TypeAlias = Union[str, int, Sequence["Content"], None]  # a str that is no Markup is text

#: Of SVG: written with a slash, or the next one would be inside.
_EMPTY = frozenset(("line", "path", "rect"))


class Markup(str):
    """HTML that is complete. Made by this file only."""

    __slots__ = ()


def escaped(text: object) -> Markup:
    """The text as HTML, for content and for quoted attributes. Control characters become visible."""
    return text if isinstance(text, Markup) else Markup(html.escape(clean(str(text)), quote=True))


def joined(*content: Content) -> Markup:
    """The contents one after the other; None is nothing."""
    parts: list[str] = []
    for each in content:
        if isinstance(each, (str, int)):
            parts.append(escaped(each))
        elif each is not None:
            parts.append(joined(*each))
    return Markup("".join(parts))


def tag(name: str, *content: Content, **attributes: str | float | bool | None) -> Markup:
    """One element. `class_` is the attribute class, `aria_label` is aria-label; None and False leave one out."""
    shown = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escaped(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{name}{shown}/>" if name in _EMPTY else f"<{name}{shown}>{joined(*content)}</{name}>")


def breakable(name: str) -> Markup:
    """A name that may be broken into lines where its words end."""
    return Markup(re.sub(r"([._])(?=\w)", r"\1<wbr>", escaped(name)))


def data_block(value: object) -> Markup:
    """JSON for a script element that does not run. Nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
