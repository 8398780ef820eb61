"""`context`: the functions that say where an event happened, and what of their result it tells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ...language import expressions
from ...language.targets import TargetError, parse_target
from ..read.document import place_within, position, written

if TYPE_CHECKING:
    from ...base.model import ContextData, ExpressionData, TargetData
    from ..findings import Findings
    from ..read.document import Document
    from ..read.node import Key

_SECTIONS = ("read", "tags", "user")
_KNOWN = "result"


def providers(documents: list[Document], findings: Findings) -> list[ContextData]:
    """Those that are right, of all files in their order. Of two with one name the first stays."""
    found: list[ContextData] = []
    first: dict[str, str] = {}
    for document in documents:
        given = document.value.get("context")
        for index, value in enumerate(given if isinstance(given, list) else ()):
            if not isinstance(value, dict):
                continue
            path: tuple[Key, ...] = ("context", index)
            _check_name(document, path, value.get("name"), first, findings)
            provider = _provider(document, path, value, findings)
            if provider is not None:
                found.append(provider)
    return found


def _provider(
    document: Document, path: tuple[Key, ...], value: dict[str, Any], findings: Findings
) -> ContextData | None:
    target = _target(document, (*path, "target"), value.get("target"), findings)
    sections: dict[str, dict[str, ExpressionData]] = {}
    for section in _SECTIONS:
        given = value.get(section)
        sections[section] = {}
        for name, text in given.items() if isinstance(given, dict) else ():
            parsed = _expression(document, (*path, section, name), text, findings)
            if parsed is not None:
                sections[section][name] = parsed
    if not any(value.get(section) for section in _SECTIONS) and not findings.is_wrong(document, *path):
        findings.add(
            document,
            path,
            "missing-key",
            "the provider has no `read`, `tags` or `user`",
            "say what of the function's result is told: `read: {company: result.company_id}`",
        )
    if target is None or findings.is_wrong(document, *path):
        return None
    return {
        "name": value["name"],
        "target": target,
        "read": sections["read"],
        "tags": sections["tags"],
        "user": sections["user"],
    }


def _check_name(
    document: Document, path: tuple[Key, ...], name: object, first: dict[str, str], findings: Findings
) -> None:
    if not isinstance(name, str) or findings.has(document, (*path, "name")):
        return
    where = f"{document.shown}:{position(document, path).line}"
    other = first.setdefault(name, where)
    if other is not where:
        shown = (written(document, (*path, "name")) or "")[:100]
        message = f"the provider in {other} is called `{shown}` too"
        findings.add(document, (*path, "name"), "duplicate-name", message, "rename one, or put both into one")


def _target(document: Document, path: tuple[Key, ...], text: object, findings: Findings) -> TargetData | None:
    if not isinstance(text, str) or findings.has(document, path):
        return None
    try:
        target = parse_target(text)
        if target["pattern"]:
            raise TargetError("one function is called, so `*` cannot stand here", "spell it out")
    except TargetError as error:
        shown = (written(document, path) or "")[:100]
        findings.add(document, path, "bad-target", f"`{shown}`: {error}", error.hint)
        return None
    return target


def _expression(document: Document, path: tuple[Key, ...], text: object, findings: Findings) -> ExpressionData | None:
    if not isinstance(text, str) or findings.has(document, path):
        return None
    try:
        parsed = expressions.parse(text)
        strange = next((name for name in parsed["names"] if name != _KNOWN), None)
        if strange is not None:
            column = re.search(rf"(?<![\w.]){strange}\b", text)
            raise expressions.ExpressionError(
                f"`{strange}` is not known here: only `{_KNOWN}` is, what the function gave",
                column.start() + 1 if column else 1,
                f"did you mean `{_KNOWN}.{strange}`?" if strange not in expressions.SPECIAL else "",
            )
    except expressions.ExpressionError as error:
        mark = place_within(document, path, error.column)
        findings.add(document, path, "bad-expression", f"column {error.column}: {error}", error.hint, mark=mark)
        return None
    return parsed
