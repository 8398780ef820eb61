"""A burst: equal failures one upon the other, which the rate limit drops. After the first, each costs next to nothing.

What decides about a failure is looked up once, when the limit has dropped one. The next one that leaves the same call
with the same exception, raised by the same instruction, is dropped as well for as long as there is no token for
certain. It is counted and remembered as every failure that is dropped.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ...base.slots import cause_of, context_of
from ..around import people, work
from . import reported, server_errors
from .severity import is_expected_anywhere

if TYPE_CHECKING:
    from types import CodeType, TracebackType

    from ..call.limits import Bucket
    from ..call.verdict import Verdict

#: Before, other threads come between reading a number and writing it: each failure takes the lock of the limits there.
POSSIBLE = sys.version_info >= (3, 10)


class Burst:
    """The failure that one function was dropped for last: what it was, where it was raised, and its limit."""

    __slots__ = ("_held", "_origin", "at", "bucket", "code", "kind", "severity")

    def __init__(self, bucket: Bucket, error: BaseException, traceback: TracebackType, severity: str) -> None:
        last = reported.last_of(traceback)[0]
        self.bucket = bucket
        self.kind = type(error)
        self.code: CodeType = last.tb_frame.f_code
        self.at = last.tb_lasti
        self._origin = self.code.co_filename, last.tb_lineno
        self._held = not reported.takes_references(self.kind)
        self.severity = severity

    def drops(
        self, probe: Verdict, start: float | bytes, error: BaseException, traceback: TracebackType | None
    ) -> bool:
        """Is this one more of them? Then it is counted. False: it must be judged by itself."""
        if type(error) is not self.kind or traceback is None:
            return False
        last, length = traceback, 1
        if traceback.tb_next is not None:
            last, length = reported.last_of(traceback)
        if last.tb_frame.f_code is not self.code or last.tb_lasti != self.at or context_of(error) is not None:
            return False
        if cause_of(error) is not None or server_errors.endpoints:
            return False
        before = reported.known.get(id(error))
        if before is not None and before.is_of(error):
            return False
        if is_expected_anywhere(self.kind) or work.declares(self.kind):
            return False
        bucket, terms = self.bucket, probe.terms
        if not bucket.is_empty(terms.limits.clock()):
            return False
        bucket.burst += 1
        bucket.suppressed += 1
        if probe._tally is not None:
            probe._tally.dropped(start, self.severity, people.current_id if people.current else None)
        terms.count("rate", terms.name)
        reported.remember_another(error, traceback, probe, self._origin, length, self._held)
        return True
