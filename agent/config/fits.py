"""A JSON Schema as a function: whether a value is valid, and nothing about why.

It has the keywords that the schema of monitors.yaml uses, for values of exact builtin types, without references. On
10,000 monitors that are right it takes a small part of the time that jsonschema takes, which is asked only why one is
not. The items of a list are alike: what was valid inside of one is not looked at again inside of another.
"""

from __future__ import annotations

import marshal
import re
from typing import Any, Callable

Check = Callable[[Any], bool]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,), "array": (list,),
    "object": (dict,), "null": (type(None),),
}  # fmt: skip
_EVERY = tuple({each: None for types in _TYPES.values() for each in types})
_SAY_NOTHING = {"title", "description", "examples", "default", "$schema", "$id", "then", "else"}


#: Of mappings and lists, and of shapes, that are known to be valid in one place.
_MOST_KNOWN = 1000


def compiled(schema: Any, *, is_item: bool = False) -> Check:
    """Raises KeyError for a keyword that is not known here."""
    if isinstance(schema, bool):
        return lambda _: schema
    by_type: dict[type, list[Check]] = {each: [] for each in _EVERY}
    for keyword, given in schema.items():
        if keyword == "type":
            names = [given] if isinstance(given, str) else given
            allowed = {each for name in names for each in _TYPES[name]}
            for each in by_type.keys() - allowed:
                if each is float and "integer" in names:
                    by_type[float].append(float.is_integer)  # 1.0 is an integer
                else:
                    del by_type[each]
        elif keyword in _MAPPING:
            continue
        elif keyword not in _SAY_NOTHING:
            types, make = _KEYWORDS[keyword]
            check = make(given, schema)
            for each in types:
                if each in by_type:
                    by_type[each].append(check)
    if dict in by_type and not _MAPPING.isdisjoint(schema):
        by_type[dict].append(_mapping(schema, is_item))
    table = {each: _all(checks) for each, checks in by_type.items()}

    def fits(value: Any) -> bool:
        check = table.get(value.__class__)
        return check is not None and check(value)

    return fits


