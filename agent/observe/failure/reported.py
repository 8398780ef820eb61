"""Remembers which failures were reported, or dropped by a limit: one failure is one event, however far it propagates.

An exception is remembered by a weak reference, not by its address. Instances of built-in classes take none; of those
their own `__dict__` is held, which nothing else keeps alive and which is nearly always empty. So nothing of the host's
is kept alive, and an address that is used again is not taken for the exception that was there before.

An exception object may be raised again later: a constant of a module, for example. That is another failure, unless a
call that was running already raises it once more. The traceback shows which of the two it is: what a new call raises
again keeps the entries of earlier times behind its own.
"""

from __future__ import annotations

from _thread import get_ident
from _weakref import ref
from sys import getrefcount
from typing import TYPE_CHECKING, Any

from ...base.slots import GROUPS, cause_of, context_of, dict_of, suppresses, traceback_of
from ...hook.code import patch
from ...hook.code.operations import RAISING
from .severity import is_control_flow, leaves_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType, TracebackType

    #: Where an exception was raised, file and line, and how many entries its traceback had.
    End = tuple[tuple[str, int], int]

_DEEPEST = 2_000
_CHAIN = 10
FEWEST, _MOST = 64, 10_000  # that are remembered before those whose exceptions are gone are dropped

takes_references = type.__dict__["__weakrefoffset__"].__get__

#: Packages whose frames raise exceptions of another thread, task or greenlet: the failure is the same one.
_TRANSPORTS = frozenset(
    ("concurrent", "asyncio", "multiprocessing", "asgiref", "gevent", "eventlet", "anyio", "joblib", "celery",
     "billiard", "promise", "vine", "trio", "outcome")
)  # fmt: skip


class Reported:
    """One exception that was reported, and where it was then: leaving the call at which its traceback begins."""

    __slots__ = ("callers", "function", "held", "length", "origin", "reference", "reporter", "thread")

    reporter: object  # the probe; None where the ERP reported it itself
    reference: Any  # to the exception, or None, and then
    held: dict[str, object]  # its own `__dict__`
    thread: int
    function: tuple[str, int]  # of that call: its file and first line
    callers: list[int]  # the first lines of that function and of its callers
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
        return getrefcount(self.held) > 2 and dict_of(error) is self.held


class Dropped(Reported):
    """One that a limit of ours has dropped: it counts as reported, but for a Sentry client of the ERP's own."""

    __slots__ = ()


def place_of(
    error: BaseException,
    traceback: TracebackType | None,
    reporter: object = None,
    end: End | None = None,
    kind: type[Reported] = Reported,
) -> Reported:
    """`traceback` begins at the call that is being left; `end` is its `end_of`, where that is known already."""
    report = kind()  # without arguments and without `__init__`: each failure that a limit drops makes one
    report.reporter = reporter
    if takes_references(type(error)):
        report.reference = ref(error)
    else:
        report.reference = None
        report.held = dict_of(error)
    report.thread = get_ident()
    report.origin, report.length = end or end_of(traceback)
    if traceback is None:
        report.function, report.callers = ("", 0), []
    else:
        frame = traceback.tb_frame
        code = frame.f_code
        report.function = code.co_filename, code.co_firstlineno
        report.callers = _first_lines(frame)
    return report


#: The address of an exception → the report on the one that was there then; `is_of` checks whether it still is.
known: dict[int, Reported] = {}
bound = FEWEST


def remember(
    error: BaseException,
    traceback: TracebackType | None,
    reporter: object = None,
    end: End | None = None,
    kind: type[Reported] = Reported,
) -> None:
    """It was reported, or dropped by a limit. `traceback` begins at the frame of the call that it was leaving.

    The members of a group count as reported too: a handler may split it, and raise what is left as another group.
    """
    if len(known) >= bound:
        _drop_dead()
    known[id(error)] = place_of(error, traceback, reporter, end, kind)
    if issubclass(type(error), GROUPS):
        for each in leaves_of(error):
            known[id(each)] = place_of(each, traceback_of(each), reporter, None, kind)


def remember_another(
    error: BaseException,
    traceback: TracebackType,
    reporter: object,
    origin: tuple[str, int],
    length: int,
    is_held: bool,
) -> None:
    """As `remember`, of a dropped one that is no group, with what is known from another that was raised at `origin`."""
    if len(known) >= bound:
        _drop_dead()
    report = Dropped()
    if is_held:
        report.reference = None
        report.held = dict_of(error)
    else:
        report.reference = ref(error)
    report.reporter = reporter
    report.thread = get_ident()
    report.origin = origin
    report.length = length
    frame = traceback.tb_frame
    code = frame.f_code
    report.function = code.co_filename, code.co_firstlineno
    report.callers = lines = [code.co_firstlineno]
    back = frame.f_back
    while back is not None:
        lines.append(back.f_code.co_firstlineno)
        back = back.f_back
    known[id(error)] = report


