"""What the stack and the traceback tell about a failure: who encloses it, and whether it was reported already.

One failure is one event, and nothing is written on the host's exceptions to know it: an exception that an inner
monitored call has reported carries that call's frame in its traceback, and that frame runs code which is known as
monitored. The same holds for an exception that was raised from another.
"""

from __future__ import annotations

import builtins
import os
import sys
from _thread import _local
from typing import TYPE_CHECKING, Any

from ..hook import patch
from ..interrupts import ours
from ..model import SEVERITIES
from .represent import type_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType, FrameType, TracebackType

    from ..model import MonitorData

_DEEPEST = 2000
_MOST_TYPES = 500  # of exceptions that are remembered: a host may make classes at run time
_CHAIN = 10
_MEMBERS = 50
_CO_COROUTINE = 0x80

#: Control flow that is spelt as exceptions: counted, not reported, unless a monitor's `errors` names it.
_CONTROL_FLOW = (
    "StopIteration",
    "StopAsyncIteration",
    "celery.exceptions.TaskPredicate",  # Retry, Ignore, Reject
    "concurrent.futures._base.CancelledError",
    "click.exceptions.Exit",
    "tornado.gen.Return",
)

#: Packages whose frames raise what they were given by another thread, task or greenlet: the failure stays the same one.
_TRANSPORTS = frozenset(
    ("concurrent", "asyncio", "multiprocessing", "asgiref", "gevent", "eventlet", "anyio", "joblib", "celery",
     "billiard", "promise", "vine")
)  # fmt: skip


class Severities:
    """Exception type → severity, or None where it is part of the business. Answers are remembered by type."""

    def __init__(self, monitor: MonitorData, ignore: Sequence[str]) -> None:
        self._default = monitor["severity"]
        self._errors = monitor["errors"]
        self._expected = monitor["expect"]
        self._ignored = ignore
        self._known: dict[type, str | None] = {}
        #: Of an Exception that is no group, by its type: (severity, its dotted name), or (None, the reason to count it
        #: under) where it is part of the business.
        self.verdicts: dict[type, tuple[str | None, str]] = {}

    def of_error(self, error: BaseException) -> str | None:
        """A group is as severe as the worst of its members, and expected only if all of them are."""
        kind = type(error)
        try:
            return self._known[kind]
        except ours(KeyError):
            pass
        if _group is None or not issubclass(kind, _group):
            return self._remember(kind)
        members = members_of(error)
        found = [severity for severity in map(self.of_error, members[:_MEMBERS]) if severity is not None]
        if self._decide(kind) is None or not found:
            return None
        return max(found, key=SEVERITIES.index)

    def expects(self, kind: type[BaseException]) -> bool:
        """Is it the monitor's own `expect` that makes this exception part of the business?"""
        if is_control_flow(kind):
            return False
        return any(_is_named(cls, dotted) for cls in kind.__mro__ for dotted in self._expected)

    def _remember(self, kind: type[BaseException]) -> str | None:
        if len(self._known) >= _MOST_TYPES:
            self._known.clear()
            self.verdicts.clear()
        severity = self._known[kind] = self._decide(kind)
        if issubclass(kind, Exception):
            word = type_name(kind) if severity else "control-flow" if is_control_flow(kind) else "expected"
            self.verdicts[kind] = (severity, word)
        return severity

    def _decide(self, kind: type[BaseException]) -> str | None:
        # The nearest class that anything is said about decides; the monitor's own words come before the global ones.
        for cls in kind.__mro__:
            for dotted, severity in self._errors.items():
                if _is_named(cls, dotted):
                    return severity
            if any(_is_named(cls, dotted) for dotted in self._expected):
                return None
        if any(_is_named(cls, dotted) for cls in kind.__mro__ for dotted in self._ignored):
            return None
        return None if is_control_flow(kind) else self._default


def is_control_flow(kind: type[BaseException]) -> bool:
    """Not a failure but a way to leave: StopIteration, Celery's Retry, a cancelled future, SystemExit …"""
    if not issubclass(kind, Exception):
        return True
    return any(_is_named(cls, dotted) for cls in kind.__mro__[:-3] for dotted in _CONTROL_FLOW)


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """The exceptions in a group; none for any other exception. The class is not asked, which may be the host's."""
    if _group is None or not issubclass(type(error), _group):
        return ()
    members = _group.__dict__["exceptions"].__get__(error)
    return members if type(members) is tuple else ()


_group: Any = getattr(builtins, "BaseExceptionGroup", None)


def _is_named(cls: type, dotted: str) -> bool:
    """Is `cls` what `dotted` names, where it is defined or where it is re-exported? Imports nothing."""
    if f"{cls.__module__}.{cls.__qualname__}" == dotted:
        return True
    module, _, name = dotted.rpartition(".")
    if not module:
        return cls.__module__ == "builtins" and cls.__name__ == name
    holder = sys.modules.get(module)
    return holder is not None and getattr(holder, "__dict__", {}).get(name) is cls


