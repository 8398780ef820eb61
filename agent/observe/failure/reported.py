"""Failures that were dealt with: reported, or held back by a limit. One failure is one event, however far it passes.

Remembered is what was done with an exception, and by the exception itself, not by its address: a weak reference to it.
Instances of built-in classes take none; of those their own `__dict__` is held, which dies with nobody else and holds,
as a rule, nothing. So nothing of the host's is kept alive, and an address that is used again is not taken for what was
there before.

An exception object may be raised again later: a constant of a module, say. That is another failure, unless a call that
was there already raises it once more. Which of the two, the traceback shows: what a new call raises anew keeps the
entries of earlier times behind its own.
"""

from __future__ import annotations

from _thread import get_ident
from _weakref import ref
from sys import getrefcount
from typing import TYPE_CHECKING, Any

from ...base.slots import cause_of, context_of, suppresses, traceback_of
from ...hook.code import patch
from ...hook.code.operations import OPS
from ..call.severity import GROUPS, is_control_flow, leaves_of

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    #: Where an exception was raised, file and line, and how many entries its traceback had.
    End = tuple[tuple[str, int], int]

_DEEPEST = 2_000
_CHAIN = 10
_FEWEST, _MOST = 64, 10_000  # that are remembered before those whose exceptions are gone are forgotten

_dict_of: Any = BaseException.__dict__["__dict__"].__get__
_takes_references = type.__dict__["__weakrefoffset__"].__get__

#: Packages whose frames raise what they were given by another thread, task or greenlet: the failure stays the same one.
_TRANSPORTS = frozenset(
    ("concurrent", "asyncio", "multiprocessing", "asgiref", "gevent", "eventlet", "anyio", "joblib", "celery",
     "billiard", "promise", "vine")
)  # fmt: skip

_RAISES: int = OPS.get("RAISE_VARARGS", -1)


class Told:
    """One exception, and where it was when it was dealt with. `traceback` begins at the call that it was leaving."""

    __slots__ = ("by", "held", "length", "origin", "path", "reference", "thread", "where")

    by: object  # the probe; None for the ERP itself, by hand
    reference: Any  # to the exception, or None, and then
    held: dict[str, object]  # its own `__dict__`
    thread: int
    where: tuple[str, int]  # the function of that call, by its first line
    path: list[int]  # that call's and its callers' first lines
    origin: tuple[str, int]  # the line that raised
    length: int  # of the traceback

    def is_gone(self) -> bool:
        if self.reference is not None:
            return self.reference() is None
        return getrefcount(self.held) <= 2  # ours, and that of the call

    def is_of(self, error: BaseException) -> bool:
        reference = self.reference
        if reference is not None:
            return reference() is error
        return getrefcount(self.held) > 2 and _dict_of(error) is self.held


def told_of(error: BaseException, traceback: TracebackType | None, by: object = None, end: End | None = None) -> Told:
    """`end` is the traceback's `end_of`, where that is known already."""
    told = Told()  # without arguments and without `__init__`: each failure that a limit holds back makes one
    told.by = by
    if _takes_references(type(error)):
        told.reference = ref(error)
    else:
        told.reference = None
        told.held = _dict_of(error)
    told.thread = get_ident()
    told.origin, told.length = end or end_of(traceback)
    if traceback is None:
        told.where, told.path = ("", 0), []
    else:
        frame = traceback.tb_frame
        code = frame.f_code
        told.where = code.co_filename, code.co_firstlineno
        told.path = _path(frame)
    return told


#: The address of an exception → what was done with the one that was there then: to be asked whether it still is.
_known: dict[int, Told] = {}
_bound = _FEWEST


def note(error: BaseException, traceback: TracebackType | None, by: object = None, end: End | None = None) -> None:
    """It was reported, or held back on purpose. `traceback` begins at the frame of the call that it was leaving.

    With a group, its members were: a handler may take it apart, and raise what it leaves as another group.
    """
    if len(_known) >= _bound:
        _forget()
    _known[id(error)] = told_of(error, traceback, by, end)
    if issubclass(type(error), GROUPS):
        for each in leaves_of(error):
            _known[id(each)] = told_of(each, traceback_of(each), by)