def _drop_dead() -> None:
    """Drop those whose exceptions are gone. Exceptions that propagate in a thousand tasks at once are kept."""
    global bound
    for key, each in known.copy().items():  # one step, to other threads
        if each.is_gone() and known.get(key) is each:
            known.pop(key, None)
    if len(known) >= _MOST:
        known.clear()
    bound = max(FEWEST, 2 * len(known))


def _find(error: BaseException) -> Reported | None:
    found = known.get(id(error))
    return found if found is not None and found.is_of(error) else None


def is_remembered(error: BaseException) -> bool:
    """Was this object reported at all? For callers that come when its calls have long ended."""
    return _find(error) is not None


def is_dropped(error: BaseException) -> bool:
    """Was it, or what it was raised from, dropped by a limit of ours, and not reported?"""
    chain: BaseException | None = error
    for _ in range(_CHAIN):
        if chain is None:
            break
        found = _find(chain)
        if found is not None:
            return type(found) is Dropped
        members = [_find(each) for each in leaves_of(chain)] if issubclass(type(chain), GROUPS) else ()
        if any(members):
            return all(each is None or type(each) is Dropped for each in members)
        chain = cause_of(chain) or context_of(chain)
    return False


def is_among(error: BaseException, some: Iterable[Reported]) -> bool:
    """Is it, or what it was raised from, one of these?"""
    chain: BaseException | None = error
    for _ in range(_CHAIN):
        if chain is None:
            break
        if any(each.is_of(chain) for each in some):
            return True
        chain = cause_of(chain)
    return False


def is_reported_within(error: BaseException, traceback: TracebackType | None, reporter: object = None) -> bool:
    """Was this failure reported further in? `traceback` begins at the frame of the call that it is leaving.

    What another reporter than `reporter` has reported of the same call counts as further in.
    """
    if traceback is None:
        return False
    report = known.get(id(error))
    if (
        report is not None
        and report.is_of(error)
        and (
            (report.reporter is not reporter and _is_its_call(report, traceback)) or _is_same(report, error, traceback)
        )
    ):
        return True
    if issubclass(type(error), GROUPS):
        leaves = leaves_of(error)
        if leaves:
            return all(_is_reported_member(each) for each in leaves)
    if cause_of(error) is None and context_of(error) is None:
        return False
    return _has_reported_cause(error, traceback)


def is_reported(error: BaseException) -> bool:
    """Was this exception reported, or the one that it was raised from? For callers that monitor no call."""
    traceback = traceback_of(error)
    report = _find(error)
    if report is not None and (traceback is None or _is_its_call(report, traceback)):
        return True
    return is_reported_within(error, traceback)


def _is_reported_member(member: BaseException) -> bool:
    return _find(member) is not None or is_control_flow(type(member)) or is_reported(member)


def _is_its_call(report: Reported, traceback: TracebackType) -> bool:
    code = traceback.tb_frame.f_code
    return (code.co_filename, code.co_firstlineno) == report.function


def _is_same(report: Reported, error: BaseException, traceback: TracebackType) -> bool:
    """Is what leaves the call the failure that was reported, and not the same object raised again?"""
    file, line = report.function
    frame, below = traceback.tb_frame, traceback.tb_next
    for _ in range(_DEEPEST):  # mostly, each has called the next, down to the call that was reported
        if below is None or below.tb_frame.f_back is not frame:
            break
        frame = below.tb_frame
        if frame.f_code.co_firstlineno == line and frame.f_code.co_filename == file:
            return True
        below = below.tb_next
    return _is_same_in_pieces(report, error, traceback)


def _is_same_in_pieces(report: Reported, error: BaseException, traceback: TracebackType) -> bool:
    """As `_is_same`, where the traceback has pieces of several threads, tasks or times, or lacks that call's entry."""
    entry = begins = traceback
    frame = entry.tb_frame
    above = {frame}
    lines: list[int] = []  # the first lines of the functions below that of `begins`, innermost first
    elsewhere = False  # was a piece of it not called by the piece before?
    for _ in range(_DEEPEST):
        below = entry.tb_next
        if below is None:
            break
        inner = below.tb_frame
        if inner.f_back is not frame and not (inner in above or _is_called_from(inner, above)):
            if _raises_by_name(entry) and (
                _is_raised_again(entry) or (inner.f_back is not None and not _was_given(frame, error))
            ):
                # What follows is from earlier times. If it was there at the report, and this entry as well, the entry
                # of the reported call is gone: see below.
                return last_of(entry)[1] < report.length
            elsewhere = True  # in another thread or task, or by what it was thrown into
            if inner.f_back is not None:
                begins, frame, above, lines = below, inner, set(), []
        if _is_its_call(report, below):
            return True
        if inner is not frame:
            lines.insert(0, inner.f_code.co_firstlineno)
        entry, frame = below, inner
        above.add(frame)
    # The entry of the reported call is gone: `contextlib` puts the earlier traceback back, others clear it.
    raised_there = (frame.f_code.co_filename, entry.tb_lineno) == report.origin
    if elsewhere and raised_there:
        return True
    if report.thread != get_ident():
        return False
    lines_above = _first_lines(begins.tb_frame)
    # Raised again by a call that was running then, or still on its way to one that was.
    callers = report.callers
    return _is_caller(lines + lines_above, callers) or (raised_there and _is_caller(lines_above, callers))


