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


def _of_rq(local: dict[str, Any]) -> float | None:
    return _seconds(getattr(local.get("job"), "timeout", None))


def _of_dramatiq(local: dict[str, Any]) -> float | None:
    """That of the message, or of its actor, in milliseconds."""
    options = [getattr(local.get(name), "options", None) or {} for name in ("message", "actor")]
    given = [_seconds(each.get("time_limit")) for each in options if type(each) is dict]
    return next((each / 1000 for each in given if each is not None), None)


def _of_huey(local: dict[str, Any]) -> float | None:
    return _seconds(getattr(local.get("task"), "timeout", None))


def _of_django_q(local: dict[str, Any]) -> float | None:
    return _seconds(local.get("timer_value"))


def _seconds(given: object) -> float | None:
    return float(given) if isinstance(given, (int, float)) and given > 0 else None


_KNOWN = {
    ("gunicorn.workers.sync", "handle_request"): _of_gunicorn,
    ("celery.app.trace", "trace_task"): _of_celery,
    ("rq.worker", "perform_job"): _of_rq,
    ("rq.worker.base", "perform_job"): _of_rq,  # from 3 on
    ("dramatiq.worker", "process_message"): _of_dramatiq,
    ("huey.api", "_execute"): _of_huey,
    ("django_q.worker", "worker"): _of_django_q,
}
