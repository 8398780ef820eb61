"""Descriptions and data of spans, cleaned: no values of statements, no keys, no queries of addresses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..base.interrupts import ours
from ..observe.expression import functions
from ..privacy import redact
from ..privacy.sql import without_values

if TYPE_CHECKING:
    from ..base.model import Json

_KNOWN: dict[tuple[str, str], str] = {}
_MOST_KNOWN = 1_000
_LONGEST_KNOWN = 2_000

_IDENTIFIES = re.compile(r"^\d+$|\d\d|[^@]@|%|:")
_LONGEST_WORD = 40

_WORD = re.compile(r"[A-Za-z_][A-Za-z_.-]{0,40}\Z")


def description(op: str, given: object) -> str:
    """The description of a span as it may leave. Equal ones are looked at once."""
    text = given if type(given) is str else str(given)
    known = _KNOWN.get((op, text))
    if known is None:
        known = redact.text(_shown(op, text))
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        if len(text) <= _LONGEST_KNOWN:
            _KNOWN[op, text] = known
    return known


redact.forgetful.append(_KNOWN.clear)


def _shown(op: str, text: str) -> str:
    if op == "db":
        return without_values(text, comments=False)
    if op == "db.redis":
        return _verb(text)
    if op.startswith("cache."):
        return key(text)
    if op.startswith("http"):
        return address(text)
    return text


def value(label: str, given: object) -> Json:
    """Data of a span; None for what is not to be there."""
    if type(given) is str:
        if label == "cache.key":
            return [key(given)]
        return description("http" if label.startswith("url") else "", given)
    return given if type(given) in (int, float, bool) else None  # type: ignore[return-value]


def _verb(text: str) -> str:
    try:
        return functions.verb(text)
    except ours(ValueError):
        return "command"


def key(given: str) -> str:
    """A cache's key without what identifies something: `prices:*` of `prices:4711`."""
    parts = given.split(":")
    while parts and (not parts[0] or parts[0].isdigit()):  # Django's prefix and version
        del parts[0]
    return f"{parts[0]}:*" if len(parts) > 1 and _WORD.match(parts[0]) else "*"


def address(given: str) -> str:
    """`GET https://host/path`, without credentials, query and fragment."""
    method, _, url = given.rpartition(" ")
    url = re.split(r"[?#]", url, maxsplit=1)[0]
    scheme, separator, rest = url.partition("://")
    if separator:
        host, slash, path = rest.partition("/")
        url = scheme + separator + host.rpartition("@")[2] + slash + path
    return f"{method} {url}".strip()


def place(path: str) -> str:
    """The path of a request with `*` where it identifies something: `/orders/*/lines` of `/orders/4711/lines`."""
    return "/".join(
        ["*" if _IDENTIFIES.search(part) or len(part) > _LONGEST_WORD else part for part in path.split("/")]
    )