def _is_caller(path: list[int], of: list[int]) -> bool:
    return len(path) < len(of) and of[-len(path) :] == path


def _has_reported_cause(error: BaseException, traceback: TracebackType) -> bool:
    """Was it raised from an exception that was reported: the same failure under another class or message?"""
    for _ in range(_CHAIN):
        passed = traceback_of(error)
        cause = cause_of(error)
        if cause is None:
            if suppresses(error, type(error)):
                return False
            # Raised while another was handled: the same failure if the handler itself raised it, another failure if
            # something that the handler called did.
            cause = context_of(error)
            before = traceback_of(cause) if cause is not None else None
            if before is None or passed is None or before.tb_frame is not last_of(passed)[0].tb_frame:
                return False
            linked = True
        else:
            before = traceback_of(cause)
            linked = context_of(error) is cause
        if cause is None or before is None:
            return False
        if _find(cause) is not None:
            return linked or _was_raised_within(before.tb_frame, traceback)
        error = cause
    return False


def _was_raised_within(caught: FrameType, traceback: TracebackType) -> bool:
    """Was an exception that `caught` handled raised within the calls of this traceback? True where that is unknown.

    Otherwise it was kept, and is the cause of a new failure.
    """
    passed = {entry.tb_frame for entry in _entries(traceback)}
    back = caught
    for back in _frames(caught):
        if back in passed:
            return True
    *_, outermost = _frames(traceback.tb_frame)
    return back is not outermost


def _is_called_from(frame: FrameType, above: set[FrameType]) -> bool:
    """Was `frame` called by one that the exception has passed? An ended coroutine or generator no longer shows it."""
    for back in _frames(frame.f_back):
        if back in above:
            return True
        if patch.trampoline_of(back.f_code) is None:
            break
    return False


def _raises_by_name(entry: TracebackType) -> bool:
    """Did the exception leave this frame by a `raise` that names it?

    Otherwise it came from outside: thrown into a generator, or from another thread or task. The `raise` of an executor
    counts as outside too.
    """
    frame = entry.tb_frame
    operation, argument = frame.f_code.co_code[entry.tb_lasti : entry.tb_lasti + 2]
    if operation != RAISING or argument == 0:
        return False
    module = frame.f_globals.get("__name__")
    return type(module) is not str or module.partition(".")[0] not in _TRANSPORTS


def _is_raised_again(entry: TracebackType) -> bool:
    """Is the same `raise` among the entries behind this one? Then it raised this object before, and does so again."""
    code, at = entry.tb_frame.f_code, entry.tb_lasti
    return any(below.tb_frame.f_code is code and below.tb_lasti == at for below in _entries(entry.tb_next))


def _was_given(frame: FrameType, error: BaseException) -> bool:
    """Is it an argument of this call, as of an `__exit__`?"""
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 0x04)]
    for value in map(frame.f_locals.get, names):
        if value is error or (type(value) is tuple and any(each is error for each in value)):
            return True
    return False


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    for _ in range(_DEEPEST):
        if traceback is None:
            return
        yield traceback
        traceback = traceback.tb_next


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """The frame and its callers, innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _first_lines(frame: FrameType) -> list[int]:
    lines = []
    back: FrameType | None = frame
    while back is not None:
        lines.append(back.f_code.co_firstlineno)
        back = back.f_back
    return lines


def last_of(traceback: TracebackType) -> tuple[TracebackType, int]:
    """The innermost entry, and how many there are."""
    length = 1
    below = traceback.tb_next
    while below is not None and length < _DEEPEST:
        traceback, below = below, below.tb_next
        length += 1
    return traceback, length


def end_of(traceback: TracebackType | None) -> End:
    """Where an exception was raised, and how many entries its traceback has. The first is a key for limits."""
    if traceback is None:
        return ("", 0), 0
    last, length = last_of(traceback) if traceback.tb_next is not None else (traceback, 1)
    return (last.tb_frame.f_code.co_filename, last.tb_lineno), length
