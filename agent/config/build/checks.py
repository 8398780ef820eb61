"""What the schema cannot say of a value: a unit that its pattern lets pass, a ladder whose steps are in disorder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...language import units
from .inherit import check_ladder
from .merge import Placed

if TYPE_CHECKING:
    from ..findings import Findings
    from ..read.document import Document
    from ..read.node import Key


#: Seconds; few calls that somebody watches take so long.
_LONG = 60


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


def check_bare(document: Document, path: tuple[Key, ...], value: object, findings: Findings) -> None:
    """A number of seconds that was meant as milliseconds, mostly: a threshold that no call ever reaches."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= _LONG:
        message = f"a number without a unit counts seconds: this is {value:g} seconds"
        hint = f"write `{value}s` if that is meant, else `{value}ms`"
        if not findings.has(document, path):
            findings.add(document, path, "bare-number", message, hint, severity="warning")


def check_ladder_at(document: Document, path: tuple[Key, ...], mapping: dict[str, Any], findings: Findings) -> None:
    """The ladder that `mapping` holds under the last key of `path`, if it holds one."""
    ladder = mapping.get(str(path[-1]))
    if not isinstance(ladder, dict):
        return
    for key in ladder:
        check_unit(document, (*path, key), ladder, units.duration, "bad-duration", findings)
        check_bare(document, (*path, key), ladder[key], findings)
    if not findings.is_wrong(document, *path):
        check_ladder(Placed(document, path, ladder), findings)
