"""Attempts of work that may be run again: their failures are reported only if no other attempt follows.

An integration that finds attempts (Celery's) registers `current`. The errors of an attempt are on disk at once, as all
events are, but held back. When the attempt has ended, `deliver.sink` releases them, or drops and counts them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Attempt:
    """One attempt that another may follow. `held` maps where its events are kept to the monitors that made them."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: dict[Any, str] = {}


def outside() -> Attempt | None:
    return None


#: The attempt that this thread or greenlet is in, if another may follow it.
current: Callable[[], Attempt | None] = outside


def register(provider: Callable[[], Attempt | None]) -> None:
    global current
    current = provider
