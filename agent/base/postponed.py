"""What a host raises into a hook of ours around a fork is raised after that, in the host; what is freed runs no hook.

Python prints what such a hook raises, and goes on; a time limit that struck there would be lost. So a hook keeps it,
and a trace function raises it in the frame that the hook interrupted, at its next step.
"""

import os
import sys
from _functools import partial  # type: ignore[import-not-found]  # functools would import collections
from _thread import get_ident

from . import guard
from .interrupts import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType
    from typing import Any

    Hook = Callable[[], object]

#: (process, thread) → what has struck before the fork that this thread is at.
_owed: "dict[tuple[int, int], BaseException]" = {}
_pays = False


def around_forks(
    *, before: "Hook | None" = None, after_in_parent: "Hook | None" = None, after_in_child: "Hook | None" = None
) -> None:
    """`os.register_at_fork`, where there is one, with hooks that lose nothing of the host's."""
    if hasattr(os, "register_at_fork"):
        hooks = {"before": before, "after_in_parent": after_in_parent, "after_in_child": after_in_child}
        os.register_at_fork(
            **{when: hook(work, until_after=when == "before") for when, work in hooks.items() if work is not None}
        )


def when_freed(store: "dict[int, Any]", key: int) -> "Callable[[Any], object]":
    """A callback for a weak reference: it drops `key`, if that is still there.

    No line of Python's is run, where a time limit could strike, and for which a full stack has no room.
    """
    return partial(store.pop, key)  # type: ignore[no-any-return]


def hook(work: "Callable[..., object]", *, until_after: bool = False) -> "Callable[..., None]":
    """`work` with what strikes it kept for later: `until_after` the fork."""
    global _code

    def hook(*arguments: object) -> None:
        try:
            try:
                work(*arguments)
            except ours(Exception):
                guard.swallow("running a hook")
        except BaseException as error:
            owe(error) if until_after else later(error, sys._getframe().f_back)

    if _code is None:
        _code = _guarded_throughout(hook.__code__)
    hook.__code__ = _code
    return hook


#: Of all hooks.
_code: "CodeType | None" = None


def _guarded_throughout(code: "CodeType") -> "CodeType":
    """Have the `try` that a function begins with cover its first instruction: from 3.11 on, that looks for signals."""
    table = getattr(code, "co_exceptiontable", b"")
    if len(table) < 2 or not table[1] < 0x40 or table[0] & 0x40:
        return code
    begin, length = table[0] & 0x3F, table[1]  # of the first entry: see CPython's exception_handling_notes.txt
    if begin + length >= 0x40:
        return code
    return code.replace(co_exceptiontable=bytes((0x80, begin + length)) + table[2:])  # type: ignore[call-arg]


def owe(error: BaseException) -> None:
    """For what runs before a fork: the parent is to have it, after that."""
    global _pays
    if not _pays:
        _pays = True
        os.register_at_fork(after_in_parent=hook(_pay), after_in_child=_owed.clear)
    _owed[os.getpid(), get_ident()] = error


def _pay() -> None:
    error = _owed.pop((os.getpid(), get_ident()), None)
    if error is not None:
        later(error, sys._getframe(1).f_back)


def later(error: BaseException, frame: "FrameType | None") -> None:
    """Raise it in `frame` once that goes on, in this thread. Lost where both a tracer and a profiler are in place."""
    owed = [error]

    def due(at: "FrameType", _: str, __: "Any") -> None:
        if at is frame and owed:
            raise owed.pop()

    if frame is None:
        return
    if sys.gettrace() is None:
        frame.f_trace = due
        sys.settrace(due)
    elif sys.getprofile() is None:
        sys.setprofile(due)
