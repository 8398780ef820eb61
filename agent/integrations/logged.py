"""Exceptions that background code handles by logging an error: the jobs of queues that no integration knows.

A worker's loop must survive its jobs: it catches what they raise, logs it, and takes the next one. That record is the
only sign of a failure. In a request or a task that an integration follows, the outcome decides instead.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from typing import TYPE_CHECKING

from ..base import guard
from ..base.interrupts import ours
from ..base.places import HOOKS
from ..base.slots import traceback_of
from ..base.wildcards import segment_match
from ..observe.around import breadcrumbs, work
from ..observe.call import callers
from ..observe.event import stack

if TYPE_CHECKING:
    from logging import LogRecord
    from types import FrameType, TracebackType

    from ..boot.engine import Engine

ERROR, _CRITICAL = 40, 50

#: Packages whose failures an integration reports, with more than their log has.
_THEIRS = (
    "integrations.web.install",
    "integrations.web.handlers",
    "integrations.celery.",
    "integrations.tasks.",
    "sdk.",
)
_KNOWN = frozenset(module.partition(".")[0] for module, each in HOOKS.items() if each.startswith(_THEIRS))
_DEEPEST = 2_000


class Logged:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reporting: set[int] = set()  # threads

    def note(self, record: LogRecord) -> None:
        """An error was logged. Report the exception that it is about, outside of requests and tasks."""
        given = record.exc_info
        error = given[1] if type(given) is tuple and len(given) == 3 else sys.exc_info()[1]
        thread = get_ident()
        if not isinstance(error, Exception) or thread in self._reporting or _is_at_work():
            return
        if not self._is_followed(str(record.name)) or _is_monitored(sys._getframe(1)):
            return
        self._reporting.add(thread)  # what runs meanwhile may log errors, too
        try:
            self._report(record, error)
        except ours(Exception):
            guard.swallow("reporting an exception that was logged")
        finally:
            self._reporting.discard(thread)

    def _is_followed(self, logger: str) -> bool:
        if logger.partition(".")[0] in _KNOWN:
            return False
        ignored = self._engine.outlet.sentry["ignore_loggers"]
        return not any(segment_match(each, logger) or segment_match(each + ".*", logger) for each in ignored)

    def _report(self, record: LogRecord, error: Exception) -> None:
        function = job_of(traceback_of(error))
        text = record.msg
        line = {"logger": str(record.name)}
        if type(text) is str:
            line["message"] = breadcrumbs.as_written(text, record.pathname, record.lineno, filled=not record.args)
        self._engine.frameworks.failed(
            "logged",
            error,
            operation=function or str(record.name),
            function=function or str(record.name),
            severity="fatal" if record.levelno >= _CRITICAL else "error",
            handled=True,
            logged=line,
        )


def job_of(traceback: TracebackType | None) -> str:
    """The ERP's function that whoever caught the exception had called, as a dotted path; "" where none of it is there.

    The first entry is the one that caught it: a library's worker, or the ERP's own loop, which runs all jobs.
    """
    own = ""
    first = True
    for _ in range(_DEEPEST):
        if traceback is None:
            break
        code = traceback.tb_frame.f_code
        if stack.looks_like_the_erp(code.co_filename) and not callers.own_code(code):
            module = traceback.tb_frame.f_globals.get("__name__")
            name = f"{module if type(module) is str else '?'}.{getattr(code, 'co_qualname', code.co_name)}"
            if not first:
                return name
            own = name
        first = False
        traceback = traceback.tb_next
    return own


def _is_at_work() -> bool:
    """In a request or a task? What goes on in its context after it has ended is neither."""
    doing = work.current()
    return doing is not None and doing.about is not None


def _is_monitored(frame: FrameType | None) -> bool:
    """Is it logged inside a function of the ERP's that a monitor watches, and which reports what leaves it?"""
    return any(stack.looks_like_the_erp(each.f_code.co_filename) for each, _ in callers.calls(frame))
