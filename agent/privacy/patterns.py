"""Regular expressions by name, each compiled when it is first used: a process that reports nothing pays for none.

What more than one file needs is here. Flags are in the pattern itself: `(?s)`, `(?i)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re

UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
#: What may be in front of the quotes of a Python literal.
PREFIX = r"[rRbBuUfFtT]{0,2}"
#: `{}`, `{order.number}`, `{price:{width}}`: a place that `format` or an f-string fills.
FIELD = r"\{[^{}]{0,1000}(?:\{[^{}]{0,100}\}[^{}]{0,100}){0,8}\}"


class Patterns:
    """`Patterns(digits="[0-9]+").digits` is the compiled pattern."""

    def __init__(self, **sources: str) -> None:
        self.sources = sources

    def __getattr__(self, name: str) -> re.Pattern[str]:
        source = self.__dict__.get("sources", {}).get(name)
        if source is None:
            raise AttributeError(name)
        import re

        pattern = self.__dict__[name] = re.compile(source)
        return pattern
