"""Functions of expressions that tell what a value is about, and never what is in it."""

from __future__ import annotations

from typing import Any

from .represent import type_name

_MOST = 100
_LONGEST_HOST = 255
_LONGEST_STATEMENT = 10_000  # characters that are looked at
_OF_HOSTS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._:[]")


def names(values: Any) -> list[Any]:
    """The items of a built-in container, the keys of a mapping; at most 100. TypeError: anything else, which might run
    a query or be used up.
    """
    for kind in (dict, list, tuple, set, frozenset):
        if issubclass(type(values), kind):
            return [item for item, _ in zip(kind.__iter__(values), range(_MOST))]
    raise TypeError("list() takes a list, tuple, set or mapping")


def kind_of(value: Any) -> str:
    """The dotted name of the value's class."""
    return type_name(type(value))


def host(url: Any) -> str:
    """Host or host:port of an address, without credentials, path and query. ValueError: there is none in it."""
    if issubclass(type(url), (bytes, bytearray)):
        url = bytes(url).decode("ascii", "replace")
    if not issubclass(type(url), str):
        raise TypeError("host() takes an address as text")
    scheme, separator, rest = str.partition(url, "://")
    if not separator or not scheme.isascii():
        raise ValueError("there is no host in it")
    for end in "/?#\\":
        rest = rest.partition(end)[0]
    found = rest.rpartition("@")[2].lower()
    if not found or len(found) > _LONGEST_HOST or not _OF_HOSTS.issuperset(found):
        raise ValueError("there is no host in it")
    return found


def statement(sql: Any) -> str:
    """An SQL statement on one line, without its literals and comments: which statement it is, not what it is about."""
    from .sql import without_values

    if issubclass(type(sql), (bytes, bytearray)):
        sql = bytes(sql[:_LONGEST_STATEMENT]).decode("utf-8", "replace")
    if not issubclass(type(sql), str):
        raise TypeError("statement() takes an SQL statement as text")
    return without_values(str.__getitem__(sql, slice(0, _LONGEST_STATEMENT)), comments=False)
