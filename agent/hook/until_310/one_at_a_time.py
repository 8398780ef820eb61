"""For CPython 3.9, which lets other threads run between any two instructions.

Later versions do so at calls and loops only, so that `row[index] += 1` is one step for other threads. Here, a function
that does that is called by one thread at a time: one that finds another at it leaves its call to that one, and goes on.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock, get_ident
from collections import deque
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from ...base.interrupts import ours
from ...base.postponed import around_forks

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = tuple[Callable[..., None], tuple[Any, ...], dict[str, Any]]

_MANY = 1000  # calls that are left to another thread; who leaves one more lets that one run first
_PATIENCE = 10.0  # seconds in which calls are left and none is made: then whoever has the turn is looked for

_left: deque[Call] = deque()
_turn = allocate_lock()
_whose = 0  # the thread that has it
_made = 0  # calls that had a turn
_seen = -1  # how many those were when a call was left
_since = 0.0  # when that was first seen


def one_at_a_time(work: Callable[..., None], later: Callable[..., Call] | None = None) -> Callable[..., None]:
    """Return `work` for one thread at a time.

    `later` returns, for a call that is left to another thread, what that one is to call.
    """

    def leave(*arguments: Any, **options: Any) -> None:
        global _turn, _whose, _made, _seen, _since
        me = get_ident()
        if _whose == me:
            work(*arguments, **options)
            return
        turn = _turn
        if turn.acquire(False):
            try:
                _whose = me
                _made += 1
                work(*arguments, **options)
            finally:
                _whose = 0
                turn.release()
        else:
            _left.append((work, arguments, options) if later is None else later(*arguments, **options))
            now = monotonic()
            if _made != _seen:
                _seen, _since = _made, now
            elif now - _since > _PATIENCE:
                _since += 1.0
                if not _is_at_it(_whose):
                    _turn, _since = allocate_lock(), now
            elif len(_left) > _MANY:
                sleep(0)
        while _left:
            turn = _turn
            if not turn.acquire(False):
                return
            try:
                _whose = me
                while _left:
                    next_work, next_arguments, next_options = _left.popleft()
                    _made += 1
                    next_work(*next_arguments, **next_options)
            except ours(IndexError):
                pass
            finally:
                _whose = 0
                turn.release()

    return leave


def _is_at_it(thread: int) -> bool:
    """False where an exception of the host's has struck the thread just where it takes its turn, or gives it back.

    Whose turn it is (0: nobody's) is written next to both, which takes no second.
    """
    frame = sys._current_frames().get(thread)
    while frame is not None and frame.f_globals is not globals():
        frame = frame.f_back
    return frame is not None


def _renew() -> None:
    global _turn, _whose
    _left.clear()
    _turn = allocate_lock()
    _whose = 0


around_forks(after_in_child=_renew)
