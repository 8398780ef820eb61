"""What we send writes nothing to the host's log.

urllib3 logs each connection and request at DEBUG. A host that logs everything would find our deliveries among its
lines; its handlers would run in our thread; and one that is monitored and fails would give the next delivery a reason.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from logging import LogRecord

#: Those of urllib3's modules. A filter counts for the very logger that has it.
_LOGGERS = ("connection", "connectionpool", "poolmanager", "response", "util.retry")

#: Of this thread or greenlet; a forked child's threads begin without.
_sending: ContextVar[bool] = ContextVar("erp_agent_sending", default=False)


def follow() -> None:
    """Once urllib3 is there: what it logs from within `sending` is dropped, the host's own lines are not."""
    import logging

    for name in _LOGGERS:
        logging.getLogger("urllib3." + name).addFilter(_is_the_hosts)


@contextmanager
def sending() -> Iterator[None]:
    token = _sending.set(True)
    try:
        yield
    finally:
        _sending.reset(token)


def _is_the_hosts(_: LogRecord) -> bool:
    return not _sending.get()
