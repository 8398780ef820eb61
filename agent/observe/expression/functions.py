"""Functions for expressions that describe a value without revealing its content."""

from __future__ import annotations

import re
from typing import Any

from ...base.slots import ancestors_of, module_of, name_of
from ..around import people, work
from ..event.represent import type_name

_MOST = 100
_LONGEST_HOST = 255
_LONGEST_VERB = 25
_LONGEST_STATEMENT = 10_000  # characters that are looked at
_COMPOSED = ("psycopg.sql", "psycopg2.sql")
#: What libraries and programs make up: a UUID, with or without dashes, and longer or shorter digests.
_MADE_UP = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<![0-9a-z])[0-9a-f]{24,}(?![0-9a-z])"
_SHORTEST = 24  # of these
_OF_HOSTS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._:[]")


def keys(values: Any) -> list[str]:
    """The keys of a mapping, or of the mappings in a list or under numbers: texts only, sorted, at most 100.

    Raises TypeError for anything else, which might run a query or be consumed.
    """
    found: set[str] = set()
    for kind in (dict, list, tuple):
        if issubclass(type(values), kind):
            break
    else:
        raise TypeError("keys() takes a mapping, or a list of them")
    inner: list[Any] = []
    for item, _ in zip(kind.__iter__(values), range(_MOST)):
        if kind is not dict:
            inner.append(item)
        elif type(item) is str:
            found.add(item)
        elif type(item) is int:
            inner.append(dict.__getitem__(values, item))
    for mapping in inner:
        if issubclass(type(mapping), dict):
            found.update(key for key, _ in zip(dict.__iter__(mapping), range(_MOST)) if type(key) is str)
    return sorted(found)[:_MOST]


def fields(errors: Any) -> list[str]:
    """The fields that validation errors in a list are about, as pydantic gives them: `loc` in each, such as
    `("body", "items", 0, "price")`. Names only, dotted, sorted, at most 100. Raises TypeError for anything else.
    """
    if type(errors) not in (list, tuple):
        raise TypeError("fields() takes a list of validation errors")
    found = set()
    for error in errors[:_MOST]:
        place = error.get("loc") if type(error) is dict else None
        if type(place) is tuple or type(place) is list:  # what is no name is a key that was sent
            found.add(".".join([part for part in place[1:10] if type(part) is str and part.isidentifier()]))
    return sorted(found - {""})[:_MOST]


def given(values: Any) -> int:
    """How many values of a mapping are neither None nor an empty text. Raises TypeError for anything else."""
    if not issubclass(type(values), dict):
        raise TypeError("given() takes a mapping")
    return sum(value is not None and not (issubclass(type(value), str) and not value) for value in dict.values(values))


def login(credentials: Any) -> object:
    """The first text or number of a mapping under a name that is not that of a secret: who signs in, whatever the ERP
    calls it (`username`, `email`). None where there is none. Raises TypeError for anything else.
    """
    from ...privacy.names import is_secret

    if not issubclass(type(credentials), dict):
        raise TypeError("login() takes a mapping")
    for name, value in zip(dict.keys(credentials), dict.values(credentials)):
        if type(name) is str and (type(value) is str or type(value) is int) and value and not is_secret(name):
            return value
    return None


def chosen(name: Any) -> str:
    """A name or id that somebody has chosen; "" where it is made up, each time another one, in whole or in part."""
    if type(name) is not str or (len(name) >= _SHORTEST and re.search(_MADE_UP, name, re.IGNORECASE)):
        return ""
    return name


def kind_of(value: Any) -> str:
    """The dotted name of the value's class."""
    return type_name(type(value))


def classes(value: Any) -> list[str]:
    """The dotted names of the value's class and of all its base classes."""
    return [type_name(each) for each in ancestors_of(type(value))]


def request(what: Any) -> object:
    """`method`, `route`: those of the request that is being served, `task`: the name of the task that runs; "" where
    they are not known. `user`: the id of the one who makes the request, as far as it is loaded already, or None.
    Raises ValueError for anything else.
    """
    if what == "user":
        return people.current_id()
    if what == "task":
        return work.task()
    if what not in ("method", "route"):
        raise ValueError('request() takes "method", "route", "task" or "user"')
    doing = work.current()
    if doing is None:
        return ""
    found = doing.kind.method(doing.about) if what == "method" else doing.called or doing.kind.route(doing.about)
    return found if type(found) is str else ""


def verb(text: Any) -> str:
    """The first word of a command or statement, in capitals. Raises ValueError where it has other than letters."""
    head = _head(text, _LONGEST_VERB, "verb() takes text")
    word = (head.split(None, 1) or [""])[0].upper()
    if not (word.isascii() and word.isalpha() and len(word) < _LONGEST_VERB):
        raise ValueError("there is no word in front")
    return word


def host(url: Any) -> str:
    """Host or host:port of a URL, without credentials, path and query. Raises ValueError where it has none."""
    if issubclass(type(url), (bytes, bytearray)):
        url = bytes(url).decode("ascii", "replace")
    if not issubclass(type(url), str):
        raise TypeError("host() takes a URL as text")
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
    """An SQL statement on one line, without its literals and comments."""
    from ...privacy.sql import without_values

    head = _head(sql, _LONGEST_STATEMENT, "statement() takes an SQL statement as text")
    return without_values(head, comments=False)


def _head(text: Any, longest: int, error: str) -> str:
    if issubclass(type(text), (bytes, bytearray)):
        return bytes(text[:longest]).decode("utf-8", "replace")
    if module_of(type(text)) in _COMPOSED:
        text = _composed(text)
    if not issubclass(type(text), str):
        raise TypeError(error)
    return str.__getitem__(text, slice(0, longest))


def _composed(part: Any, depth: int = 5) -> str:
    """What psycopg and psycopg2 make of `SQL("… {}").format(…)`, without the values in it."""
    name = name_of(type(part))
    inner = getattr(part, "_obj", None) or getattr(part, "_wrapped", None)
    if name == "SQL" and type(inner) is str:
        return inner
    if name == "Identifier" and type(inner) is tuple:
        return ".".join(['"%s"' % each.replace('"', '""') for each in inner if type(each) is str])
    if name == "Composed" and type(inner) is list and depth > 0:
        return "".join([_composed(each, depth - 1) for each in inner[:_LONGEST_STATEMENT]])
    return "%s"
