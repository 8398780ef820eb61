"""The last lines that the host logged in the current piece of work, as the breadcrumbs of its reports.

A line leaves as it is written in the source, without the values that fill it; `log_templates` finds that text.
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


#: Seconds since the epoch, level, logger, text, path, line number in the source (0: the text is the name of a type),
#: and whether the call had no arguments: a plain text, or one that was formatted before it was logged. A plain tuple,
#: because one is made for each line that the host logs, and a class would have to be made in each process.
Line = tuple[float, str, str, str, str, int, bool]


#: In place of a text whose values are unknown.
LEFT_OUT = "(text put together before it was logged, {}:{})"


#: The lines of a context without a known piece of work: a script, a thread of the host's. The tuple that a task
#: inherits is never changed: each task adds to its own.
elsewhere: ContextVar[tuple[Line, ...]] = ContextVar("erp_agent_breadcrumbs", default=())


def add(record: LogRecord) -> None:
    """Remember a logged line. Costs a microsecond, and keeps nothing of the host's alive but the text."""
    if record.levelno < _INFO or record.name.startswith("urllib3"):
        return
    text = record.msg
    number = record.lineno
    if type(text) is not str:
        text, number = type_name(type(text)), 0
    line = (record.created, record.levelname, record.name, text, record.pathname, number, not record.args)
    doing = work.current()
    if doing is None:
        elsewhere.set((*elsewhere.get()[1 - _MOST :], line))
        return
    if doing.breadcrumbs is None:
        doing.breadcrumbs = deque(maxlen=_MOST)
    doing.breadcrumbs.append(line)


def provide() -> dict[str, object]:
    """The provider for `context.register`: Sentry's breadcrumbs, oldest first."""
    doing = work.current()
    lines = doing.breadcrumbs if doing is not None else elsewhere.get()
    return {"breadcrumbs": [_breadcrumb(each) for each in list(lines)]} if lines else {}


def _breadcrumb(line: Line) -> dict[str, object]:
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
    """The text without the values that fill it, or where it was logged."""
    if type(path) is not str or type(number) is not int:
        return LEFT_OUT.format("?", "?") if filled else text
    found = log_templates.template(text, path, number, filled=filled)
    return found if found is not None else LEFT_OUT.format(path.replace("\\", "/").rpartition("/")[2], number)
