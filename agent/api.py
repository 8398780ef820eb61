"""What the ERP's own new code may call: errors, broken rules and slow work reported by hand, on the same engine.

Each function returns the id of the event, or None where nothing was reported: the agent is off or not configured, a
limit dropped the report, or a monitor has reported the same failure. None of them raises.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .base import clocks, guard
from .base.interrupts import ours
from .base.model import Captured, Observation
from .base.slots import traceback_of
from .boot.running import engine
from .language.monitor_keys import DEFAULT_RATE_LIMIT
from .observe.around import people
from .observe.call import callers
from .observe.call.limits import Limiter
from .observe.failure import attempts, reported, synthetic

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from types import FrameType, TracebackType

    from .base.model import MonitorData

_limits: dict[str, Limiter] = {}


def capture_erp_error(
    error: BaseException,
    module: str | None = None,
    user: object = None,
    extra_data: Mapping[str, object] | None = None,
    *,
    operation: str | None = None,
    severity: str = "error",
) -> str | None:
    """Report an exception that the ERP handles itself. `user` is an id, a mapping of its fields, or a user object.

    Of `extra_data` everything is reported that does not look like a secret; of `user` what the configuration allows.
    """
    try:
        traceback = traceback_of(error)
        # Its first frame is the one that has caught it: that one has not failed yet.
        if traceback is not None and reported.is_reported_within(error, traceback):
            return None
        caller = sys._getframe(1)
        frame = traceback.tb_frame.f_back if traceback is not None else caller
        event_id = _report(
            "error", operation or _name_of(caller), module, severity, user, extra_data, frame,
            key=(type(error), reported.end_of(traceback)[0]), error=error, traceback=traceback,
        )  # fmt: skip
        if event_id is not None:
            reported.remember(error, traceback)
        return event_id
    except ours(BaseException):
        guard.swallow("reporting an error by hand")
        return None


def capture_business_logic_error(
    message: str,
    operation: str | None = None,
    data: Mapping[str, object] | None = None,
    user: object = None,
    *,
    module: str | None = None,
    severity: str = "warning",
) -> str | None:
    """Report that a rule of the business was broken, as a message. `{name}` in `message` stands for `data["name"]`."""
    try:
        caller = sys._getframe(1)
        return _report(
            "rule", operation or _name_of(caller), module, severity, user, data, caller, key=(message, operation),
            kind="business", message=message,
        )  # fmt: skip
    except ours(BaseException):
        guard.swallow("reporting a broken rule by hand")
        return None


def capture_performance_issue(
    operation: str,
    duration: float,
    extra_data: Mapping[str, object] | None = None,
    *,
    module: str | None = None,
    threshold: float | None = None,
    severity: str = "warning",
) -> str | None:
    """Report that `operation` took `duration` seconds, which was too long."""
    try:
        return _report(
            "slow", operation, module, severity, None, extra_data, sys._getframe(1), key=operation,
            duration=float(duration), threshold=threshold,
        )  # fmt: skip
    except ours(BaseException):
        guard.swallow("reporting slow work by hand")
        return None


def _report(
    report: str,
    operation: str,
    module: str | None,
    severity: str,
    user: object,
    data: Mapping[str, object] | None,
    frame: FrameType | None,
    *,
    key: Hashable,
    kind: str = "function",
    **facts: Any,
) -> str | None:
    running = engine()
    if running is None:
        return None
    monitor = _monitor(report, kind, module, operation, severity)
    limiter = _limits.get(report)
    if limiter is None:
        limiter = _limits[report] = Limiter(monitor["rate_limit"], running.outlet.sentry["sample_rate"])
    error: BaseException | None = facts.get("error")
    traceback: TracebackType | None = facts.get("traceback")
    limited = (report, module, key)
    suppressed = limiter.admit(limited)
    if suppressed is None:
        running.health.count("rate", monitor["name"])
        if error is not None:
            reported.remember(error, traceback, kind=reported.Dropped)
        return None
    if report == "error":
        attempts.note(limiter, limited, suppressed)
    observation = Observation(
        monitor=monitor,
        operation=operation,
        function=_place(frame if traceback is None else traceback.tb_frame),
        report=report,
        severity=severity,
        message=facts.get("message"),
        exception=error,
        traceback=traceback,
        frame=frame,
        duration=facts.get("duration"),
        threshold=facts.get("threshold"),
        operations=[*callers.operations(frame), operation],
        captured=Captured(dict(data or {})),
        suppressed=suppressed,
        ended=clocks.time(),
        handled=error is not None,
    )
    return running.outlet.sink().report(observation, {"user": people.facts(user)} if user is not None else None)


def _monitor(report: str, kind: str, module: str | None, operation: str, severity: str) -> MonitorData:
    name = "capture." + report
    fingerprint = None if report == "error" else [name, module or "", operation, "{cause}"]
    return synthetic.monitor(
        name, "the source", kind=kind, module=module, operation=operation, severity=severity, fingerprint=fingerprint,
        rate_limit=DEFAULT_RATE_LIMIT,
    )  # fmt: skip


def _name_of(frame: FrameType) -> str:
    """The function that called, in the form of an operation."""
    return frame.f_code.co_name if frame.f_code.co_name != "<module>" else _place(frame)


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return ""
    module = frame.f_globals.get("__name__")
    name = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)
    return f"{module}.{name}" if type(module) is str else str(name)


# Whoever imports this is going to report: load what that takes before it is needed.
_running = engine()
if _running is not None:
    _running.outlet.make_ready()
