"""What an event shows of data access: the ERP's line that called it, and the statement in which a failure was raised.

Drivers and ORMs raise through code that names no statement, and leave their exceptions to callers, who report them. The
frames of a traceback still have the arguments of the calls that it left: nothing is kept for it beforehand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...base.slots import cause_of, context_of, suppresses, traceback_of
from ...hook.code import patch
from ...privacy.names import forgetful
from ..event import stack, the_erp
from . import callers

if TYPE_CHECKING:
    from types import CodeType, FrameType, TracebackType

    from .verdict import Verdict

_MOST_FILES = 5_000
_CHAIN = 10  # exceptions, each raised from the next
_DEEPEST = 2_000

_erps: dict[str, bool] = {}  # file → is it the ERP's?
forgetful.append(_erps.clear)


def line_of_the_erp(frame: FrameType | None) -> FrameType | None:
    """The nearest frame of the ERP's own code; without one, `frame`."""
    caller, trampolines = frame, patch.trampoline_ids
    while frame is not None:
        code = frame.f_code
        erps = _erps.get(code.co_filename)
        if erps is None:
            erps = _learn(code)
        if erps and id(code) not in trampolines:
            return frame
        frame = frame.f_back
    return caller


def _learn(code: CodeType) -> bool:
    if len(_erps) >= _MOST_FILES:
        _erps.clear()
    path = code.co_filename
    _erps[path] = erps = the_erp.looks_like_the_erp(path) and not callers.own_code(code)
    return erps


def called_from(frame: FrameType | None) -> dict[str, object]:
    """Which line of the ERP made the call whose caller is `frame`."""
    place = line_of_the_erp(frame)
    if place is None:
        return {}
    code = place.f_code
    function = getattr(code, "co_qualname", code.co_name)
    return {"called_from": f"{stack.relative_path(code.co_filename)}:{place.f_lineno or 0} in {function}"}


def failed_statement(
    error: BaseException, traceback: TracebackType | None, reporter: object = None
) -> dict[str, object]:
    """What the data access that `error`, or what it was raised from, has left would capture.

    That is the innermost monitored call of `kind: database` which another one does not speak for, unless `reporter` is
    its own.
    """
    for _ in range(_CHAIN):
        found = _innermost(traceback)
        if found is not None:
            probe, frame = found
            if probe is reporter:
                return {}
            values = probe._captured(probe._values(frame, None, error, None)).values
            return {"failed_in": {"monitor": probe.name, **values}} if values else {}
        cause = cause_of(error) or (None if suppresses(error, type(error)) else context_of(error))
        if cause is None:
            break
        error, traceback = cause, traceback_of(cause)
    return {}


def _innermost(traceback: TracebackType | None) -> tuple[Verdict, FrameType] | None:
    trampolines, injected = patch.trampoline_ids, patch.injected_ids
    found: Any = None
    for _ in range(_DEEPEST):
        if traceback is None:
            break
        frame, around = traceback.tb_frame, traceback.tb_frame.f_back
        if around is not None and id(around.f_code) in trampolines:  # which leave no entry in a traceback
            frame = around
        key = id(frame.f_code)
        probe = callers.probe_of(frame.f_code) if key in injected or key in trampolines else None
        if (
            probe is not None
            and probe.monitor["kind"] == "database"
            and probe._applies_to(frame)
            and (found is None or found[0].name not in probe.terms.quiet)  # a driver's, below what speaks for it
        ):
            found = probe, frame
        traceback = traceback.tb_next
    return found  # type: ignore[no-any-return]
