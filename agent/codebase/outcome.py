"""What the installed code has for one target."""

from __future__ import annotations

from typing import NamedTuple

FOUND, ELSEWHERE, MISSING, UNCHECKED = "found", "found elsewhere", "not found", "cannot be checked"


class Parameters(NamedTuple):
    names: tuple[str, ...]
    text: str  # (order, *, urgent=False)
    certain: bool  # no decorator might change them


class TargetOutcome(NamedTuple):
    status: str  # one of these four
    module: str = ""  # that holds the definition
    file: str = ""
    line: int = 0
    parameters: Parameters | None = None
    note: str = ""  # where it is re-exported from, or inherited from; what is around it
    reason: str = ""  # why it was not found or cannot be checked
    hint: str = ""
    kind: str = ""  # function | class | value
    absent: bool = False  # not even the top-level package is installed

    @property
    def found(self) -> bool:
        return self.status in (FOUND, ELSEWHERE)
