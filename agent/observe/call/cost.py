"""What a monitor costs this process, all its functions together: measured where code of the agent runs beside a call.

`live.budget` adds what counting costs, and decides. `spent` is time in callbacks since its last look, of whatever
threads: what is lost between two that add at the same moment is of no weight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds in callbacks after which a look is due, where no counted call may bring one.
_ALARM = 0.05

#: In a row: a rule that raised so often is not evaluated any more; a monitor whose code failed so often is taken out.
GIVEN_UP = 100


class Cost:
    __slots__ = ("_alarm", "_left", "budget", "checked", "every", "faults", "given_up", "look", "skipped", "spent")

    def __init__(self, budget: float | None = None, look: Callable[[], object] = int) -> None:
        """`budget` is a share of the process's time; `look` is called now and then."""
        self.budget = budget
        self.look = look
        self.checked = 0.0  # seconds in which successes were looked at
        self.spent = 0.0  # other seconds
        self.every = 1  # only each so manieth success is looked at
        self._left = 0
        self.skipped = 0  # that were not
        self._alarm = _ALARM
        self.faults: list[str] = []  # internal errors: what was being done
        self.given_up: dict[str, str] = {}  # rules, and why

    def skips(self) -> bool:
        """Is this success left out?"""
        self._left -= 1
        if self._left > 0:
            self.skipped += 1
            return True
        self._left = self.every
        return False

    def excuse(self, seconds: float) -> None:
        """Of the time that is counted here, a report has waited for so many, for a processor or a disk."""
        if seconds > 0.0:
            self.spent -= seconds

    def check(self, seconds: float) -> None:
        """Count the time of looking at a success."""
        self.checked += seconds
        if self.checked > self._alarm:
            self._alarm = self.checked + _ALARM
            self.look()

    def taken(self) -> tuple[float, float, int]:
        """`checked`, `spent` and `skipped` since the last time."""
        checked, self.checked, self._alarm = self.checked, 0.0, _ALARM
        spent, self.spent = self.spent, 0.0
        skipped, self.skipped = self.skipped, 0
        return checked, spent, skipped
