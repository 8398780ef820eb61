"""Is a module of the ERP well? The page's terms state the same rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...measure.figures import Counts
    from .measures import Operation

#: The worst first.
STATES = ("errors", "slow", "well", "quiet")

#: Shares of the calls from which failures, and slow calls, are too many.
MANY_FAILURES, MANY_SLOW = 0.01, 0.05
#: Of one operation, so many at least: of twenty calls, one that failed is no news.
_LEAST = 10


class State(NamedTuple):
    word: str  # one of STATES
    where: Operation | None = None  # the operation to look at first


def state_of(counts: Counts, recent: Counts, operations: Sequence[Operation]) -> State:
    """`counts` are those of the module over the period, `recent` those of the last hour."""
    if not counts.calls:
        return State("quiet")
    for word, number, many in (("errors", grave, MANY_FAILURES), ("slow", _slow, MANY_SLOW)):
        too_many = [each for each in operations if number(each.counts) >= max(_LEAST, many * each.counts.calls)]
        if too_many or number(counts) >= many * counts.calls or (word == "errors" and recent.by_severity.get("fatal")):
            return State(word, max(too_many or operations, key=_by(number), default=None))
    return State("well")


def grave(counts: Counts) -> int:
    """Failures of severity error and fatal."""
    failed = counts.by_severity
    return failed.get("error", 0) + failed.get("fatal", 0)


def _slow(counts: Counts) -> int:
    return counts.slow


def _by(number: Callable[[Counts], int]) -> Callable[[Operation], int]:
    return lambda operation: number(operation.counts)