def enclosing(frame: FrameType | None) -> list[str]:
    """The operations of the monitored calls that `frame` and its callers are in, outermost first."""
    found: list[str] = []
    trampolines, injected = patch.trampoline_ids, patch.injected_ids
    for _ in range(_DEEPEST):
        if frame is None:
            break
        code = frame.f_code
        key = id(code)
        if key in trampolines or key in injected:
            layer = patch.trampoline_of(code) or patch.injected_in(code)
            operation = getattr(layer.owner, "operation", None) if layer is not None else None
            if operation is not None:
                found.append(operation)
        frame = frame.f_back
    return found[::-1]


def enclosing_monitors(frame: FrameType | None) -> Iterator[MonitorData]:
    """The monitors of the monitored calls that `frame` and its callers are in, innermost first."""
    trampolines, injected = patch.trampoline_ids, patch.injected_ids
    for _ in range(_DEEPEST):
        if frame is None:
            return
        key = id(frame.f_code)
        if key in trampolines or key in injected:
            layer = patch.trampoline_of(frame.f_code) or patch.injected_in(frame.f_code)
            monitor = getattr(layer.owner, "monitor", None) if layer is not None else None
            if monitor is not None:
                yield monitor
        frame = frame.f_back


_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


#: What the Sentry SDK wraps around the functions of a framework, itself or by its helpers: a third of a Django request.
_WRAPPERS = os.sep + os.path.join("sentry_sdk", "")


def own_code(code: CodeType) -> bool:
    """Is this code of ours, or of the SDK's around the ERP's, to be left out of what is reported?"""
    path = code.co_filename
    return id(code) in patch.trampoline_ids or path.startswith(_PACKAGE) or _WRAPPERS in path


def in_package(code: CodeType) -> bool:
    """Was this code written in the agent's own files?"""
    return code.co_filename.startswith(_PACKAGE)


def reported_by_a_monitor(error: BaseException) -> bool:
    """Did this exception, or the one that it was raised from, pass a monitored call to which it is a failure?"""
    traceback = error.__traceback__
    if traceback is None:
        return False
    return (_noted.what is not None and _noted.what == identity(error)) or reported_inside(error, traceback, None)


class _Noted(_local):
    """What this thread reported by hand last: numbers and names only, so that nothing of the host's is kept alive."""

    what: tuple[object, ...] | None = None


_noted = _Noted()


#: Has any thread ever reported something by hand? Most processes never do.
_anything_noted = False


def note_reported(error: BaseException) -> None:
    """The ERP has reported this exception itself: where it is raised again, it is the same failure."""
    global _anything_noted
    _anything_noted = True
    _noted.what = identity(error)


def identity(error: BaseException) -> tuple[object, ...] | None:
    """Tells one exception from the next; at worst, one that was raised by the same line takes the memory of another."""
    traceback = error.__traceback__
    if traceback is None:
        return None
    innermost = _innermost(traceback)
    frame = innermost.tb_frame
    return id(error), id(innermost), id(frame), id(frame.f_code), innermost.tb_lineno, type(error).__name__


def place(traceback: TracebackType | None) -> tuple[str, int]:
    """Where the exception was raised, file and line, as a key for limits."""
    if traceback is None:
        return "", 0
    last = _innermost(traceback)
    return last.tb_frame.f_code.co_filename, last.tb_lineno


def untold_origin(error: BaseException, traceback: TracebackType, probe: object) -> TracebackType | None:
    """The last entry of the traceback, where the exception was raised; None where it was reported further in.

    `traceback` begins at the monitored function's own frame. Usually each frame was called by the one before it, and
    the exception comes from nothing else: then a look-up for each frame tells. The rest is for `reported_inside`.
    """
    injected, inners, trampolines = patch.injected_ids, patch.inner_ids, patch.trampoline_ids
    frame = traceback.tb_frame
    back = frame.f_back
    own = injected.get(id(frame.f_code)) or (trampolines.get(id(back.f_code)) if back is not None else None)
    entry = traceback
    straight = own is not None and own.layers[-1].owner is probe
    while straight:
        below = entry.tb_next
        if below is None:
            break
        inner = below.tb_frame
        back = inner.f_back
        if back is not frame:
            straight = back is not None and back.f_back is frame and id(back.f_code) in trampolines
            if not straight:
                break
        key = id(inner.f_code)
        found, called = injected.get(key), inner
        if found is None and key in inners:
            if back is frame or back is None:
                straight = False
                break
            found, called = trampolines[id(back.f_code)], back
        if found is not None:
            owner: Any = found.layers[-1].owner
            if hasattr(owner, "would_report") and owner.would_report(error, called):
                straight = not owner.quiet
                if straight:
                    return None
                break  # it may leave the call to another
        frame, entry = inner, below
    chained = error.__cause__ is not None or error.__context__ is not None or _anything_noted
    if straight and not chained and (_group is None or not issubclass(type(error), _group)):
        return entry
    return None if reported_inside(error, traceback, probe) else _innermost(traceback)


