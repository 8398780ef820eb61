"""What the schema cannot say of a value: a unit that its pattern lets pass, a ladder whose steps are in disorder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import units
from .inherit import check_ladder
from .merge import Placed

if TYPE_CHECKING:
    from .document import Document
    from .findings import Findings
    from .node import Key


def check_unit(
    document: Document,
    path: tuple[Key, ...],
    mapping: dict[str, Any],
    parse: Any,
    slug: str,
    findings: Findings,
    *,
    switch: bool = False,
) -> None:
    """What a unit's parser refuses though its pattern passed in the schema: `0s`, or 400 days."""
    key = path[-1]
    if not isinstance(key, str) or key not in mapping or findings.has(document, path):
        return
    value = mapping[key]
    if switch and units.is_off(value):
        return
    try:
        parse(value)
    except units.UnitError as error:
        findings.add(document, path, slug, str(error), error.hint)


def check_ladder_at(document: Document, path: tuple[Key, ...], mapping: dict[str, Any], findings: Findings) -> None:
    """The ladder that `mapping` holds under the last key of `path`, if it holds one."""
    ladder = mapping.get(str(path[-1]))
    if not isinstance(ladder, dict):
        return
    for key in ladder:
        check_unit(document, (*path, key), ladder, units.duration, "bad-duration", findings)
    if not findings.is_wrong(document, *path):
        check_ladder(Placed(document, path, ladder), findings)
