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


#: Of a context that does no piece of work that we know of: a script, a thread of the host's.
_elsewhere: ContextVar[deque[Line] | None] = ContextVar("erp_agent_crumbs", default=None)


def note(record: LogRecord) -> None:
    """A line is logged. Costs a microsecond, and keeps nothing of the host's alive but the text."""
    if record.levelno < _INFO or record.name.startswith("urllib3"):
        return
    doing = work.current()
    lines = doing.crumbs if doing is not None else _elsewhere.get()
    if lines is None:
        lines = deque(maxlen=_MOST)
        if doing is not None:
            doing.crumbs = lines
        else:
            _elsewhere.set(lines)
    text = record.msg if type(record.msg) is str else type_name(type(record.msg))
    lines.append(Line(record.created, record.levelname, record.name, text))


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
