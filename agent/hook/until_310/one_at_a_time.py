"""For CPython 3.9, which lets other threads run between any two instructions.

Later versions do so at calls and loops only, so that `row[index] += 1` is one step for other threads. Here, a function
that does that is called by one thread at a time: one that finds another at it leaves its call to that one, and goes on.
"""

from __future__ import annotations

from _thread import allocate_lock, get_ident
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any

from ...base.interrupts import ours
from ...base.postponed import around_forks

if TYPE_CHECKING:
    from collections.abc import Callable

_MANY = 10_000  # calls that are left to another thread
_MOMENT = 5.0  # seconds in which whoever has taken it writes so, however busy the machine is
_PATIENCE = 10.0  # seconds that there are so many: that thread was interrupted for good

_left: deque[tuple[Callable[..., None], tuple[Any, ...], dict[str, Any]]] = deque()
_turn = allocate_lock()
_whose = 0  # the thread that has it
_since = 0.0  # when so many were left
_nobody = 0.0  # since when it is taken, and nobody's


def one_at_a_time(work: Callable[..., None]) -> Callable[..., None]:
    def leave(*arguments: Any, **options: Any) -> None:
        global _turn, _whose, _since, _nobody
        me = get_ident()
        if _whose == me:
            work(*arguments, **options)
            return
        turn = _turn
        if turn.acquire(False):
            try:
                _whose, _nobody = me, 0.0
                work(*arguments, **options)
            finally:
                _whose = 0
                turn.release()
        else:
            _left.append((work, arguments, options))
            now = monotonic()
            if len(_left) == _MANY:
                _since = now
            if _whose:
                _nobody = 0.0
            elif not _nobody:
                _nobody = now  # somebody may be about to write whose it is, or about to give it back
            # Nobody's: an exception of the host's struck just there.
            gone = _nobody and now - _nobody > _MOMENT
            if gone or (len(_left) > _MANY and now - _since > _PATIENCE):
                _turn, _nobody = allocate_lock(), 0.0
        while _left:
            turn = _turn
            if not turn.acquire(False):
                return
            try:
                _whose, _nobody = me, 0.0
                while _left:
                    next_work, next_arguments, next_options = _left.popleft()
                    next_work(*next_arguments, **next_options)
            except ours(IndexError):
                pass
            finally:
                _whose = 0
                turn.release()

    return leave


def _renew() -> None:
    global _turn, _whose
    _left.clear()
    _turn = allocate_lock()
    _whose = 0


around_forks(after_in_child=_renew)