def _forget() -> None:
    """Drop those whose exceptions are gone. What is under way in a thousand tasks at once is kept."""
    global _bound
    for key, each in _known.copy().items():  # one step, to other threads
        if each.is_gone() and _known.get(key) is each:
            _known.pop(key, None)
    if len(_known) >= _MOST:
        _known.clear()
    _bound = max(_FEWEST, 2 * len(_known))


def _of(error: BaseException) -> Told | None:
    found = _known.get(id(error))
    return found if found is not None and found.is_of(error) else None


def inside(error: BaseException, traceback: TracebackType | None, by: object = None) -> bool:
    """Was this failure dealt with further in? `traceback` begins at the frame of the call that it is leaving.

    `by` asks for itself: what another has done about the very same call counts as further in.
    """
    if traceback is None:
        return False
    told = _known.get(id(error))
    if (
        told is not None
        and told.is_of(error)
        and ((told.by is not by and _is_its_call(told, traceback)) or _is_same(told, error, traceback))
    ):
        return True
    if issubclass(type(error), GROUPS):
        leaves = leaves_of(error)
        if leaves:
            return all(_is_told_member(each) for each in leaves)
    if cause_of(error) is None and context_of(error) is None:
        return False
    return _is_told_before(error, traceback)


def reported(error: BaseException) -> bool:
    """Was this exception dealt with, or the one that it was raised from? For those who watch no call."""
    traceback = traceback_of(error)
    told = _of(error)
    if told is not None and (traceback is None or _is_its_call(told, traceback)):
        return True
    return inside(error, traceback)


def _is_told_member(member: BaseException) -> bool:
    return _of(member) is not None or is_control_flow(type(member)) or reported(member)


def _is_its_call(told: Told, traceback: TracebackType) -> bool:
    code = traceback.tb_frame.f_code
    return (code.co_filename, code.co_firstlineno) == told.where


def _is_same(told: Told, error: BaseException, traceback: TracebackType) -> bool:
    """Is what leaves the call the failure that was told, and not the same object raised once more?"""
    file, line = told.where
    frame, below = traceback.tb_frame, traceback.tb_next
    for _ in range(_DEEPEST):  # mostly, each has called the next down to the call that told it
        if below is None or below.tb_frame.f_back is not frame:
            break
        frame = below.tb_frame
        if frame.f_code.co_firstlineno == line and frame.f_code.co_filename == file:
            return True
        below = below.tb_next
    return _is_the_same_for_all_that(told, error, traceback)


def _is_the_same_for_all_that(told: Told, error: BaseException, traceback: TracebackType) -> bool:
    """The same question where the traceback has pieces of several threads, tasks or times, or that call's is gone."""
    entry = begins = traceback
    frame = entry.tb_frame
    above = {frame}
    lines: list[int] = []  # the first lines of the functions below that of `begins`, innermost first
    elsewhere = False  # was a part of it not called by the part before?
    for _ in range(_DEEPEST):
        below = entry.tb_next
        if below is None:
            break
        inner = below.tb_frame
        if inner.f_back is not frame and not (inner in above or _is_called_from(inner, above)):
            if _raises_by_name(entry) and (
                _stands_behind(entry) or (inner.f_back is not None and not _was_given(frame, error))
            ):
                # What follows is from earlier times. If that was there when it was told, and this entry as well, the
                # entry of the call that told it is gone: see below.
                return _last(entry)[1] < told.length
            elsewhere = True  # in another thread or task, or by what it was thrown into
            if inner.f_back is not None:
                begins, frame, above, lines = below, inner, set(), []
        if _is_its_call(told, below):
            return True
        if inner is not frame:
            lines.insert(0, inner.f_code.co_firstlineno)
        entry, frame = below, inner
        above.add(frame)
    # The entry of the call that told it is gone: `contextlib` puts back the traceback that there was, others clear it.
    raised_there = (frame.f_code.co_filename, entry.tb_lineno) == told.origin
    if elsewhere and raised_there:
        return True
    if told.thread != get_ident():
        return False
    path = _path(begins.tb_frame)
    # Raised once more by a call that was there then, or still on its way to one that was.
    return _is_caller(lines + path, told.path) or (raised_there and _is_caller(path, told.path))


def _is_caller(path: list[int], of: list[int]) -> bool:
    return len(path) < len(of) and of[-len(path) :] == path


