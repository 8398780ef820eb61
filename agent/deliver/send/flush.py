"""Deliver a spool in the calling thread, for a limited time: `spool flush`."""

from typing import Callable, NamedTuple, Optional

from .delivery import Delivery
from .resources import Resources


class Summary(NamedTuple):
    """The result of a flush."""

    delivered: int
    quarantined: int
    waiting: int
    reason: str  # why envelopes still wait; "" when none do


def flush(resources: Resources, timeout: float, progress: Optional[Callable[[int, int], None]] = None) -> Summary:
    """Deliver for about `timeout` seconds at most. Earlier back-off is ignored, rate limits of Sentry are not.

    `progress` is called with the number of envelopes that are done, and of all.
    """
    tick = resources.tick
    deadline = tick() + timeout
    delivery = Delivery(resources, should_stop=lambda: tick() >= deadline, eager=True, progress=progress)
    try:
        while True:
            wait = delivery.run()
            if wait is None or tick() + wait >= deadline:
                break
            resources.sleep(max(wait, 0.01))
        waiting = resources.spool.number_waiting()
        reason = (delivery.reason or "there was not enough time") if waiting else ""
        return Summary(delivery.delivered, delivery.quarantined, waiting, reason)
    finally:
        delivery.disconnect()
