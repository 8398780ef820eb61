"""One function under one monitor: which operation each of its calls is, and where that is counted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..around import people
from . import arguments, limits

if TYPE_CHECKING:
    from collections.abc import Hashable
    from types import CodeType, FrameType
    from typing import Any

    from ...base.model import MonitorData
    from ...measure.tally import Tally
    from .naming import Named
    from .spans import Span
    from .terms import Terms


class Counted:
    """What is known of a function before anything is decided about a call of it."""

    __slots__ = ("_by_class", "_code", "_named", "_tally", "path", "receiver", "span", "terms")

    terms: Terms
    path: str  # of the function
    receiver: Any
    span: Span | None  # where its calls are spans
    _by_class: Any
    _code: CodeType
    _named: Named
    _tally: Tally | None

    @property
    def name(self) -> str:
        """The monitor's."""
        return self.terms.name

    @property
    def monitor(self) -> MonitorData:
        return self.terms.monitor

    @property
    def operation(self) -> str:
        """The operation of a call that shows no class."""
        return self._named.operation

    def called(self, frame: FrameType) -> Named:
        """The names of the call in `frame`. The monitor may name the class that a method is called on."""
        by_class = self._by_class
        if by_class is None:
            return self._named
        first = arguments.first(frame, self._code) if by_class.needs_argument else None
        return by_class.of(first) or self._named

    def _applies_to(self, frame: FrameType) -> bool:
        """A method that several classes share is monitored only where the target's class is the receiver."""
        receiver = self.receiver
        return receiver is None or arguments.is_received_by(receiver, arguments.first(frame, self._code))

    def _place(self, frame: FrameType) -> Hashable:
        """What limits distinguish besides what happened: the function, and its class where the monitor names that."""
        return self.path if self._by_class is None else (self.path, self.called(frame).operation)

    def _admitted(self, frame: FrameType | None, key: Hashable, depth: int = 0) -> int | None:
        """`Limiter.admit`; what it holds back is counted. `depth` is that of the frame, where that is not given."""
        suppressed = self.terms.limits.decide(key)
        if suppressed >= 0:
            return suppressed
        self.terms.count("rate", self.name)
        self._note(frame or sys._getframe(depth), "rate" if suppressed == limits.OVER_RATE else "sample")
        return None

    def _since(self, start: float | bytes) -> float | None:
        """The duration so far; None where the start is not known."""
        return self.terms.clock() - start if type(start) is float and start else None

    def _ended(self, frame: FrameType, start: float | bytes, outcome: str) -> None:
        """Count a call that raised. `outcome` is a severity, "expected" or "control-flow"."""
        if self._tally is not None and self._applies_to(frame):
            tally = self._tally_of(frame)
            if tally is not None:
                tally.raised(start, outcome, people.current_id)

    def _tally_of(self, frame: FrameType) -> Tally | None:
        if self._by_class is None or self.terms.tallies is None:
            return self._tally
        return self.terms.tallies.of(self.monitor, self.called(frame).operation)

    def _note(self, frame: FrameType, what: str) -> None:
        tally = self._tally_of(frame)
        if tally is not None:
            tally.note(what)