def _all(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks
        return lambda value: first(value) and second(value)

    def every(value: Any) -> bool:
        for check in checks:  # noqa: SIM110  (a generator costs more than the checks)
            if not check(value):
                return False
        return True

    return every


_MAPPING = {"properties", "patternProperties", "additionalProperties", "propertyNames"}


def _mapping(schema: dict[str, Any], is_item: bool) -> Check:
    known = {name: compiled(inner) for name, inner in schema.get("properties", {}).items()}
    given = schema.get("patternProperties", {})
    patterns = [(re.compile(text).search, compiled(inner)) for text, inner in given.items()]
    other = compiled(schema.get("additionalProperties", True))
    name_fits = compiled(schema["propertyNames"]) if "propertyNames" in schema else None

    def mapping(value: dict[str, Any]) -> bool:
        for key, item in value.items():
            check = known.get(key)
            if check is None:
                if not patterns:
                    if not other(item):
                        return False
                else:
                    matching = [fits for search, fits in patterns if search(key)]
                    if not all([fits(item) for fits in matching] or [other(item)]):
                        return False
            elif not check(item) or not all(fits(item) for search, fits in patterns if search(key)):
                return False
            if name_fits is not None and not name_fits(key):
                return False
        return True

    def plain_mapping(value: dict[str, Any]) -> bool:
        for key, item in value.items():
            check = known.get(key)
            if check is None or not check(item):
                return False
        return True

    valid: dict[bytes, Check] = {}

    def item_of_many(value: dict[str, Any]) -> bool:
        for key, item in value.items():
            check = known.get(key)
            if check is None:
                return False
            if item.__class__ is dict or item.__class__ is list:
                text = marshal.dumps(item, 2)  # equal values, equal bytes
                if valid.get(text) is not check:
                    if not check(item):
                        return False
                    if len(valid) < _MOST_KNOWN:
                        valid[text] = check
            elif not check(item):
                return False
        return True

    if schema.get("additionalProperties") is False and not patterns and name_fits is None:
        return item_of_many if is_item else plain_mapping
    return mapping


def _equal(one: Any, other: Any) -> bool:
    """As JSON sees it: 1 is 1.0 and not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return bool(one == other)


def _enum(allowed: list[Any], _: Any) -> Check:
    texts = {each for each in allowed if isinstance(each, str)}
    others = [each for each in allowed if not isinstance(each, str)]

    def listed(value: Any) -> bool:
        return value in texts if isinstance(value, str) else any(_equal(value, each) for each in others)

    return listed


def _all_of(given: list[Any], _: Any) -> Check:
    """Mostly conditions on which keys there are, and what text is under one or two of them: decided once a shape."""
    check = _all([compiled(each) for each in given])
    names = _read(given)
    if names is None:
        return check
    read = tuple(names)
    valid: set[tuple[Any, ...]] = set()

    def fits(value: Any) -> bool:
        if value.__class__ is not dict:
            return check(value)
        shape: list[Any] = [*value]
        for name in read:
            item = value.get(name)
            if item is not None and item.__class__ is not str:
                return check(value)
            shape += (name, item)
        key = tuple(shape)
        if key in valid:
            return True
        if not check(value):
            return False
        if len(valid) < _MOST_KNOWN:
            valid.add(key)
        return True

    return fits


def _read(schema: Any) -> set[str] | None:
    """The keys of a mapping on whose values it depends whether it is valid; None where on more than keys."""
    if isinstance(schema, bool):
        return set()
    names: set[str] = set()
    parts: dict[str, Any] = {"allOf": schema} if isinstance(schema, list) else schema
    for keyword, given in parts.items():
        if keyword in ("allOf", "if", "then", "else", "not"):
            inner = [_read(each) for each in (given if isinstance(given, list) else [given])]
            if None in inner:
                return None
            names.update(*filter(None, inner))
        elif keyword == "properties":
            names.update(name for name, each in given.items() if _read(each) != set())
        elif keyword != "required" and keyword not in _SAY_NOTHING:
            return None
    return names


def _if(condition: Any, schema: dict[str, Any]) -> Check:
    applies = compiled(condition)
    then, otherwise = compiled(schema.get("then", True)), compiled(schema.get("else", True))
    return lambda value: then(value) if applies(value) else otherwise(value)


def _not(schema: Any, _: Any) -> Check:
    fits = compiled(schema)
    return lambda value: not fits(value)


def _items(schema: Any, _: Any) -> Check:
    fits = compiled(schema, is_item=True)
    return lambda value: all(map(fits, value))


def _required(names: list[str], _: Any) -> Check:
    wanted = frozenset(names)
    return lambda value: wanted <= value.keys()


def _pattern(text: str, _: Any) -> Check:
    search = re.compile(text).search
    return lambda value: search(value) is not None


def _unique(given: bool, _: Any) -> Check:
    return lambda value: not (given and any(_equal(one, other) for at, one in enumerate(value) for other in value[:at]))


_NUMBERS = (int, float)

#: Keyword → the types that it constrains, and what makes the check.
_KEYWORDS: dict[str, tuple[tuple[type, ...], Callable[[Any, dict[str, Any]], Check]]] = {
    "enum": (_EVERY, _enum),
    "const": (_EVERY, lambda given, _: lambda value: _equal(value, given)),
    "not": (_EVERY, _not),
    "allOf": (_EVERY, _all_of),
    "if": (_EVERY, _if),
    "pattern": ((str,), _pattern),
    "minLength": ((str,), lambda given, _: lambda value: len(value) >= given),
    "maxLength": ((str,), lambda given, _: lambda value: len(value) <= given),
    "minimum": (_NUMBERS, lambda given, _: lambda value: value >= given),
    "maximum": (_NUMBERS, lambda given, _: lambda value: value <= given),
    "exclusiveMinimum": (_NUMBERS, lambda given, _: lambda value: value > given),
    "items": ((list,), _items),
    "minItems": ((list,), lambda given, _: lambda value: len(value) >= given),
    "uniqueItems": ((list,), _unique),
    "required": ((dict,), _required),
    "minProperties": ((dict,), lambda given, _: lambda value: len(value) >= given),
    "maxProperties": ((dict,), lambda given, _: lambda value: len(value) <= given),
}