def reported_inside(error: BaseException, traceback: TracebackType | None, probe: object) -> bool:
    """Did a monitored call inside this one report this failure?

    `traceback` begins at the monitored function's own frame.
    """
    if traceback is None:
        return False
    if _monitored_below(error, traceback, probe):
        return True
    if _noted.what is not None and probe is not None and _noted.what == identity(error):
        return True
    members = members_of(error)
    if members:
        return all(_member_reported(member) for member in members[:_MEMBERS])
    raised_in = _innermost(traceback).tb_frame
    for _ in range(_CHAIN):
        cause = error.__cause__
        if cause is None and not error.__suppress_context__:
            # Raised while another was handled: the same failure in other words if the handler itself raised it,
            # another failure if something that the handler called did.
            cause = error.__context__
            if cause is not None and (cause.__traceback__ is None or cause.__traceback__.tb_frame is not raised_in):
                return False
        if cause is None or cause.__traceback__ is None:
            return False
        if _monitored_below(cause, cause.__traceback__, probe):
            return True
        error = cause
        raised_in = _innermost(cause.__traceback__).tb_frame
    return False


def _member_reported(member: BaseException) -> bool:
    return reported_by_a_monitor(member) or is_control_flow(type(member))


def _innermost(traceback: TracebackType) -> TracebackType:
    for _ in range(_DEEPEST):
        if traceback.tb_next is None:
            break
        traceback = traceback.tb_next
    return traceback


def _monitored_below(error: BaseException, traceback: TracebackType, probe: object) -> bool:
    """Does the traceback, from its first frame down, pass a monitored call to which this is a failure?"""
    entry: TracebackType | None = traceback
    above: set[FrameType] = set()
    passed: list[str] = []  # the names of the monitors on the way
    handed_on = awaits = False
    begins: FrameType | None = None  # the monitored call itself, which is none below it
    for _ in range(_DEEPEST):
        if entry is None:
            return False
        frame = entry.tb_frame
        if above and not _called_from(frame, above) and not (handed_on or (awaits and _is_run_by_transport(frame))):
            return False  # what an exception object that is raised again and again keeps from earlier times
        handed_on = _is_transport(frame)
        awaits = bool(frame.f_code.co_flags & _CO_COROUTINE)
        owner, inner = _monitor_of(frame)
        if owner is not None:
            # It may be there again, having raised what it had caught; and a thread of an executor that raised it once
            # more on its behalf has put its own frames before.
            if begins is None and all(map(_is_transport, above)):
                begins = frame
            ours = frame is begins and owner is probe
            if not ours and owner.would_report(error, inner) and not owner.is_quiet(traceback.tb_frame, passed):
                return True
            passed.append(owner.name)
        above.add(frame)
        entry = entry.tb_next
    return False


def _monitor_of(frame: FrameType) -> tuple[Any, FrameType | None]:
    """The probe that watches `frame`, with the frame that holds its arguments; (None, None) where there is none."""
    layer = patch.injected_in(frame.f_code)
    if layer is not None:
        return (layer.owner, frame) if hasattr(layer.owner, "would_report") else (None, None)
    layer = patch.monitored_by(frame.f_code)
    if layer is None:
        return None, None
    back = frame.f_back
    if back is not None:  # a generator or coroutine that has ended has lost its caller: its code must do
        layer = patch.trampoline_of(back.f_code)
    owner = layer.owner if layer is not None else None
    return (owner, back) if hasattr(owner, "would_report") else (None, None)


def _is_run_by_transport(frame: FrameType) -> bool:
    """Is it a frame of an executor, or a task's coroutine, which an event loop has called?"""
    back = frame.f_back
    for _ in range(3):  # a trampoline may stand between
        if back is None or _is_transport(back):
            break
        back = back.f_back if patch.trampoline_of(back.f_code) is not None else None
    return _is_transport(frame) or (
        bool(frame.f_code.co_flags & _CO_COROUTINE) and back is not None and _is_transport(back)
    )


def _is_transport(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__")
    return type(module) is str and module.partition(".")[0] in _TRANSPORTS


def _called_from(frame: FrameType, above: set[FrameType]) -> bool:
    """Was `frame` called by one that the exception has passed, or is it one of them?

    An exception that is caught and raised again further up keeps its old entries behind the new ones: its first frame
    is then one that stands above already.
    """
    back: FrameType | None = frame
    while back is not None:
        if back in above:
            return True
        if back is not frame and patch.trampoline_of(back.f_code) is None:
            return False
        if back.f_back is None:
            return True  # a generator's or coroutine's frame, or one in C: nothing says otherwise
        back = back.f_back
    return True


class _Answered(_local):
    frame = 0


_answered = _Answered()


def mark_answered(frame: FrameType) -> None:
    """An endpoint inside this trampoline's frame has reported its answer: the one that encloses it need not."""
    back = frame.f_back
    for _ in range(_DEEPEST):
        if back is None:
            return
        if patch.trampoline_of(back.f_code) is not None or patch.injected_in(back.f_code) is not None:
            _answered.frame = id(back)
            return
        back = back.f_back


def answered_inside(frame: FrameType) -> bool:
    if _answered.frame == id(frame):
        _answered.frame = 0
        mark_answered(frame)
        return True
    return False
