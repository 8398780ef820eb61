"""Whose exception is it? What a host raises into our code, from a time limit or a debugger, must go on to the host.

A job queue ends a job that takes too long with an exception out of a signal handler, a trace function, another thread
or a greenlet. It strikes wherever the job is just then: in our code, or in host code that we called. So no clause of
ours that runs on a host's thread catches by type alone. It reads `except ours(OSError):`, and `ours` looks at how the
exception came about: into the traceback, for a frame that interrupted another one instead of being called by it, and
at the instruction that it struck. `ours(BaseException)` is for calls of host code (an expression, a `__str__`): what
that raises is caught, even a SystemExit, while a Ctrl-C that arrives meanwhile goes on.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType, TracebackType
    from typing import Any, TypeVar

    Kind = TypeVar("Kind", bound=BaseException)

_HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_LIBRARY = os.path.dirname(os.__file__) + os.sep
_PACKAGES = (_LIBRARY + "site-packages", _LIBRARY + "dist-packages")
_DEEPEST = 20_000

#: RAISE_VARARGS and RERAISE.
_RAISING = {(3, 9): (130, 48), (3, 13): (101, 102), (3, 14): (104, 105), (3, 15): (103, 104)}.get(
    sys.version_info[:2], (130, 119)
)

#: Made in C for an empty piece of code: the frame of a compiled function, of which nothing can be seen.
_SHORTEST = 12

#: What the interpreter itself raises anywhere, and without arguments.
_ITS_OWN = (MemoryError, RecursionError, StopIteration, StopAsyncIteration, GeneratorExit)

#: Libraries that raise a time limit where they change from one greenlet to another.
_SWITCHING = ("gevent", "greenlet", "eventlet")

#: The events that a trace or a profile function is called with.
_TRACED = ("call", "line", "return", "exception", "opcode", "c_call", "c_return", "c_exception")

#: The module `types` is not loaded everywhere.
_FUNCTION, _METHOD = type(lambda: None), type(os.environ.get)

_context_of = BaseException.__dict__["__context__"].__get__
_traceback_of = BaseException.__dict__["__traceback__"].__get__
_arguments_of = BaseException.__dict__["args"].__get__


def ours(*kinds: "type[Kind]") -> "tuple[type[Kind], ...]":
    """For an `except` clause: `kinds`, or nothing where the exception in flight is the host's and has to go on."""
    error, trace = sys.exc_info()[1:]
    if error is None or trace is None or not issubclass(type(error), kinds):
        return kinds
    if is_the_hosts(error, trace):
        return ()
    for _ in range(4):  # what our own `finally` raised hides what it was run for
        hidden = _context_of(error)
        if hidden is None:
            break
        before = _traceback_of(hidden)
        if before is not None and _left_behind(before, trace) and is_the_hosts(hidden, before):
            raise hidden.with_traceback(before)
        error = hidden
    return kinds


def _left_behind(before: "TracebackType", trace: "TracebackType") -> bool:
    """Has the exception with `trace` ended the `finally` of ours that the other one went through? That may go on."""
    if not before.tb_frame.f_code.co_filename.startswith(_HERE):
        return False
    return not {id(frame) for frame in _frames(before)}.isdisjoint(map(id, _frames(trace)))


def _frames(trace: "TracebackType | None") -> "Iterator[FrameType]":
    for _ in range(_DEEPEST):
        if trace is None:
            break
        yield trace.tb_frame
        trace = trace.tb_next


def is_the_hosts(error: BaseException, trace: "TracebackType") -> bool:
    """Has the host interrupted what the traceback `trace` begins in? Not, where that called host code which raised."""
    if trace.tb_next is None and _module(type(error)) == "builtins" and _arguments_of(error):
        return False  # by far the most: a system call, or a lookup, has failed
    entered: "list[CodeType]" = []
    for _ in range(_DEEPEST):
        following = trace.tb_next
        if following is None:
            break
        trace = following
        frame = trace.tb_frame
        if not frame.f_code.co_filename.startswith(_HERE):
            if _interrupts(frame):
                return True
            entered.append(frame.f_code)
    return bool(entered and _handles_signals(entered)) or _struck(error, trace)


