"""The calls that are under way in this process: of threads, of asyncio's tasks, and of greenlets.

Read from the stacks, so a call costs nothing for being seen.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from ..base.interrupts import ours
from ..base.records import Record
from ..hook.targets import alive
from ..observe.call import callers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from ..observe.call.verdict import Verdict

_DEEPEST = 200  # coroutines that wait for one another


class Stack:
    """Frames that no `f_back` links, outermost first: linked as those of a traceback."""

    __slots__ = ("tb_frame", "tb_lineno", "tb_next")

    def __init__(self, frame: FrameType, inner: Stack | None) -> None:
        self.tb_frame, self.tb_lineno, self.tb_next = frame, frame.f_lineno, inner


class Call(Record):
    """A monitored call under way."""

    frame: FrameType  # its own
    probe: Verdict
    top: FrameType  # the innermost frame of what it waits for
    where: str  # thread, task or greenlet
    chain: tuple[FrameType, ...] = ()  # of a task: its frames, outermost first

    def stack(self) -> Stack | None:
        """Of a task; of others, the callers of `top` are the stack."""
        found = None
        for frame in reversed(self.chain):
            found = Stack(frame, found)
        return found


def calls(me: int, *, everywhere: bool = True) -> Iterator[Call]:
    """Every monitored call under way, but for those of the thread `me`. One may come twice.

    `everywhere`: look for greenlets, too, that are not known yet. That takes 0.1 s in a process of a million objects.
    """
    for ident, frame in sys._current_frames().items():
        if ident != me:
            for each, probe in callers.calls(frame):
                yield Call(each, probe, frame, "thread")
    if "asyncio" in sys.modules:
        for task in _tasks():
            if task not in _left_behind:
                yield from _of_task(task)
    if "greenlet" in sys.modules:
        for top in _greenlets(everywhere=everywhere):
            for each, probe in callers.calls(top):
                yield Call(each, probe, top, "greenlet")


#: In a forked child, the tasks of its parent's other threads, which run nothing there.
_left_behind: WeakSet[Any] = WeakSet()


def after_fork() -> None:
    """In the child, at once."""
    if "asyncio" in sys.modules:
        me = get_ident()
        _left_behind.update(each for each in _tasks() if getattr(each.get_loop(), "_thread_id", me) != me)


def _tasks() -> list[Any]:
    """The tasks of all loops."""
    found: list[Any] = []
    tasks: Any = sys.modules.get("asyncio.tasks")
    for name in ("_all_tasks", "_scheduled_tasks", "_eager_tasks"):
        held = getattr(tasks, name, None)
        for _ in range(3):  # another thread may change it meanwhile
            try:
                found += list(held or ())
                break
            except ours(RuntimeError):
                continue
    return found


def _of_task(task: Any) -> Iterator[Call]:
    """The coroutine of a task and those that it waits for, outermost first. A running one is on a thread's stack."""
    coroutine = task.get_coro()
    chain: list[FrameType] = []
    for _ in range(_DEEPEST):
        frame = getattr(coroutine, "cr_frame", None)
        if frame is None:
            break
        chain.append(frame)
        coroutine = coroutine.cr_await
    for frame in chain:
        for each, probe in callers.calls(frame):
            if each is frame:
                yield Call(frame, probe, chain[-1], "task", tuple(chain))
            break


#: Greenlets that were there when all objects were last looked through.
_known: list[ref[Any]] = []


def _greenlets(*, everywhere: bool) -> Iterator[FrameType]:
    """The frames at which greenlets wait."""
    kind = getattr(sys.modules["greenlet"], "greenlet", None)
    if kind is None:
        return
    if everywhere:
        _known[:] = map(ref, alive.instances(kind))
    frame_of = kind.gr_frame.__get__  # a property of a subclass is code of the host's
    for each in _known:
        greenlet = each()
        frame = frame_of(greenlet) if greenlet is not None else None
        if frame is not None:
            yield frame
