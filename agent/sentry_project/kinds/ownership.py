"""Ownership rules: which team or user owns the issues of a module. Ours stand in a block; the rest is people's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .. import recipients
from ..facts import Facts
from ..thing import Mark, Thing


def wanted(facts: Facts) -> Iterator[Thing]:
    owned = ((module.name, recipients.owner(facts.project, module.owner)) for module in facts.modules)
    rules = [f"tags.erp.module:{module} {_spelled(owner)}" for module, owner in owned if owner is not None]
    yield Thing("ownership", "", {"rules": rules})


def _spelled(owner: str) -> str:
    kind, _, name = owner.partition(":")
    return f"#{name}" if kind == "team" else name


def to_api(body: Mapping[str, Any], mark: Mark, raw: str) -> dict[str, Any]:
    """Our block goes first: of several rules that match, Sentry prefers the last, so that people's own ones win."""
    before, _, after = split(mark, raw)
    rules: list[str] = body["rules"]
    block = [_begin(mark), *rules, _end(mark)] if rules else []
    lines = [*before, *block, *after]
    return {"raw": "\n".join(lines) + ("\n" if lines else "")}


def from_api(mark: Mark, raw: str) -> dict[str, Any]:
    return {"rules": split(mark, raw)[1]}


def split(mark: Mark, raw: str) -> tuple[list[str], list[str], list[str]]:
    """The lines before our block, in it and after it. A block whose end was removed ends at its last rule of ours."""
    lines = raw.splitlines()
    if _begin(mark) not in lines:
        return [], [], lines
    start = lines.index(_begin(mark))
    rest = lines[start + 1 :]
    if _end(mark) in rest:
        end = rest.index(_end(mark))
        return lines[:start], rest[:end], rest[end + 1 :]
    end = next((at for at, line in enumerate(rest) if not line.startswith("tags.erp.module:")), len(rest))
    return lines[:start], rest[:end], rest[end:]


def _begin(mark: Mark) -> str:
    return f"# begin {mark.text}: from monitors.yaml; what is changed here is lost"


def _end(mark: Mark) -> str:
    return f"# end {mark.text}"
