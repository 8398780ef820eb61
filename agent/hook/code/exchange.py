"""Gives a function other code, at a moment when no thread is half-way into calling it.

CPython 3.9 and 3.10 look at a function's `__code__` before they allocate the frame of a call and again after that, and
to allocate a frame may collect garbage. What is collected may run Python code, and let another thread run. If that one
exchanged the code now, the frame would be as large as the one code needs and run the other: the interpreter crashes. So
the exchange is done while this thread collects, which only one thread does at a time. From 3.11 on frames lie on a
stack of their own.
"""

import sys
from _thread import allocate_lock, get_ident
from types import CodeType, FunctionType

from ...base.postponed import later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: How often, and for how many seconds, another thread that collects is waited for. Its finalizer may wait for us.
_PATIENCE, _PAUSE = 2000, 0.0005


def exchange(function: FunctionType, code: CodeType) -> None:
    """`function.__code__ = code`. Raises ValueError where the interpreter refuses the code."""
    if sys.version_info < (3, 11) and len(sys._current_frames()) > 1 and _while_collecting(function, code):
        return
    function.__code__ = code


def _while_collecting(function: FunctionType, code: CodeType) -> bool:
    import gc

    if not gc.isenabled():
        return False  # then to allocate collects nothing
    me = get_ident()
    never = allocate_lock()  # to wait for it sleeps, and no library has put something else in its place
    never.acquire()
    done: "list[BaseException | None]" = []

    def exchanging(phase: str, _: "dict[str, Any]") -> None:
        try:
            if phase == "start" and not done and get_ident() == me:
                function.__code__ = code
                done.append(None)
        except BaseException as error:  # what is raised here would be printed, and not raised there
            done.append(error) if get_ident() == me else later(error, sys._getframe().f_back)

    gc.callbacks.append(exchanging)
    try:
        for _ in range(_PATIENCE):
            gc.collect(0)  # does nothing while another thread is at it
            if done:
                break
            never.acquire(timeout=_PAUSE)
    finally:
        gc.callbacks.remove(exchanging)
    for struck in done:
        if struck is not None:
            raise struck
    return bool(done)
