"""What `status` lists of the running processes: the same problems, with the same words."""

from __future__ import annotations

from collections.abc import Iterator

from ..state.problems import WRONG, problems
from ..state.whole import Whole
from .finding import FAIL, OK, WARN, Finding
from .installation import Installation

#: Other checks look at these, and know more of them.
_ELSEWHERE = frozenset((
    "configuration-missing", "nothing-monitored", "not-in-force", "last-good-plan", "state-folder", "spool-unknown",
    "unsupported-release",
))  # fmt: skip


def check(installation: Installation) -> Iterator[Finding]:
    found = [each for each in problems(Whole(installation.config)) if each.weight >= WRONG]
    found = [each for each in found if each.slug not in _ELSEWHERE]
    for each in found:
        state = FAIL if each.severity == "error" else WARN
        yield Finding(each.slug, state, each.text, each.where, each.hint)
    if not found:
        yield Finding("monitoring", OK, "status lists no other problem")
