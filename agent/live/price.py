"""What the agent's code costs a call, in seconds: measured once in a process, when asked for, in a few milliseconds."""

from __future__ import annotations

import sys
from _io import BytesIO
from functools import lru_cache
from types import FunctionType
from typing import TYPE_CHECKING, cast

from ..base.clocks import IN_CODE, perf_counter
from ..hook.code import inject, trampoline
from ..measure.tallies import Tallies
from ..observe.call.cost import Cost

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.model import MonitorData

_CALLS, _ROUNDS = 500, 5


def of_a_call(monitor: MonitorData) -> float:
    """Of one that takes an item of a batch."""
    looks = monitor["thresholds"] or monitor["rules"] or monitor["audit"] or monitor["repeats"]
    return _of_a_call(bool(looks) or monitor["kind"] == "api")


def of_an_item() -> float:
    """Of one that does so without reading the clock."""
    return _of_a_call(clocked=False)


@lru_cache(None)
def _of_a_call(clocked: bool) -> float:
    features = trampoline.Features(
        threshold=clocked, counted=trampoline.AT_THE_END if clocked else trampoline.AT_THE_BEGINNING
    )
    batch = BytesIO(trampoline.ITEM * _CALLS)
    values = {
        "clock": IN_CODE[0], "fail": _nothing, "slow": _nothing, "limit": float("inf"), "batch": batch,
        "count": _nothing,
    }  # fmt: skip
    watched = FunctionType(_empty.__code__.replace(), {})
    code = inject.inject(watched.__code__, features, values) or trampoline.build(watched, features, values)
    watched = FunctionType(code, {})
    return max(0.0, _quickest(watched, lambda: batch.seek(0)) - _quickest(_empty))


@lru_cache(None)
def of_a_counted_call() -> float:
    """Of one that is counted by itself."""
    tally = Tallies().of(cast("MonitorData", {"name": "", "module": "", "kind": ""}), "")

    def counted() -> None:
        tally.begin()  # its batches stay empty
        tally.count(perf_counter())

    return _quickest(counted) + of_an_item()


@lru_cache(None)
def of_a_skipped_call() -> float:
    """Of a success that is not looked at: about what is done until that is known."""
    cost = Cost()
    cost.every = sys.maxsize
    cost.skips()

    def skipped() -> None:
        sys._getframe(1)
        _nothing()
        cost.skips()

    return _quickest(skipped)


def _nothing(*_: object) -> None:
    pass


def _empty() -> None:
    pass


def _quickest(call: Callable[[], object], before: Callable[[], object] = _nothing) -> float:
    """The time of one call, where nothing else took it."""
    best = float("inf")
    for _ in range(_ROUNDS):
        before()
        began = perf_counter()
        for _ in range(_CALLS):
            call()
        best = min(best, perf_counter() - began)
    return best / _CALLS
