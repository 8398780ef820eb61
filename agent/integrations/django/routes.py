"""Routes as a person writes them: Django's name of a route that is a regular expression is that expression."""

from __future__ import annotations

_MOST = 5_000  # routes that are kept
_known: dict[str, str] = {}


def readable(route: str) -> str:
    """`^api/(?P<pk>[0-9]+)/$` is `/api/<pk>/`; a group without a name is `<…>`. A route of `path` stays as it is."""
    shown = _known.get(route)
    if shown is None:
        if len(_known) >= _MOST:
            _known.clear()
        shown = _known[route] = "/" + _simplified(route, 0, len(route)).lstrip("/")
    return shown


def _simplified(route: str, at: int, end: int) -> str:
    shown: list[str] = []
    while at < end:
        sign = route[at]
        if sign == "\\":
            follows = route[at + 1 : at + 2]
            if follows not in ("A", "Z", "b", "B"):  # places between characters
                shown.append(f"\\{follows}" if follows.isalnum() else follows)
            at += 2
        elif sign == "(":
            close = _closing(route, at, end)
            shown.append(_group(route, at + 1, close))
            at = close + 1
        elif sign == "<":  # of `path`: `<int:number>`
            close = route.find(">", at, end)
            close = end if close < 0 else close + 1
            shown.append(route[at:close])
            at = close
        else:
            if sign not in "^$?*+":
                shown.append(sign)
            at += 1
    return "".join(shown)


def _group(route: str, at: int, close: int) -> str:
    if route[at : at + 3] == "?P<":
        return route[at + 2 : route.find(">", at, close) + 1]
    if route[at : at + 2] == "?:":
        inside = _simplified(route, at + 2, close)
        return "<…>" if "|" in inside else inside
    return "" if route[at : at + 1] == "?" else "<…>"  # one that looks ahead or behind takes no part of the path


def _closing(route: str, at: int, end: int) -> int:
    """Where the bracket that is opened at `at` is closed."""
    depth, in_set = 0, False
    while at < end:
        sign = route[at]
        if sign == "\\":
            at += 1
        elif in_set:
            in_set = sign != "]"
        elif sign == "[":
            in_set = True
            at += route[at + 1 : at + 2] == "^"
            at += route[at + 1 : at + 2] == "]"  # the first one is a member
        elif sign == "(":
            depth += 1
        elif sign == ")":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    return end
