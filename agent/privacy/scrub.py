"""Turns represented JSON into an `Event`: everything in it that looks private is replaced, however deep it is.

`redact` finds what is private. Keys are judged like texts, and what is under a private name is replaced whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from .commands import private as private_arguments
from .names import LONGEST as LONGEST_NAME
from .names import MOST as MOST_NAMES
from .names import SCRUBBED, forgetful, is_secret
from .redact import clean_texts, encodable, number, text
from .tables import private_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ..base.model import Event, Json

_DEEPEST = 40


class Clean(dict[str, Any]):
    """JSON that was scrubbed when it was made, and is shared between events: never change one."""

    __slots__ = ()


_HEXADECIMAL = frozenset("0123456789abcdef-")
#: Lists of spans, logs and metrics. Half a million ids of spans hold some that look like an IBAN.
_LISTS = frozenset(("spans", "items"))
_TRACED = ("contexts.trace", "trace", *_LISTS)
_FROZEN = frozenset((
    "event_id", "sid", "check_in_id", "trace.public_key", "contexts.profile.profiler_id",
    *(f"{holder}.{name}" for holder in _TRACED for name in ("trace_id", "span_id", "parent_span_id")),
))  # fmt: skip
_FROZEN_PARENTS = frozenset(("", "contexts.profile", "contexts.erp", "tags", "user", *_TRACED))


def scrub(payload: dict[str, Json], *, keep: Collection[str] = ()) -> Event:
    """The only way from JSON to an `Event`.

    `payload` must be represented: exact JSON types only, anything else is a TypeError. `keep` names places such as
    `user.email` whose text somebody configured to leave as it is. Event and trace ids are left alone where they are
    hexadecimal, and so are instances of `Clean`.
    """
    return cast("Event", _mapping(payload, "", keep, 0))


def scrub_json(value: Json) -> Json:
    """Any represented value, scrubbed as a part of an event would be."""
    return _value(value, None, (), 0)


def _value(value: Json, path: str | None, keep: Collection[str], depth: int) -> Json:
    kind: Callable[..., object] = type(value)
    if kind is str:
        return text(cast("str", value))
    if value is None or kind is bool:
        return value
    if kind is int:
        return number(cast("int", value)) or value
    if kind is float:
        number_ = cast("float", value)
        return value if number_ - number_ == 0 else str(number_)
    if kind is Clean:
        return value
    if depth > _DEEPEST:
        return "[too deep]"
    if kind is dict:
        return _mapping(cast("dict[str, Json]", value), path, keep, depth)
    if kind is list:
        return _sequence(cast("list[Json]", value), path if path in _LISTS else None, keep, depth)
    raise TypeError(f"only represented JSON can be scrubbed, not {kind}")


_NAMING = frozenset(("name", "key", "field"))

#: Key → the key without what looks private, and whether what is under it is private by its name.
_known_keys: dict[str, tuple[str, bool]] = {}
forgetful.append(_known_keys.clear)


def _key(key: object) -> tuple[str, bool]:
    if type(key) is not str:
        raise TypeError(f"only represented JSON can be scrubbed, not a key of {type(key)}")
    clean = text(key)
    known = (clean, is_secret(key) or is_secret(clean))
    if len(key) <= LONGEST_NAME:
        if len(_known_keys) >= MOST_NAMES:
            _known_keys.clear()
        _known_keys[key] = known
    return known


def _mapping(value: dict[str, Json], path: str | None, keep: Collection[str], depth: int) -> dict[str, Json]:
    if type(value) is not dict:
        raise TypeError(f"only represented JSON can be scrubbed, not {type(value)}")
    watched = path is not None and path in _FROZEN_PARENTS
    result: dict[str, Json] = {}
    named: str | None = None
    for key, item in value.items():
        known = _known_keys.get(key)
        if known is None:
            known = _key(key)
        clean, secret = known
        kind = type(item)
        if not (watched or secret) and kind is str and item in clean_texts and clean not in result:
            result[clean] = item  # what nearly every text of an event is: seen before, and clean
            if key in _NAMING and is_secret(item):
                named = item
            continue
        place = None
        if path is not None and depth < 3 and (watched or kind is dict):
            place = f"{path}.{key}" if path else key
            if watched and type(item) is str:
                if place in keep:
                    result[key] = encodable(item[:200])
                    continue
                if place in _FROZEN and len(item) <= 36 and _HEXADECIMAL.issuperset(item):
                    result[key] = item
                    continue
        while clean in result:
            clean += "'"
        if secret and not (item is None or kind is bool):
            result[clean] = SCRUBBED
            continue
        if key in _NAMING and type(item) is str and is_secret(item):
            named = item
        result[clean] = _value(item, place, keep, depth + 1)
    if named is not None and result.get("value") is not None:
        result["value"] = SCRUBBED  # {"name": "password", "value": …}, as headers and form fields are often kept
    return result


def _sequence(value: list[Json], path: str | None, keep: Collection[str], depth: int) -> list[Json]:
    if len(value) == 2:
        name, held = value
        if type(name) is str and is_secret(name) and not (held is None or type(held) is bool):
            return [text(name), SCRUBBED]
    result = [_value(item, path, keep, depth + 1) for item in value]
    if len(value) > 1:
        first = type(value[0])
        if first is list:
            _rows(value, result)
        elif first is str:
            _arguments(value, result)
    return result


def _rows(value: list[Json], result: list[Json]) -> None:
    """Rows of a table whose first row names the columns."""
    header, *rows = cast("list[list[Json]]", value)
    columns = private_columns(header)
    if not columns:
        return
    for row, clean in zip(rows, result[1:]):
        if type(row) is list and type(clean) is list and len(row) == len(clean) == len(header):
            for place in columns:
                if not (row[place] is None or type(row[place]) is bool):
                    clean[place] = SCRUBBED


def _arguments(value: list[Json], result: list[Json]) -> None:
    """A command line, argument by argument."""
    words = [each if type(each) is str else "" for each in value]
    if not any(each[:1] == "-" or "/" in each for each in words):
        return
    for place, offset in private_arguments(words):
        if value[place] is not None:
            result[place] = text(words[place][:offset]) + SCRUBBED
