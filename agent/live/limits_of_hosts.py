"""The time limit after which a server or a worker kills what runs on a stack, as far as its frames show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

_DEEPEST = 2000


def of(frame: FrameType | None) -> float | None:
    """Seconds from the beginning of the request or task; None where there is no limit, or none is known."""
    for _ in range(_DEEPEST):
        if frame is None:
            return None
        known = _KNOWN.get((str(frame.f_globals.get("__name__")), frame.f_code.co_name))
        if known is not None:
            return known(frame.f_locals)
        frame = frame.f_back
    return None


def _of_gunicorn(local: dict[str, Any]) -> float | None:
    """A sync worker serves one request at a time, and is killed if it shows no sign of life for `timeout`."""
    settings = getattr(local.get("self"), "cfg", None)
    seconds = getattr(settings, "timeout", None)
    return float(seconds) if type(seconds) in (int, float) and seconds else None


def _of_celery(local: dict[str, Any]) -> float | None:
    request = local.get("task_request") or local.get("request")
    held = request if type(request) is dict else getattr(request, "__dict__", {})
    given = [each for each in held.get("timelimit") or () if type(each) in (int, float) and each]
    return float(min(given)) if given else None


_KNOWN = {
    ("gunicorn.workers.sync", "handle_request"): _of_gunicorn,
    ("celery.app.trace", "trace_task"): _of_celery,
}
