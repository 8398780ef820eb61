"""`of_others`: a context in which the stacks of other threads are read.

On CPython 3.11, `f_back` makes the frame object of the caller, and making it may start a collection of garbage. What
that frees may release the interpreter (a file, a connection, a `__del__`): the other thread goes on, the caller's frame
ends, and a frame object is made of memory that is no longer one. The process crashes, or follows frames for ever. So no
collection starts in this context. Before 3.11 all frames are objects, and from 3.12 on a collection waits until C code
has returned.
"""

import gc
import sys
from _thread import allocate_lock

from ...base.postponed import around_forks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class _Paused:
    """Of two threads that look, one waits. Code of the host's must not run in it."""

    def __init__(self) -> None:
        self._turn = allocate_lock()
        self._was_on = False

    def __enter__(self) -> None:
        self._turn.acquire()
        self._was_on = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        if self._was_on:
            gc.enable()
        self._was_on = False
        self._turn.release()

    def after_fork(self) -> None:
        """The thread that was in it is not in the child."""
        if self._was_on:
            gc.enable()
        self._turn, self._was_on = allocate_lock(), False


class _Unneeded:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


of_others: "AbstractContextManager[None]" = _Unneeded()

if sys.version_info[:2] == (3, 11):
    of_others = _paused = _Paused()
    around_forks(after_in_child=_paused.after_fork)
