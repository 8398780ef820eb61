"""Exceptions that background code handles by logging an error: the jobs of queues that no integration knows.

A worker's loop must survive its jobs: it catches what they raise, logs it, and takes the next one. That record is the
only sign of a failure. In a request or a task that an integration follows, the outcome decides instead; what a
monitor watches, of the ERP's or a pack's, is the monitor's business.
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
from ..hook.code import inject, wrap
from ..observe.around import breadcrumbs, work
from ..observe.call import callers
from ..observe.event import the_erp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from logging import Filterer, LogRecord
    from types import FrameType, ModuleType, TracebackType

    from ..boot.engine import Engine
    from ..hook.code import patch

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
        self._seen: dict[int, LogRecord] = {}  # by thread

    def follow(self, logging: ModuleType) -> list[patch.Layer]:
        """Watch the methods that log errors. What is below ERROR takes other ways, and costs nothing more."""
        if sys.version_info < (3, 11) and not inject.AVAILABLE:
            return []  # `stacklevel` would count a frame of ours
        layers = []
        for name, enter, more in (
            ("error", self._enter, ()),
            ("critical", self._enter, ()),
            ("log", self._enter_at, ("level",)),
        ):
            method = vars(logging.Logger)[name]
            if getattr(method, "__globals__", None) is vars(logging):  # or somebody has replaced it
                layers.append(wrap.surround(method, enter, self._leave, passed=("self", "kwargs", *more)))
        return layers

    def _enter(self, logger: Filterer, given: Mapping[str, object]) -> list[object] | None:
        """Be the last of the logger's filters meanwhile: that one gets the record which none has discarded."""
        try:
            if sys.exc_info()[1] is None and not given.get("exc_info"):
                return None
            filters: list[object] = logger.filters  # type: ignore[assignment]
            filters.append(self)
        except ours(Exception):
            guard.swallow("looking at an error that is logged")
            return None
        return filters

    def _enter_at(self, logger: Filterer, given: Mapping[str, object], level: object) -> list[object] | None:
        return self._enter(logger, given) if isinstance(level, int) and level >= ERROR else None

    def _leave(self, filters: list[object], _: bool) -> None:
        """Another thread may have appended this object, too: whichever of the two is taken out, one remains."""
        self._seen.pop(get_ident(), None)
        try:
            if self in filters:  # the host may have emptied it
                filters.remove(self)
        except ours(Exception):
            guard.swallow("looking at an error that was logged")

    def filter(self, record: LogRecord) -> bool:
        """For `logging`. A record that several threads' appending shows more than once counts once."""
        try:
            thread = get_ident()
            if record.levelno >= ERROR and self._seen.get(thread) is not record:
                self._seen[thread] = record
                self.note(record)
        except ours(Exception):
            guard.swallow("looking at an error that is logged")
        return True

    def note(self, record: LogRecord) -> None:
        """An error was logged. Report the exception that it is about, outside of requests and tasks."""
        given = record.exc_info
        error = given[1] if type(given) is tuple and len(given) == 3 else sys.exc_info()[1]
        thread = get_ident()
        if not isinstance(error, Exception) or thread in self._reporting or _is_at_work():
            return
        if not self._is_followed(str(record.name)) or _is_monitored(sys._getframe(1)) or _is_no_failure(error):
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
        if the_erp.looks_like_the_erp(code.co_filename) and not callers.own_code(code):
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
    """Does a monitor watch what logs it, or a function of the ERP's around, and so reports what it is to report?"""
    while frame is not None and (frame.f_globals.get("__name__") == "logging" or callers.in_package(frame.f_code)):
        frame = frame.f_back
    return any(
        around is frame or the_erp.looks_like_the_erp(around.f_code.co_filename) for around, _ in callers.calls(frame)
    )


def _is_no_failure(error: Exception) -> bool:
    """Did it leave a function of the ERP's whose monitor expects or ignores it?"""
    entry = traceback_of(error)
    for _ in range(_DEEPEST):
        if entry is None:
            break
        code = entry.tb_frame.f_code
        probe = callers.probe_of(code)
        if (
            probe is not None
            and the_erp.looks_like_the_erp(code.co_filename)
            and probe.terms.severities.of_error(error) is None
        ):
            return True
        entry = entry.tb_next
    return False