def _is_told_before(error: BaseException, traceback: TracebackType) -> bool:
    """Was it raised from an exception that was told: the same failure in other words?"""
    for _ in range(_CHAIN):
        passed = traceback_of(error)
        cause = cause_of(error)
        if cause is None:
            if suppresses(error, type(error)):
                return False
            # Raised while another was handled: the same failure in other words if the handler itself raised it,
            # another failure if something that the handler called did.
            cause = context_of(error)
            before = traceback_of(cause) if cause is not None else None
            if before is None or passed is None or before.tb_frame is not _last(passed)[0].tb_frame:
                return False
            linked = True
        else:
            before = traceback_of(cause)
            linked = context_of(error) is cause
        if cause is None or before is None:
            return False
        if _of(cause) is not None:
            return linked or _happened_here(before.tb_frame, traceback)
        error = cause
    return False


def _happened_here(caught: FrameType, traceback: TracebackType) -> bool:
    """Was an exception that `caught` dealt with raised within the calls of this traceback? True where nobody knows.

    Otherwise somebody has kept it, and gives it as the reason of a new failure.
    """
    passed = set()
    entry: TracebackType | None = traceback
    for _ in range(_DEEPEST):
        if entry is None:
            break
        passed.add(entry.tb_frame)
        entry = entry.tb_next
    back = caught
    for _ in range(_DEEPEST):
        if back in passed:
            return True
        if back.f_back is None:
            break
        back = back.f_back
    return back is not _outermost(traceback.tb_frame)


def _is_called_from(frame: FrameType, above: set[FrameType]) -> bool:
    """Was `frame` called by one that the exception has passed? What has ended and could wait does not know any more."""
    back = frame.f_back
    while back is not None:
        if back in above:
            return True
        if patch.trampoline_of(back.f_code) is None:
            return False
        back = back.f_back
    return False


def _raises_by_name(entry: TracebackType) -> bool:
    """Did the exception leave this frame by a `raise` that names it?

    Otherwise it came in from outside: thrown into a generator, or from another thread or task. So it did where an
    executor raises it.
    """
    frame = entry.tb_frame
    operation, argument = frame.f_code.co_code[entry.tb_lasti : entry.tb_lasti + 2]
    if operation != _RAISES or argument == 0:
        return False
    module = frame.f_globals.get("__name__")
    return type(module) is not str or module.partition(".")[0] not in _TRANSPORTS


def _stands_behind(entry: TracebackType) -> bool:
    """Is the same `raise` among the entries behind this one? Then it has raised this object before, and does again."""
    code, at = entry.tb_frame.f_code, entry.tb_lasti
    below = entry.tb_next
    for _ in range(_DEEPEST):
        if below is None:
            break
        if below.tb_frame.f_code is code and below.tb_lasti == at:
            return True
        below = below.tb_next
    return False


def _was_given(frame: FrameType, error: BaseException) -> bool:
    """Is it an argument of this call, as of an `__exit__`?"""
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 0x04)]
    for value in map(frame.f_locals.get, names):
        if value is error or (type(value) is tuple and any(each is error for each in value)):
            return True
    return False


def _path(frame: FrameType) -> list[int]:
    lines = []
    back: FrameType | None = frame
    while back is not None:
        lines.append(back.f_code.co_firstlineno)
        back = back.f_back
    return lines


def _last(traceback: TracebackType) -> tuple[TracebackType, int]:
    """The innermost entry, and how many there are."""
    length = 1
    below = traceback.tb_next
    while below is not None and length < _DEEPEST:
        traceback, below = below, below.tb_next
        length += 1
    return traceback, length


def _outermost(frame: FrameType) -> FrameType:
    while frame.f_back is not None:
        frame = frame.f_back
    return frame


def end_of(traceback: TracebackType | None) -> End:
    """Where an exception was raised, and how many entries its traceback has."""
    if traceback is None:
        return ("", 0), 0
    last, length = _last(traceback) if traceback.tb_next is not None else (traceback, 1)
    return (last.tb_frame.f_code.co_filename, last.tb_lineno), length


def place(traceback: TracebackType | None) -> tuple[str, int]:
    """Where an exception was raised, file and line, as a key for limits."""
    return end_of(traceback)[0]
