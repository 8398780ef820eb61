"""What a delivery works with: the spool, connections to Sentry, counters and clocks."""

import os
import time
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from ...base import clocks
from ...language.dsn import parse_dsn
from ..http.transport import Transport
from ..spool.layout import Count
from ..spool.spool import Spool
from .delivered import Delivered
from .parallel import Connection

if TYPE_CHECKING:
    from ..http.route import Route


def _random() -> float:
    return int.from_bytes(os.urandom(4), "big") / 2**32


class Resources(NamedTuple):
    """`connect` takes the seconds that connecting and each response may take (None: the usual ones). Raises DsnError.

    `clock` is the time of day, `tick` a clock that nobody sets. `random` returns numbers in [0, 1).
    """

    spool: Spool
    connect: Callable[[Optional[float]], Connection]
    already_delivered: Delivered
    add_count: Count
    parallel: bool = True  # whether further connections may be opened
    clock: Callable[[], float] = clocks.time
    tick: Callable[[], float] = clocks.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = _random
    first_backoff: float = 0.1  # seconds
    between: Callable[[], None] = lambda: None  # called before each envelope
    await_end: Callable[[int], None] = lambda _: None  # called with the system's id of each thread that has sent
    host: str = ""  # of Sentry


def to_sentry(spool: Spool, dsn: str, count: Count, route: "Route | None" = None) -> Resources:
    """Return the resources to deliver a spool. `route` is for envelopes of the host's own clients."""

    def connect(timeout: "float | None") -> Connection:
        parsed = parse_dsn(dsn)
        if timeout is None:
            return Transport(parsed, route=route)
        return Transport(parsed, route=route, connect_timeout=timeout, read_timeout=timeout)

    host = dsn.rpartition("@")[2].partition("/")[0]
    return Resources(spool, connect, Delivered(spool.directory), count, host=host)
