"""For CPython 3.9, which lets other threads run between any two instructions.

Later versions do so at calls and loops only, so that `row[index] += 1` is one step for other threads. Here, a function
that does that is called by one thread at a time: one that finds another at it leaves its call to that one, and goes on.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock, get_ident
from collections import deque
from time import sleep
from typing import TYPE_CHECKING, Any

from ...base.clocks import monotonic
from ...base.interrupts import ours
from ...base.postponed import around_forks

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = tuple[Callable[..., None], tuple[Any, ...], dict[str, Any]]

_MANY = 1000  # calls that are left to another thread; who leaves one more lets that one run first
_PATIENCE = 10.0  # seconds in which calls are left and none is made: then whoever has the turn is looked for


class Turns:
    """Its instances are decorators. What one of them decorates is called by one thread at a time."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._left: deque[Call] = deque()
        self._made = 0  # calls that had a turn
        self._seen = -1  # how many those were when a call was left
        self._since = 0.0  # when that was first seen
        self.begin()

    def begin(self) -> None:
        """For a forked child: the others are not there."""
        self._left.clear()
        self.turn = allocate_lock()
        self.whose = 0  # the thread that has it

    def __call__(self, work: Callable[..., None], later: Callable[..., Call] | None = None) -> Callable[..., None]:
        """`later` returns, for a call that is left to another thread, what that one is to call."""

        def leave(*arguments: Any, **options: Any) -> None:
            me = get_ident()
            if self.whose == me:
                work(*arguments, **options)
                return
            turn = self.turn
            if turn.acquire(False):
                try:
                    self.whose = me
                    self._made += 1
                    work(*arguments, **options)
                finally:
                    self.whose = 0
                    turn.release()
            else:
                self._left.append((work, arguments, options) if later is None else later(*arguments, **options))
                self._wait_or_not()
            if self._left:
                self._make_what_is_left(me)

        return leave

    def _wait_or_not(self) -> None:
        now = self._clock()
        if self._made != self._seen:
            self._seen, self._since = self._made, now
        elif now - self._since > _PATIENCE:
            self._since += 1.0
            if not _is_at_it(self.whose):
                self.turn, self._since = allocate_lock(), now
        elif len(self._left) > _MANY:
            sleep(0)

    def _make_what_is_left(self, me: int) -> None:
        while self._left:
            turn = self.turn
            if not turn.acquire(False):
                return
            try:
                self.whose = me
                while self._left:
                    work, arguments, options = self._left.popleft()
                    self._made += 1
                    work(*arguments, **options)
            except ours(IndexError):
                pass
            finally:
                self.whose = 0
                turn.release()


def _is_at_it(thread: int) -> bool:
    """False where an exception of the host's has struck the thread just where it takes its turn, or gives it back.

    Whose turn it is (0: nobody's) is written next to both, which takes no second.
    """
    frame = sys._current_frames().get(thread)
    while frame is not None and frame.f_globals is not globals():
        frame = frame.f_back
    return frame is not None


one_at_a_time = Turns()
around_forks(after_in_child=one_at_a_time.begin)
