"""Gives a function other code at a moment when no other thread is half-way into calling it.

CPython 3.9 and 3.10 read a function's `__code__` before they allocate the frame of a call, and again afterwards. In
between, the garbage collector may run, which may run Python code and switch threads. If another thread replaced the
code then, the frame would have the size of one code object and run the other: the interpreter crashes.
Therefore the code is replaced while this thread runs the collector, which only one thread does at a time. From 3.11 on,
frames lie on a stack of their own.
"""

import sys
from _thread import allocate_lock, get_ident
from types import CodeType, FunctionType

from ...base.postponed import later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: How often, and for how many seconds each, to wait for another thread that collects. Its finalizer may wait for us.
PATIENCE, _PAUSE = 2000, 0.0005


def replace_code(function: FunctionType, code: CodeType) -> None:
    """`function.__code__ = code`. Raises ValueError where the interpreter refuses the code."""
    if len(sys._current_frames()) == 1 or not _while_collecting(function, code):
        function.__code__ = code


def _while_collecting(function: FunctionType, code: CodeType) -> bool:
    import gc

    if not gc.isenabled():
        return False  # then allocating a frame does not run it
    me = get_ident()
    never = allocate_lock()  # waiting for it sleeps, and no library has replaced it
    never.acquire()
    done: "list[BaseException | None]" = []

    def replace(phase: str, _: "dict[str, Any]") -> None:
        try:
            if phase == "start" and not done and get_ident() == me:
                function.__code__ = code
                done.append(None)
        except BaseException as error:  # the collector would print what is raised here
            done.append(error) if get_ident() == me else later(error, sys._getframe().f_back)

    gc.callbacks.append(replace)
    try:
        for _ in range(PATIENCE):
            gc.collect(0)  # does nothing while another thread collects
            if done:
                break
            never.acquire(timeout=_PAUSE)
    finally:
        gc.callbacks.remove(replace)
    for error in done:
        if error is not None:
            raise error
    return bool(done)
