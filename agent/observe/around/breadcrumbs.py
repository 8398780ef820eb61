"""What the host logged before something was reported: the last lines of the same piece of work, as breadcrumbs.

A line leaves as it is written in the source, without the values that fill it; `log_templates` finds out how that is.
"""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING

from ...privacy import log_templates
from ..event.represent import type_name
from . import work

if TYPE_CHECKING:
    from logging import LogRecord

_MOST = 10  # each costs the thread that reports a few microseconds
_INFO = 20


#: Seconds since the epoch, level, logger, text, path, number of the line of source (0: the text is a type's),
#: and whether there are no arguments: a plain text, or one that was put together before it was logged. A plain tuple:
#: one is made for each line that the host logs, and a class would have to be made in each process.
Line = tuple[float, str, str, str, str, int, bool]


#: In place of a text of which nobody knows what in it is a value.
LEFT_OUT = "(text put together before it was logged, {}:{})"


#: Of a context that does no piece of work that we know of: a script, a thread of the host's. What a task was given at
#: its beginning is never changed: each goes on with lines of its own.
_elsewhere: ContextVar[tuple[Line, ...]] = ContextVar("erp_agent_crumbs", default=())


def note(record: LogRecord) -> None:
    """A line is logged. Costs a microsecond, and keeps nothing of the host's alive but the text."""
    if record.levelno < _INFO or record.name.startswith("urllib3"):
        return
    text = record.msg
    number = record.lineno
    if type(text) is not str:
        text, number = type_name(type(text)), 0
    line = (record.created, record.levelname, record.name, text, record.pathname, number, not record.args)
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
    moment, level, logger, text, path, number, filled = line
    level = str(level).lower()
    return {
        "type": "log",
        "category": logger,
        "level": "fatal" if level == "critical" else level,
        "message": as_written(text, path, number, filled=filled) if number else text,
        "timestamp": moment,
    }


def as_written(text: str, path: object, number: object, *, filled: bool) -> str:
    """The text without what fills it, or a few words on where it was logged."""
    if type(path) is not str or type(number) is not int:
        return LEFT_OUT.format("?", "?") if filled else text
    found = log_templates.template(text, path, number, filled=filled)
    return found if found is not None else LEFT_OUT.format(path.replace("\\", "/").rpartition("/")[2], number)
