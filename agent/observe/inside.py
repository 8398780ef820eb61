"""Where the time of a slow call went: the slow monitored calls inside it and their share.

Only slow calls write here, so that fast ones pay nothing: what was inside is told as far as it was slow itself. One
short list a thread; a call belongs to another where its path of operations goes on from the other's.
"""

from _thread import _local
from collections.abc import Sequence
from typing import NamedTuple, Optional

_MOST = 200


class Slow(NamedTuple):  # annotated with types, not with text: see model.py
    path: tuple[str, ...]
    start: float  # in seconds of the probe's clock
    duration: float


class Share(NamedTuple):
    operation: str
    times: int
    seconds: float
    share: float  # of the call that it was inside


class _Seen(_local):
    calls: Optional[list[Slow]] = None


_seen = _Seen()


def note(path: Sequence[str], start: float, duration: float) -> list[Share]:
    """Remember a slow call that has just ended; answers what was directly inside it, the longest first."""
    calls = _seen.calls
    if calls is None:
        calls = _seen.calls = []
    own = tuple(path)
    depth = len(own)
    inner = [each for each in calls if each.start >= start and len(each.path) > depth and each.path[:depth] == own]
    if len(calls) >= _MOST:
        del calls[: _MOST // 2]
    if inner:
        # What is nested deeper is part of the time of what it is nested in.
        calls[:] = [each for each in calls if each not in inner]
    calls.append(Slow(own, start, duration))
    shares: dict[str, Share] = {}
    for each in inner:
        operation = each.path[len(own)]
        if len(each.path) > len(own) + 1 and any(
            other.path == each.path[: len(own) + 1] and other.start <= each.start for other in inner
        ):
            continue
        known = shares.get(operation, Share(operation, 0, 0.0, 0.0))
        seconds = known.seconds + each.duration
        shares[operation] = Share(operation, known.times + 1, seconds, seconds / duration if duration else 0.0)
    return sorted(shares.values(), key=lambda share: -share.seconds)[:10]
