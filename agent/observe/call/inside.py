"""Where the time of a slow call went: the slow monitored calls inside it, and the share of each.

Only slow calls are remembered, so that fast ones pay nothing. Each thread has one short list for all of its tasks and
greenlets: a call belongs to another only if that very call made it.

A call is identified by the address of its frame. That is enough: of the calls that began after another one, only those
inside it can name its frame, which exists for all that time.
"""

from _thread import _local
from types import FrameType
from typing import Optional

from ...base.records import Record
from . import callers

_MOST = 500


class Slow(Record):
    calls: tuple[int, ...]  # its own and those that it was inside, outermost first
    path: tuple[str, ...]  # their operations
    start: float  # in seconds of the probe's clock
    duration: float
    severity: str


class Share(Record):
    operation: str
    times: int
    seconds: float
    share: float  # of the call that it was inside


class _Thread(_local):
    slow: Optional[list[Slow]] = None


_thread = _Thread()


def remember(
    frame: FrameType, operation: str, start: float, duration: float, severity: str
) -> tuple[list[Share], Optional[Slow]]:
    """Remember a slow call that has just ended in `frame`.

    Returns what was directly inside it, the longest first; and the longest single one of these calls.
    """
    calls = _thread.slow
    if calls is None:
        calls = _thread.slow = []
    around = [(id(each), probe.called(each).operation) for each, probe in callers.calls(frame.f_back)][::-1]
    own = (*[each for each, _ in around], id(frame))
    path = (*[each for _, each in around], operation)
    depth = len(own)
    inner = [each for each in calls if each.start >= start and len(each.calls) > depth and each.calls[:depth] == own]
    if len(calls) >= _MOST:
        del calls[: _MOST // 2]
    if inner:
        # What is nested deeper is part of the time of what it is nested in.
        calls[:] = [each for each in calls if each not in inner]
    calls.append(Slow(own, path, start, duration, severity))
    shares: dict[str, Share] = {}
    longest: Optional[Slow] = None
    for each in inner:
        below = each.path[depth]
        if len(each.calls) > depth + 1 and any(
            other.calls == each.calls[: depth + 1] and other.start <= each.start for other in inner
        ):
            continue
        if longest is None or each.duration > longest.duration:
            longest = each
        known = shares.get(below, Share(below, 0, 0.0, 0.0))
        seconds = known.seconds + each.duration
        shares[below] = Share(below, known.times + 1, seconds, seconds / duration if duration else 0.0)
    return sorted(shares.values(), key=lambda share: -share.seconds)[:10], longest
