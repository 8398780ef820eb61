"""What the host logged before something was reported: the last lines of the same piece of work, as breadcrumbs.

A line is kept as it is written in the source, without the values that fill it.
"""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from . import work
from .represent import type_name

if TYPE_CHECKING:
    from logging import LogRecord

_MOST = 10  # each costs the thread that reports a few microseconds
_INFO = 20


class Line(NamedTuple):
    moment: float  # seconds since the epoch
    level: str
    logger: str
    text: object


#: Of a context that does no piece of work that we know of: a script, a thread of the host's. What a task was given at
#: its beginning is never changed: each goes on with lines of its own.
_elsewhere: ContextVar[tuple[Line, ...]] = ContextVar("erp_agent_crumbs", default=())


def note(record: LogRecord) -> None:
    """A line is logged. Costs a microsecond, and keeps nothing of the host's alive but the text."""
    if record.levelno < _INFO or record.name.startswith("urllib3"):
        return
    text = record.msg if type(record.msg) is str else type_name(type(record.msg))
    line = Line(record.created, record.levelname, record.name, text)
    doing = work.current()
    if doing is None:
        _elsewhere.set((*_elsewhere.get()[1 - _MOST :], line))
        return
    if doing.crumbs is None:
        doing.crumbs = deque(maxlen=_MOST)
    doing.crumbs.append(line)


def provide() -> dict[str, object]:
    """The provider for `context.register`: Sentry's breadcrumbs, oldest first."""
    doing = work.current()
    lines = doing.crumbs if doing is not None else _elsewhere.get()
    return {"breadcrumbs": [_crumb(each) for each in list(lines)]} if lines else {}


def _crumb(line: Line) -> dict[str, object]:
    level = str(line.level).lower()
    return {
        "type": "log",
        "category": line.logger,
        "level": "fatal" if level == "critical" else level,
        "message": line.text,
        "timestamp": line.moment,
    }
