"""The exceptions of an event: the whole chain and every member of a group, each with its stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ...base.slots import cause_of, context_of, members_of, qualname_of, suppresses, traceback_of
from .represent import exception_text, type_name
from .stack import MOST_FRAMES, passed_frames, places, stacktrace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType

    from ...base.model import Observation

#: Bounds of one event, as in `event`.
_MOST_EXCEPTIONS = 20
_MOST_FRAMES_IN_ALL = 250


def values_of(observation: Observation, own: Callable[[CodeType], bool]) -> tuple[list[dict[str, Any]], str]:
    """Sentry's exception values, oldest first, and the innermost function of the ERP that the main one passed."""
    values: list[dict[str, Any]] = []
    seen: set[int] = set()
    frames = _MOST_FRAMES_IN_ALL
    with_text = observation.monitor["exception_text"]
    # (exception, where it was found, number of the one it belongs to), nearest first
    waiting: list[tuple[BaseException, str, int | None]] = [(cast("BaseException", observation.exception), "", None)]
    while waiting and len(values) < _MOST_EXCEPTIONS:
        error, source, parent = waiting.pop(0)
        if id(error) in seen:
            continue
        seen.add(id(error))
        number = len(values)
        mechanism: dict[str, Any] = {"type": "chained" if source else "erp-agent", "exception_id": number}
        mechanism["handled"] = observation.handled
        if source:
            mechanism["source"] = source
            mechanism["parent_id"] = parent
        trace = None
        if frames > 0:
            limit = min(MOST_FRAMES, frames)
            ends = (traceback_of(error), None) if source else (observation.traceback, observation.frame)
            trace = stacktrace(*ends, own=own, limit=limit)
        value = _kind(type(error))
        value["value"] = exception_text(error) if with_text else ""
        value["mechanism"] = mechanism
        if trace is not None:
            frames -= len(trace["frames"])
            value["stacktrace"] = trace
        values.append(value)
        members = members_of(error)[:_MOST_EXCEPTIONS]
        if members:
            mechanism["is_exception_group"] = True
        waiting += [(member, f"exceptions[{place}]", number) for place, member in enumerate(members)]
        waiting[:0] = _behind(error, number)
    function = _innermost(passed_frames(observation.traceback, own=own))
    values.reverse()
    return values, function


def reduced(observation: Observation, own: Callable[[CodeType], bool], *, stack: bool) -> tuple[dict[str, Any], str]:
    """As `values_of`, of the main exception alone. Reads neither its message nor any file."""
    value = _kind(type(cast("BaseException", observation.exception)))
    value["mechanism"] = {"type": "erp-agent", "handled": observation.handled}
    if not stack:
        return value, ""
    passed = places(observation.traceback, None, own=own)
    frames = places(None, observation.frame, own=own) + passed
    if frames:
        value["stacktrace"] = {"frames": frames}
    return value, _innermost(passed)


def _kind(kind: type) -> dict[str, Any]:
    """Sentry's `type` and `module`."""
    module, _, name = type_name(kind).rpartition(".")
    value: dict[str, Any] = {"type": qualname_of(kind)[:200] or name}
    if module:
        value["module"] = type_name(kind)[: -len(value["type"]) - 1] or module
    return value


def _behind(error: BaseException, number: int) -> list[tuple[BaseException, str, int | None]]:
    cause = cause_of(error)
    if cause is not None:
        return [(cause, "__cause__", number)]
    if not suppresses(error, type(error)):
        context = context_of(error)
        if context is not None:
            return [(context, "__context__", number)]
    return []


def _innermost(passed: Sequence[dict[str, Any]]) -> str:
    """The innermost of the ERP's functions that an exception passed. Its callers, a middleware for example, do not."""
    for frame in reversed(passed):
        if frame["in_app"]:
            return f"{frame.get('module', frame['filename'])}.{frame['function']}"
    return ""
