"""Keeps our deliveries out of the host's log.

urllib3 logs each connection and request at DEBUG. In a host that logs everything, our deliveries would be among its
lines, its handlers would run in our thread, and a monitored handler that fails would cause the next delivery.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from logging import LogRecord

#: Loggers of urllib3's modules. A filter applies only to the logger that has it.
_LOGGERS = ("connection", "connectionpool", "poolmanager", "response", "util.retry")

#: Of this thread or greenlet; a forked child's threads begin without.
_sending: ContextVar[bool] = ContextVar("erp_agent_sending", default=False)


def follow() -> None:
    """Drop what urllib3 logs within `sending`, but not the host's own lines. Call it once urllib3 is imported."""
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
