"""Attempts of work that may be run again: their failures are reported only if no other attempt follows.

An integration that finds attempts (Celery's) registers `current`. The errors of an attempt are on disk at once, as all
events are, but held back. When the attempt has ended, `deliver.sink` releases them, or drops and counts them; what they
took of a rate limit is given back then, so that the last attempt's failure does not find it used up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from ..call.limits import Limiter


class Attempt:
    """One attempt that another may follow. `held` maps where its events are kept to the monitors that made them."""

    __slots__ = ("_admitted", "held")

    def __init__(self) -> None:
        self.held: dict[Any, str] = {}
        self._admitted: list[tuple[Limiter, Hashable, int]] = []

    def drop(self) -> None:
        """Its events are not sent: give back what they took of their limits."""
        for limits, key, suppressed in self._admitted:
            limits.give_back(key, suppressed)
        self._admitted.clear()


def outside() -> Attempt | None:
    return None


#: The attempt that this thread or greenlet is in, if another may follow it.
current: Callable[[], Attempt | None] = outside


def note(limits: Limiter, key: Hashable, suppressed: int) -> None:
    """`limits` has admitted an error, whose event shows that so many were suppressed before it."""
    attempt = current()
    if attempt is not None:
        attempt._admitted.append((limits, key, suppressed))


def register(provider: Callable[[], Attempt | None]) -> None:
    global current
    current = provider
