"""SQL without the values in it. Imported when the first statement is to be told: it compiles patterns."""

from __future__ import annotations

import re

_literal = re.compile(
    r"'(?:[^'\\]|''|\\.)*'?|\$(\w{0,20})\$.*?(?:\$\1\$|\Z)|\b0x[0-9A-Fa-f]+\b"
    r"|(?<![\w$%.])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b",
    re.DOTALL,
)
_quoted = re.compile(r'"([^"]*)"?')
_identifier = re.compile(r"[A-Za-z_][\w$]{0,62}\Z")
_comment = re.compile(r"/\*.*?(?:\*/|\Z)|(?:--|#)[^\n]*", re.DOTALL)
_LITERAL = "%s"


def without_values(sql: str, *, comments: bool = True) -> str:
    """The statement with its literals as %s; what stands in double quotes stays where it can be a name.

    Without `comments`, those go too, and the statement comes on one line. A statement with names in backticks is
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


#: Statements that hold no values: an ERP says the same ones again and again, with parameters.
_plain: set[str] = set()
_plain_lines: set[str] = set()
_MOST_KNOWN = 250
_LONGEST_KNOWN = 2_000  # characters


def _without_values(sql: str, comments: bool) -> str:
    quoting = "`" in sql
    sql = _quoted.sub(lambda found: _LITERAL if quoting or not _identifier.match(found[1]) else found.group(), sql)
    sql = _literal.sub(_LITERAL, sql)
    return sql if comments else " ".join(_comment.sub(" ", sql).split())
