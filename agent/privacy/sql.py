"""SQL without the values in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .patterns import Patterns

if TYPE_CHECKING:
    import re

_LITERAL = "%s"


_patterns = Patterns(
    #: The first match decides: a quote in a comment opens nothing, nor does a dash in a literal.
    part=(
        r"(?s)(?P<comment>/\*.*?(?:\*/|\Z)|--[^\n]*|#(?![>-])[^\n]*)"
        r"|(?P<name>\"[^\"]*\"?)"
        r"|\b[nN]?[qQ]'(?:\[.*?\]'|\{.*?\}'|\(.*?\)'|<.*?>')|'(?:[^'\\]|''|\\.)*'?|\$(?P<tag>\w{0,20})\$.*?(?:\$(?P=tag)\$|\Z)"
        # Not the number of a parameter, as `:1` is for Oracle and `?1` for SQLite.
        r"|\b0x[0-9A-Fa-f]+\b|(?<![\w$%.])(?!(?<=[\s(,=][:?])\d{1,3}\b)\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b"
    ),
    escaped=r"(?s)'.*'",
    identifier=r"\"[A-Za-z_][\w$]{0,62}\"\Z",
)


def without_values(sql: str, *, comments: bool = True) -> str:
    """The statement with its literals as %s; text in double quotes stays where it can be a name.

    Without `comments`, those are removed too, and the statement is on one line. A statement with names in backticks is
    MySQL's, where double quotes hold text.
    """
    plain = _plain if comments else _plain_lines
    if sql in plain:
        return sql
    result = _without_values(sql, comments)
    if result == sql and len(sql) <= _LONGEST_KNOWN:
        if len(plain) >= _MOST_KNOWN:
            plain.clear()
        plain.add(sql)
    return result


#: Statements that hold no values: an ERP repeats the same ones, with parameters.
_plain: set[str] = set()
_plain_lines: set[str] = set()
_MOST_KNOWN = 250
_LONGEST_KNOWN = 2_000  # characters


def _without_values(sql: str, comments: bool) -> str:
    quoting = "`" in sql

    def shown(found: re.Match[str]) -> str:
        comment = found["comment"]
        if comment is not None:
            return comment[:2] + _patterns.part.sub(_LITERAL, comment[2:]) if comments else " "
        named = found["name"]
        return named if named is not None and not quoting and _patterns.identifier.match(named) else _LITERAL

    if "\\'" in sql:  # the end of a literal in one dialect, and a quote in it in another
        sql = _patterns.escaped.sub(_LITERAL, sql)
    sql = _patterns.part.sub(shown, sql)
    return sql if comments else " ".join(sql.split())