def _interrupts(frame: "FrameType") -> bool:
    """Is this the first frame of a signal handler, or of a trace function, which got the frame that it stopped?"""
    code, below = frame.f_code, frame.f_back
    if below is None or (code.co_argcount < 2 and not code.co_flags & 4):  # 4: it takes *arguments
        return False
    passed = _passed(frame, code)
    for first, second in zip(passed, passed[1:]):
        if first is below:
            if type(second) is str and second in _TRACED:
                return True
        elif (second is below and issubclass(type(first), int)) or (
            first is below.f_code and issubclass(type(second), int)  # sys.monitoring
        ):
            return True
    return False


def _passed(frame: "FrameType", code: "CodeType") -> "list[object]":
    """The positional arguments, as far as they are still in the frame."""
    held = frame.f_locals
    number = code.co_argcount
    passed = [held.get(name) for name in code.co_varnames[:number]]
    if code.co_flags & 4:
        rest = held.get(code.co_varnames[number + code.co_kwonlyargcount])
        if type(rest) is tuple:
            passed += rest[:8]
    return passed


def _handles_signals(codes: "list[CodeType]") -> bool:
    """Is one of these a signal handler's, which may have let go of its arguments?"""
    signal = sys.modules.get("_signal")
    for number in signal.valid_signals() if signal is not None else ():
        code = _code_of(signal.getsignal(number))  # type: ignore[union-attr]
        if code is not None and any(each is code for each in codes):
            return True
    return False


def _code_of(handler: "Any") -> "CodeType | None":
    """Of a function, a method, a partial, an object that can be called."""
    for _ in range(8):
        kind = type(handler)
        if kind is _FUNCTION:
            return handler.__code__  # type: ignore[no-any-return]
        if kind is _METHOD:
            handler = handler.__func__
        elif kind.__name__ == "partial" and hasattr(kind, "func"):
            handler = kind.func.__get__(handler)
        else:
            handler = kind.__dict__.get("__call__")
    return None


def _struck(error: BaseException, trace: "TracebackType") -> bool:
    """Did it appear in the frame that the traceback ends in without being raised there, by no call of that frame?

    So do what another thread has set (`PyThreadState_SetAsyncExc` makes it of its class, without arguments), what a
    greenlet is thrown, and a Ctrl-C. What functions written in C raise looks alike, but has arguments.
    """
    frame, at, kind = trace.tb_frame, trace.tb_lasti, type(error)
    code = frame.f_code.co_code
    if issubclass(kind, _ITS_OWN):
        return False
    switched = str(frame.f_globals.get("__name__")).partition(".")[0] in _SWITCHING
    if len(code) < _SHORTEST:
        if not switched:
            return False
    elif 0 <= at < len(code) and code[at] in _RAISING:
        return False
    if kind is KeyboardInterrupt:
        return True
    if not _is_pythons(kind):
        return switched or not issubclass(kind, Exception) or _made_of_its_class(error)
    # Of a property that is read, C code may raise it; none raises a TimeoutError that has no number and no text.
    return not _arguments_of(error) and (kind is TimeoutError or _is_pythons_file(frame.f_code.co_filename))


def _module(kind: type) -> str:
    """Return the module of a class, without calling its metaclass."""
    held = type.__dict__["__dict__"].__get__(kind).get("__module__", "builtins")
    return held if type(held) is str else ""


def _is_pythons(kind: type) -> bool:
    """Is the class part of Python, or of the agent, and not of a library or a host?"""
    module = sys.modules.get(_module(kind).partition(".")[0])
    file = getattr(module, "__file__", None) if type(module) is type(sys) else None
    return _module(kind) == "builtins" or (module is not None and (type(file) is not str or _is_pythons_file(file)))


def _is_pythons_file(file: str) -> bool:
    return file.startswith((_HERE, "<frozen")) or (file.startswith(_LIBRARY) and not file.startswith(_PACKAGES))


def _made_of_its_class(error: BaseException) -> bool:
    """Made by calling its class without arguments, as far as that can be seen."""
    if not _arguments_of(error):
        return True
    for kind in type.__dict__["__mro__"].__get__(type(error)):
        held = type.__dict__["__dict__"].__get__(kind)
        if type(held.get("__init__")) is _FUNCTION or type(held.get("__new__")) is staticmethod:
            return True
    return False
