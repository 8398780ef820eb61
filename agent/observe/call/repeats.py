"""Reports an operation that runs more often inside one piece of work than its monitor's `repeats`: a query in a loop.

The piece of work is the current request or task, which keeps the numbers. Without one, it is the outermost monitored
call around the operation, and the frame of that call carries them, where a debugger keeps its trace function: so they
are that call's alone, and are freed with it. Nothing has to look for its end, and no other monitor pays for this one.
"""

from __future__ import annotations

from sys import _getframe, version_info
from typing import TYPE_CHECKING

from ...base.interrupts import ours
from ...hook.code import patch
from ..around import context, work
from ..event import stack
from . import callers, data_access

if TYPE_CHECKING:
    from types import FrameType

    from .verdict import Verdict

_MOST_LINES = 10  # of a report


class Inside(dict[str, "Repeated"]):
    """What runs in one piece of work, by operation. As a trace function, it traces nothing."""

    __slots__ = ("began",)

    def __init__(self, began: float) -> None:
        self.began = began  # in seconds of the probe's clock

    def __call__(self, *_: object) -> None:
        """Called where something traces the frame that carries it."""


class Repeated:
    """One operation in one piece of work."""

    __slots__ = ("lines", "reported", "seconds", "times")

    def __init__(self) -> None:
        self.times = 0
        self.seconds = 0.0
        self.reported = False
        self.lines: dict[tuple[int, int], _Line] = {}  # by code and instruction


class _Line:
    __slots__ = ("code", "line", "times")

    def __init__(self, frame: FrameType) -> None:
        self.code, self.line, self.times = frame.f_code, frame.f_lineno or 0, 0


def ended(probe: Verdict, _result: object, start: float) -> None:
    """What the code in a function calls after a success, where nothing else is looked at."""
    count(probe, _getframe(1), start)


def count(probe: Verdict, frame: FrameType, start: float | bytes) -> None:
    """A call has ended in `frame`. Reports it where it is one too many."""
    try:
        now = probe.terms.clock()
        if type(start) is not float or not (probe.receiver is None or probe._applies_to(frame)):
            return
        caller = frame.f_back
        working = work.current()
        inside = _of_call(caller, start) if working is None else working.inside
        if inside is None:
            if working is None:
                return
            inside = working.inside = Inside(working.began)
        operation = (probe._named if probe._by_class is None else probe.called(frame)).operation
        known = inside.get(operation)
        if known is None:
            known = inside[operation] = Repeated()
        if known.reported:
            return
        known.times = times = known.times + 1
        known.seconds += now - start
        place = data_access.line_of_the_erp(caller)
        if place is not None:
            key = (id(place.f_code), place.f_lasti)
            line = known.lines.get(key)
            if line is None:
                line = known.lines[key] = _Line(place)
            line.times += 1
        limit = probe.terms.repeats
        if limit is not None and times > limit:
            known.reported = True
            probe._report_repeats(frame, inside, known)
            known.lines.clear()
        probe.terms.cost.check(probe.terms.clock() - now)
    except ours(RecursionError):
        pass
    except ours(BaseException):
        probe.terms.lost("counting repeats of ", probe.path)


def _of_call(frame: FrameType | None, start: float) -> Inside | None:
    """What the outermost monitored call around carries; None without one, or where something else traces its frame."""
    trampolines, injected = patch.trampoline_ids, patch.injected_ids
    outermost, at = None, frame
    while at is not None:
        key = id(at.f_code)
        if key in injected or key in trampolines:
            outermost = at
        at = at.f_back
    if outermost is None:
        return None
    if callers.probe_of(outermost.f_code) is None:  # an integration's, or put in for a time
        found = [each for each, _ in callers.calls(frame)]
        if not found:
            return None
        outermost = found[-1]
    if not _MARKED:
        there = outermost.f_trace
        if there is None:
            there = outermost.f_trace = Inside(start)
        return there if type(there) is Inside else None
    known = _by_frame.get(id(outermost)) if outermost.f_trace_opcodes else None
    if known is None and outermost.f_trace is None:
        if len(_by_frame) >= _MOST_FRAMES:
            _by_frame.clear()
        outermost.f_trace_opcodes = True
        known = _by_frame[id(outermost)] = Inside(start)
    return known


#: A frame of CPython 3.9 that has a trace function has lost its line number. There, a flag that is new with each frame
#: shows whether the numbers under its address are its own.
_MARKED = version_info < (3, 10)
_by_frame: dict[int, Inside] = {}
_MOST_FRAMES = 1_000


def report(probe: Verdict, frame: FrameType, inside: Inside, known: Repeated) -> None:
    """Report that the call which has ended in `frame` was one too many."""
    terms = probe.terms
    if probe._is_left_out(frame, None, None, known.seconds):
        return
    name = context.collect().get("transaction") if work.current() is not None else None
    if type(name) is not str or not name:
        name = next(iter(callers.operations(frame.f_back)), "one piece of work")
    message = f"{{operation}} ran {known.times} times in {name}"
    suppressed = probe._admitted(frame, ("repeats", probe._place(frame), name))
    if suppressed is None:
        return
    lasted = terms.clock() - inside.began
    lines = sorted(known.lines.values(), key=lambda line: -line.times)[:_MOST_LINES]
    facts: dict[str, object] = {
        "times": known.times,
        "limit": terms.repeats,
        "inside": name,
        "duration_ms": round(known.seconds * 1e3, 3),
        "lines": [
            {
                "file": stack.relative_path(line.code.co_filename),
                "line": line.line,
                "function": getattr(line.code, "co_qualname", line.code.co_name),
                "times": line.times,
            }
            for line in lines
        ],
    }
    if 0 < known.seconds <= lasted:
        facts["share"] = round(known.seconds / lasted, 3)
    severity = terms.monitor["severity"]
    probe._report(
        frame, "repeats", severity if severity in ("debug", "info") else "warning", None, None, None,
        suppressed, message=message, more={"repeats": facts},
    )  # fmt: skip
