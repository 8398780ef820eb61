"""Work that is tried again: what fails in an attempt counts only if no other attempt follows.

An integration that knows of attempts (Celery's) registers `current`. The errors of an attempt are on disk at once, as
all events are, but held back; `deliver.sink` lets them go, or drops and counts them, when the attempt has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Attempt:
    """One attempt that may be followed by another. `held` are the monitors of its events, by where these are kept."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: dict[Any, str] = {}


def _none() -> Attempt | None:
    return None


#: The attempt that this thread or greenlet is in, if another may follow it.
current: Callable[[], Attempt | None] = _none


def register(provider: Callable[[], Attempt | None]) -> None:
    global current
    current = provider
